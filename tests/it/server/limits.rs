//! What is refused, and that the refusal names the limit.

use std::io::{Read as _, Write as _};

use countersign::store::Health;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::http1;
use super::probe::{Client, PATIENCE, Server, framed, within};

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_name() {
    let server = Server::start(&[("max-header-bytes", "16KiB")]).await;
    let fits = "x".repeat(15 * 1024);
    assert_eq!(server.call("/test.v1.Probe/Echo", &[("x-pad", &fits)], b"").await.code(), Code::Ok);
    let large = "x".repeat(17 * 1024);
    let answer = server.call("/test.v1.Probe/Echo", &[("x-pad", &large)], b"").await;
    assert_eq!(answer.code(), Code::ResourceExhausted);
    assert!(answer.text().contains("max-header-bytes = 16384"), "{}", answer.text());
    assert_eq!(answer.info(), info("HEADERS_TOO_LARGE", "max-header-bytes", "16384"));

    let huge = "x".repeat(64 * 1024);
    let request = format!("GET /x HTTP/1.1\r\nHost: t\r\nX-Pad: {huge}\r\n\r\n");
    let addr = server.addr;
    let answer = tokio::task::spawn_blocking(move || http1(addr, &request)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let refused = server.connect().await.begin("/test.v1.Probe/Echo", &[("x-pad", &huge)], b"").await;
    assert_eq!(refused.unwrap().status(), 431);
}

/// What an `ErrorInfo` says.
fn info(reason: &str, setting: &str, limit: &str) -> (String, String, String) {
    (reason.to_owned(), setting.to_owned(), limit.to_owned())
}

/// One request over REST by either version of HTTP, with so many headers of one letter more: status and body.
async fn rest_with_headers(server: &Server, http2: bool, count: usize) -> (u16, String) {
    if !http2 {
        let lines = "a: b\r\n".repeat(count);
        let request =
            format!("GET /api/v1/policies/fine HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{lines}\r\n");
        let addr = server.addr;
        let answer = tokio::task::spawn_blocking(move || http1(addr, &request)).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        return (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(executor)
        .max_header_list_size(1 << 20)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::get("http://test/api/v1/policies/fine");
    for _ in 0..count {
        request = request.header("a", "b");
    }
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    let (head, body) = within(sender.send_request(request.body(body).unwrap())).await.unwrap().into_parts();
    let body = within(http_body_util::BodyExt::collect(body)).await.unwrap().to_bytes();
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn over_rest_the_bytes_of_a_head_count_and_not_how_many_headers_they_are() {
    let server = Server::start(&[]).await;
    // Each counts 34 bytes: its name, its value, and 32 more.
    for http2 in [false, true] {
        for count in [105, 1900] {
            let (status, body) = rest_with_headers(&server, http2, count).await;
            assert_eq!(status, 200, "{count} {http2} {body}");
        }
        for count in [1930, 3500] {
            let (status, body) = rest_with_headers(&server, http2, count).await;
            assert_eq!(status, 400, "{count} {http2} {body}");
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(json["code"], 11, "{json}");
            assert!(json["message"].as_str().unwrap().contains("max-header-bytes = 65536"), "{json}");
            let info = &json["details"][0];
            assert_eq!(info["reason"], "HEADERS_TOO_LARGE");
            assert_eq!(
                info["metadata"],
                serde_json::json!({"setting": "max-header-bytes", "limit": "65536"})
            );
        }
        // The transport has an end, too.
        let (status, body) = rest_with_headers(&server, http2, 4000).await;
        assert_eq!((status, body.as_str()), (431, ""), "{http2}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_by_name() {
    let server = Server::start(&[("max-message-bytes", "1KiB")]).await;
    // Tag and length of the value take three bytes.
    let answer = server.call("/test.v1.Probe/Echo", &[], &[b'x'; 1021]).await;
    assert_eq!((answer.code(), answer.message.unwrap().len()), (Code::Ok, 1021));
    let answer = server.call("/test.v1.Probe/Echo", &[], &[b'x'; 1022]).await;
    assert_eq!(answer.code(), Code::ResourceExhausted);
    assert!(answer.text().contains("max-message-bytes = 1024"), "{}", answer.text());
    assert_eq!(answer.info(), info("MESSAGE_TOO_LARGE", "max-message-bytes", "1024"));
    // A length that is announced and never sent reserves nothing and waits for nothing.
    let answer = server.call_raw("/test.v1.Probe/Echo", &[], &[0, 0xff, 0xff, 0xff, 0xff]).await;
    assert_eq!(answer.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn calls_over_the_limit_in_flight_are_refused_by_name() {
    let server = Server::start(&[("max-requests-in-flight", "1")]).await;
    let mut client = server.connect().await;
    let hanging = tokio::spawn(async move { client.call("/test.v1.Probe/Hang", &[], b"").await });
    server.probe.hangs().await;
    let answer = server.call("/test.v1.Probe/Echo", &[], b"").await;
    assert_eq!(answer.code(), Code::ResourceExhausted);
    assert!(answer.text().contains("max-requests-in-flight = 1"), "{}", answer.text());
    assert_eq!(answer.info(), info("SERVER_BUSY", "max-requests-in-flight", "1"));
    server.probe.release.notify_waiters();
    assert_eq!(hanging.await.unwrap().code(), Code::Ok);
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_by_name_and_do_not_take_the_place_of_calls() {
    let server = Server::start(&[("max-requests-in-flight", "1"), ("max-streams-in-flight", "1")]).await;
    let mut client = server.connect().await;
    let open = client.begin("/test.v1.Probe/Forever", &[], &framed(b"")).await.unwrap();
    let answer = server.call("/test.v1.Probe/Forever", &[], b"").await;
    assert_eq!(answer.code(), Code::ResourceExhausted);
    assert!(answer.text().contains("max-streams-in-flight = 1"), "{}", answer.text());
    assert_eq!(answer.info(), info("SERVER_BUSY", "max-streams-in-flight", "1"));
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    drop(open);
}

#[tokio::test]
async fn a_call_has_a_deadline_and_the_client_may_shorten_it() {
    let server = Server::start(&[("request-deadline", "20ms")]).await;
    for headers in [&[][..], &[("grpc-timeout", "1H")]] {
        let answer = server.call("/test.v1.Probe/Hang", headers, b"").await;
        assert_eq!(answer.code(), Code::DeadlineExceeded, "{headers:?}");
        assert_eq!(answer.info(), info("DEADLINE_EXCEEDED", "request-deadline", "20ms"));
    }
    let server = Server::start(&[("request-deadline", "1h")]).await;
    let answer = server.call("/test.v1.Probe/Hang", &[("grpc-timeout", "20m")], b"").await;
    assert_eq!(answer.code(), Code::DeadlineExceeded);
    assert_eq!(answer.info(), info("DEADLINE_EXCEEDED", "grpc-timeout", "20ms"));
    let answer = server.call("/test.v1.Probe/Echo", &[("grpc-timeout", "soon")], b"").await;
    assert_eq!(answer.code(), Code::InvalidArgument);
}

/// Whoever gave up before we began must not find the work done.
#[tokio::test]
async fn a_call_whose_time_is_over_is_not_begun() {
    use countersign::pb::c1::api::policy::v1::CreatePolicyRequest;
    use prost::Message as _;

    let server = crate::harness::Server::start().await;
    let request = CreatePolicyRequest { display_name: "Late".to_owned(), ..Default::default() };
    let message = request.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    for timeout in ["0n", "0H", "1n"] {
        let headers = [("grpc-timeout", timeout)];
        let mut client = Client::connect(server.addr, None).await;
        let answer = client.call_raw("/c1.api.policy.v1.Policies/Create", &headers, &frame).await;
        assert_eq!(answer.code(), Code::DeadlineExceeded, "{timeout}");
        assert_eq!(answer.info().0, "DEADLINE_EXCEEDED");

        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = br#"{"displayName": "Late"}"#;
        let answer = crate::harness::http(server.addr, "POST", "/api/v1/policies", &headers, body).await;
        assert_eq!(answer.status, 504, "{timeout} {:?}", answer.body);
        assert_eq!(answer.json()["details"][0]["reason"], "DEADLINE_EXCEEDED");
    }
    let list = crate::harness::http(server.addr, "GET", "/api/v1/policies", &[], b"").await.json();
    assert_eq!(list["list"], serde_json::json!([]), "nothing was stored");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_meets_the_deadline() {
    let server = Server::start(&[("request-deadline", "20ms")]).await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let never = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>();
    let request = http::Request::post("http://test/test.v1.Probe/Echo")
        .header("content-type", "application/grpc")
        .body(http_body_util::StreamBody::new(never))
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn a_watch_outlives_the_deadline_of_calls() {
    let server = Server::start(&[("request-deadline", "20ms")]).await;
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(server.channel()).watch(request).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    // A call that began after the watch has met its deadline, so the watch would have, too.
    assert_eq!(server.call("/test.v1.Probe/Hang", &[], b"").await.code(), Code::DeadlineExceeded);
    server.health.send(Health::NotReady { why: "trouble".to_owned() }).unwrap();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

/// Reads until the server closes, and returns what came.
fn until_closed(mut stream: std::net::TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    read
}

#[tokio::test]
async fn a_peer_that_never_says_what_it_speaks_is_let_go() {
    let server = Server::start(&[("handshake-timeout", "20ms"), ("http1-header-timeout", "20ms")]).await;
    let half_a_head = "GET /livez HTTP/1.1\r\nHost: test\r\nX-Half";
    for begin in ["", "PRI * HTT", half_a_head] {
        let mut stream = std::net::TcpStream::connect(server.addr).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        tokio::task::spawn_blocking(move || until_closed(stream)).await.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_leaves_its_answer_unread_is_let_go() {
    let server = Server::start(&[("response-timeout", "20ms"), ("handshake-timeout", "1s")]).await;
    let mut client = Client::connect(server.addr, Some(0)).await;
    let unread = client.begin("/test.v1.Probe/Echo", &[], &framed(b"answer")).await.unwrap();
    let _ = within(&mut client.closed).await.unwrap();
    drop(unread);
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let server = Server::start(&[("max-connections", "1")]).await;
    let mut first = server.connect().await;
    assert_eq!(first.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    let addr = server.addr;
    let mut second = tokio::spawn(async move {
        let mut second = Client::connect(addr, None).await;
        second.call("/test.v1.Probe/Echo", &[], b"").await.code()
    });
    // The first connection is served, again and again, and the second is not.
    for _ in 0..20 {
        assert_eq!(first.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
        assert!(!second.is_finished());
    }
    drop(first);
    assert_eq!(within(&mut second).await.unwrap(), Code::Ok);
}
