//! Bodies that arrive after their request was answered, frame by frame: whatever was decided without them, the connection and
//! the other calls on it go on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::probe::{Server, framed, within};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// More than the server forgives of a peer that sends what nobody wants.
const STREAMS: u32 = 200;

/// An HTTP/2 connection on which the test decides what is sent when.
struct Raw {
    stream: TcpStream,
    /// The number of the next request.
    next: u32,
}

/// A frame that came.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as HPACK has them when nothing is compressed.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            // Seven bits hold the length of what is shorter than 127 bytes.
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

impl Raw {
    async fn connect(server: &Server) -> Raw {
        let mut stream = within(TcpStream::connect(server.addr)).await.unwrap();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend(frame(SETTINGS, 0, 0, &[]));
        stream.write_all(&hello).await.unwrap();
        Raw { stream, next: 1 }
    }

    /// Sends the heads of so many requests, and returns their numbers.
    async fn heads(&mut self, count: u32, headers: &[(&str, &str)]) -> Vec<u32> {
        let mut sent = Vec::new();
        let numbers: Vec<u32> = (0..count).map(|n| self.next + 2 * n).collect();
        for number in &numbers {
            sent.extend(frame(HEADERS, END_HEADERS, *number, &block(headers)));
        }
        self.next += 2 * count;
        self.stream.write_all(&sent).await.unwrap();
        numbers
    }

    /// Sends the body of each of these, as its last.
    async fn bodies(&mut self, numbers: &[u32], body: &[u8]) {
        for number in numbers {
            self.stream.write_all(&frame(DATA, END_STREAM, *number, body)).await.unwrap();
        }
    }

    async fn read(&mut self) -> Frame {
        let mut head = [0; 9];
        within(self.stream.read_exact(&mut head)).await.expect("the server ended the connection");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let mut payload = vec![0; length];
        within(self.stream.read_exact(&mut payload)).await.unwrap();
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// Reads until each of these was answered to its end.
    async fn answers(&mut self, numbers: &[u32]) {
        let mut open: std::collections::BTreeSet<u32> = numbers.iter().copied().collect();
        while !open.is_empty() {
            let Frame { kind, flags, stream, payload } = self.read().await;
            match kind {
                GOAWAY => panic!("the server ends the connection: {:?}", String::from_utf8_lossy(&payload)),
                RST_STREAM => assert!(!open.contains(&stream), "stream {stream} is reset: {payload:?}"),
                HEADERS | DATA if flags & END_STREAM != 0 => drop(open.remove(&stream)),
                _ => {}
            }
        }
    }

    /// Waits until the server has read everything that was sent before.
    async fn settled(&mut self) {
        self.stream.write_all(&frame(PING, 0, 0, b"settled?")).await.unwrap();
        loop {
            let Frame { kind, flags, payload, .. } = self.read().await;
            assert_ne!(
                kind,
                GOAWAY,
                "the server ends the connection: {:?}",
                String::from_utf8_lossy(&payload)
            );
            if (kind, flags) == (PING, ACK) {
                return;
            }
        }
    }
}

const SCHEME: [(&str, &str); 2] = [(":scheme", "http"), (":authority", "test")];

/// Requests that are answered without their bodies, which come afterwards; then one that counts, on the same connection.
async fn answered_without_a_body(server: &Server, what: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut raw = Raw::connect(server).await;
    let headers = [&SCHEME, headers].concat();
    let numbers = raw.heads(STREAMS, &headers).await;
    raw.answers(&numbers).await;
    raw.bodies(&numbers, body).await;
    raw.settled().await;
    let good = [(":method", "GET"), (":path", "/api/v1/policies/fine")];
    let last = raw.heads(1, &[SCHEME, good].concat()).await;
    raw.bodies(&last, b"").await;
    raw.answers(&last).await;
    println!("{what}: {STREAMS} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_after_the_answer_hurts_nobody() {
    let server = Server::start(&[("max-message-bytes", "1KiB"), ("max-requests-in-flight", "1000")]).await;
    let json = ("content-type", "application/json");
    let grpc = ("content-type", "application/grpc");
    let post = [(":method", "POST"), (":path", "/api/v1/policies/x"), json, ("content-length", "2048")];
    answered_without_a_body(&server, "a message that is too large", &post, &[b' '; 2048]).await;
    let get = [(":method", "GET"), (":path", "/api/v1/policies/fine"), json];
    answered_without_a_body(&server, "a rule without a body", &get, &[b' '; 2048]).await;
    let nowhere = [(":method", "POST"), (":path", "/nowhere"), json];
    answered_without_a_body(&server, "a path that is not there", &nowhere, &[b' '; 2048]).await;
    let late = [(":method", "POST"), (":path", "/test.v1.Probe/Echo"), grpc, ("grpc-timeout", "soon")];
    answered_without_a_body(&server, "a deadline that is none", &late, &framed(b"hello")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_after_a_full_gate_hurts_nobody() {
    let server = Server::start(&[("max-requests-in-flight", "1")]).await;
    let mut client = server.connect().await;
    let hanging = tokio::spawn(async move { client.call("/test.v1.Probe/Hang", &[], b"").await });
    server.probe.hangs().await;
    let mut raw = Raw::connect(&server).await;
    let post = [(":method", "POST"), (":path", "/api/v1/policies/x"), ("content-type", "application/json")];
    let numbers = raw.heads(STREAMS, &[SCHEME.as_slice(), &post].concat()).await;
    raw.answers(&numbers).await;
    raw.bodies(&numbers, &[b' '; 2048]).await;
    raw.settled().await;
    server.probe.release.notify_waiters();
    assert_eq!(hanging.await.unwrap().code(), tonic::Code::Ok);
    let get = [(":method", "GET"), (":path", "/api/v1/policies/fine")];
    let last = raw.heads(1, &[SCHEME, get].concat()).await;
    raw.bodies(&last, b"").await;
    raw.answers(&last).await;
}
