//! Connections that have become old are ended in order, so that load spreads to new servers.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tonic::Code;

use super::probe::{Answer, PATIENCE, Server, framed, within};

#[tokio::test]
async fn an_old_connection_is_told_to_go_and_its_calls_finish() {
    let server = Server::start(&[("max-connection-age", "20ms"), ("max-connection-age-grace", "1h")]).await;
    let mut client = server.connect().await;
    let patience = framed(b"patience");
    let hanging = client.begin("/test.v1.Probe/Hang", &[], &patience);
    let released = async {
        server.probe.hangs().await;
        // The other connection is idle, so it ends once it is old; by then the one that works is about as old.
        let idle = server.connect().await;
        within(idle.closed).await.unwrap().unwrap();
        server.probe.release.notify_waiters();
    };
    let (answer, ()) = tokio::join!(hanging, released);
    assert_eq!(Answer::read(answer.unwrap()).await.code(), Code::Ok);
    within(client.closed).await.unwrap().unwrap();
}

#[tokio::test]
async fn after_the_grace_it_is_cut_off() {
    let server = Server::start(&[("max-connection-age", "20ms"), ("max-connection-age-grace", "0s")]).await;
    let mut client = server.connect().await;
    let stream = client.begin("/test.v1.Probe/Forever", &[], &framed(b"")).await;
    // Whether the call came before the age is up to the machine; the connection ends either way.
    let _ = within(client.closed).await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn an_old_http1_connection_says_that_it_closes() {
    let server = Server::start(&[("max-connection-age", "20ms"), ("max-connection-age-grace", "1h")]).await;
    let addr = server.addr;
    let hanging = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /api/v1/policies/Hang HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    server.probe.hangs().await;
    // Ages differ by a tenth: two, one after the other, are older than any one.
    for _ in 0..2 {
        let idle = server.connect().await;
        within(idle.closed).await.unwrap().unwrap();
    }
    server.probe.release.notify_waiters();
    let answer = within(hanging).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
}
