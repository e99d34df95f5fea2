//! HTTP/2 peers are pinged: those that do not answer are let go with all that they were waiting for.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;

use countersign::server::Drained;

use super::probe::{Server, framed, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The kinds and flags of whole frames.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut all = Vec::new();
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        all.push((bytes[3], bytes[4]));
        bytes = &bytes[(9 + length).min(bytes.len())..];
    }
    all
}

/// A call of a method as one frame of headers, none of them compressed.
fn call(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    // END_HEADERS, and with the data END_STREAM.
    [frame(HEADERS, 4, 1, &block), frame(DATA, 1, 1, &framed(b""))].concat()
}

/// Says what it has to say, answers nothing, and hears what the server says until it closes.
async fn silent(server: &Server, says: &[u8]) -> Vec<(u8, u8)> {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), says].concat()).await.unwrap();
    let mut heard = Vec::new();
    // Closed in whichever way.
    let _ = within(stream.read_to_end(&mut heard)).await;
    frames(&heard)
}

/// Everything but a ping that is not answered leaves them alone for an hour.
const PATIENT: [(&str, &str); 5] = [
    ("handshake-timeout", "1h"),
    ("response-timeout", "1h"),
    ("http1-header-timeout", "1h"),
    ("shutdown-grace", "1h"),
    ("keep-alive-interval", "20ms"),
];

#[tokio::test]
async fn a_peer_that_answers_no_pings_is_let_go_and_one_that_does_is_kept() {
    let mut server = Server::start(&[&PATIENT[..], &[("keep-alive-timeout", "2s")]].concat()).await;
    let mut lively = server.connect().await;
    assert_eq!(lively.call("/test.v1.Probe/Echo", &[], b"one").await.code(), Code::Ok);
    for says in [Vec::new(), call("/test.v1.Probe/Forever")] {
        let heard = silent(&server, &says).await;
        assert!(heard.contains(&(PING, 0)), "{heard:?}");
        assert_eq!(heard.iter().any(|(kind, _)| *kind == HEADERS), !says.is_empty(), "{heard:?}");
    }
    assert_eq!(lively.call("/test.v1.Probe/Echo", &[], b"two").await.code(), Code::Ok);
    drop(lively);
    server.stop();
    assert_eq!(server.ended().await, Drained { connections_cut: 0, calls_cut: 0 }, "nothing waits for them");
}

#[tokio::test]
async fn before_its_time_nobody_is_pinged() {
    let settings = [
        ("keep-alive-interval", "1h"),
        ("keep-alive-timeout", "20ms"),
        ("max-connection-age", "50ms"),
        ("max-connection-age-grace", "0s"),
    ];
    let server = Server::start(&settings).await;
    // Something else ends it, which begins with GOAWAY.
    let heard = silent(&server, &[]).await;
    let before: Vec<_> = heard.iter().take_while(|(kind, _)| *kind != GOAWAY).collect();
    assert!(before.len() < heard.len() && !before.contains(&&(PING, 0)), "{heard:?}");
}
