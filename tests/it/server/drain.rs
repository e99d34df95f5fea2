//! The end of the service: who is still served, who is sent away, and that nobody can hold it up.

use std::io::Write as _;
use std::time::Duration;

use countersign::server::Drained;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::probe::{Answer, Client, Server, framed, within};
use super::{get, health};

const CLEAN: Drained = Drained { connections_cut: 0, calls_cut: 0 };

#[tokio::test]
async fn during_the_delay_the_service_is_not_ready_and_still_accepts() {
    let server = Server::start(&[("shutdown-delay", "1h")]).await;
    let request = HealthCheckRequest { service: "test.v1.Probe".to_owned() };
    let mut watch = HealthClient::new(server.channel()).watch(request).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.stop();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(health(&server, "").await, Ok(ServingStatus::NotServing));
    let ready = get(server.admin_addr, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("shutting down"), "{ready}");
    assert!(get(server.admin_addr, "/livez").await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok, "a new connection");
}

#[tokio::test]
async fn what_is_in_flight_finishes_and_nothing_new_comes_in() {
    let mut server = Server::start(&[("shutdown-grace", "1h")]).await;
    let mut client = server.connect().await;
    let hanging = tokio::spawn(async move {
        let answer = client.call("/test.v1.Probe/Hang", &[], b"patience").await;
        // GOAWAY: the connection takes no second call, and ends.
        let refused = client.begin("/test.v1.Probe/Echo", &[], &framed(b"")).await.is_err();
        (answer, refused, within(client.closed).await)
    });
    server.probe.hangs().await;
    let mut idle = server.connect().await;
    assert_eq!(idle.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    server.stop();
    within(idle.closed).await.unwrap().unwrap();
    // The idle connection was told to go, so the listener is closed by now or about to be.
    let refused = async {
        while let Ok(stream) = tokio::net::TcpStream::connect(server.addr).await {
            drop(stream);
            tokio::task::yield_now().await;
        }
    };
    within(refused).await;
    server.probe.release.notify_waiters();
    let (answer, refused, closed) = within(hanging).await.unwrap();
    assert_eq!((answer.code(), answer.message.as_deref()), (Code::Ok, Some(b"patience".as_slice())));
    assert!(refused);
    closed.unwrap().unwrap();
    assert_eq!(server.ended().await, CLEAN);
}

#[tokio::test]
async fn a_peer_that_sends_nothing_does_not_hold_up_the_end() {
    let mut server = Server::start(&[("shutdown-grace", "1h"), ("handshake-timeout", "1h")]).await;
    let silent = std::net::TcpStream::connect(server.addr).unwrap();
    let mut hesitant = std::net::TcpStream::connect(server.addr).unwrap();
    hesitant.write_all(b"PRI * HTT").unwrap();
    // A later connection was accepted, so the earlier ones were.
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    server.stop();
    assert_eq!(server.ended().await, CLEAN);
    drop((silent, hesitant));
}

#[tokio::test]
async fn a_peer_that_sends_half_a_request_is_cut_off_at_the_deadline() {
    let mut server = Server::start(&[("shutdown-grace", "50ms"), ("http1-header-timeout", "1h")]).await;
    let mut half = std::net::TcpStream::connect(server.addr).unwrap();
    half.write_all(b"POST /api/v1/policies HTTP/1.1\r\nHost: test\r\nContent-Le").unwrap();
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    server.stop();
    // Whether its bytes were seen before the signal is up to the machine; either way the server ends.
    let drained = server.ended().await;
    assert!(drained.connections_cut <= 1 && drained.calls_cut == 0, "{drained:?}");
    drop(half);
}

#[tokio::test]
async fn a_call_that_never_answers_is_cut_off_at_the_deadline_and_counted() {
    let mut server = Server::start(&[("shutdown-grace", "50ms"), ("request-deadline", "1h")]).await;
    let mut client = server.connect().await;
    let hanging =
        tokio::spawn(async move { client.begin("/test.v1.Probe/Hang", &[], &framed(b"")).await.is_err() });
    server.probe.hangs().await;
    server.stop();
    assert_eq!(server.ended().await, Drained { connections_cut: 1, calls_cut: 1 });
    assert!(within(hanging).await.unwrap(), "the caller hears of it");
}

#[tokio::test]
async fn a_peer_that_never_reads_its_answer_is_cut_off_at_the_deadline() {
    let mut server = Server::start(&[("shutdown-grace", "50ms"), ("response-timeout", "1h")]).await;
    let mut client = Client::connect(server.addr, Some(0)).await;
    let unread = client.begin("/test.v1.Probe/Echo", &[], &framed(b"answer")).await.unwrap();
    server.stop();
    assert_eq!(server.ended().await, Drained { connections_cut: 1, calls_cut: 0 });
    drop(unread);
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended() {
    let mut server = Server::start(&[("shutdown-grace", "1h")]).await;
    let mut client = server.connect().await;
    let stream = client.begin("/test.v1.Probe/Forever", &[], &framed(b"")).await.unwrap();
    server.stop();
    let answer = Answer::read(stream).await;
    assert_eq!((answer.code(), answer.text().as_str()), (Code::Unavailable, "the server is shutting down"));
    assert_eq!(answer.info().0, "SHUTTING_DOWN");
    assert_eq!(server.ended().await, CLEAN);
}

#[tokio::test]
async fn dropping_the_server_stops_it() {
    let server = Server::start(&[("shutdown-grace", "50ms")]).await;
    let client = server.connect().await;
    drop(server);
    let _ = tokio::time::timeout(Duration::from_secs(30), client.closed).await.unwrap();
}
