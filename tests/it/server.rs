//! The frame over real sockets, with a service of the tests' own inside it.

mod age;
mod bodies;
mod drain;
mod keep_alive;
mod limits;
mod payloads;
pub mod probe;
pub mod process;
pub mod tls;
mod unix;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use countersign::store::Health;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use probe::{Server, within};

/// Sends bytes over HTTP/1.1 and reads until the other side closes.
pub fn http1(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(probe::PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(addr: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    tokio::task::spawn_blocking(move || http1(addr, &request)).await.unwrap()
}

async fn health(server: &Server, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(server.channel()).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_names_the_server_and_each_service() {
    let server = Server::start(&[]).await;
    for service in ["", "test.v1.Probe", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
        assert_eq!(health(&server, service).await, Ok(ServingStatus::Serving), "{service:?}");
    }
    assert_eq!(health(&server, "test.v1.Other").await, Err(Code::NotFound));
    assert!(get(server.admin_addr, "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(get(server.admin_addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(server.admin_addr, "/other").await.starts_with("HTTP/1.1 404"));
    assert!(get(server.addr, "/healthz").await.starts_with("HTTP/1.1 404"), "that is for the admin port");
}

#[tokio::test]
async fn a_store_in_trouble_makes_the_service_not_ready_until_it_recovers() {
    let server = Server::start(&[]).await;
    let request = HealthCheckRequest { service: "test.v1.Probe".to_owned() };
    let mut watch = HealthClient::new(server.channel()).watch(request).await.unwrap().into_inner();
    let mut next = async || within(watch.message()).await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::Serving);

    server.health.send(Health::NotReady { why: "fsync failed: EIO".to_owned() }).unwrap();
    assert_eq!(next().await, ServingStatus::NotServing);
    let ready = get(server.admin_addr, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("fsync failed: EIO"), "{ready}");
    assert!(get(server.admin_addr, "/livez").await.starts_with("HTTP/1.1 200"));

    server.health.send(Health::Ready).unwrap();
    assert_eq!(next().await, ServingStatus::Serving);
    assert!(get(server.admin_addr, "/readyz").await.starts_with("HTTP/1.1 200"));
}

const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "test.v1.Probe",
];

/// Whether it is a service over policies, of which the crate's own descriptors have several.
fn is_ours(name: &str) -> bool {
    name.starts_with("c1.") || name.starts_with("countersign.") || name.contains(".guardian.")
}

#[tokio::test]
async fn reflection_v1_lists_every_service_and_serves_descriptors_byte_for_byte() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let server = Server::start(&[]).await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel());
    let ask = |message| v1::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("test.v1.Probe.Echo".to_owned())),
    ];
    let stream = tokio_stream_of(requests);
    let mut answers = client.server_reflection_info(stream).await.unwrap().into_inner();
    let mut next = async || within(answers.message()).await.unwrap().unwrap().message_response.unwrap();

    let MessageResponse::ListServicesResponse(list) = next().await else { panic!("not a list") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.retain(|name| !is_ours(name));
    names.sort();
    assert_eq!(names, SERVICES);
    let MessageResponse::FileDescriptorResponse(files) = next().await else { panic!("not a file") };
    assert_eq!(
        files.file_descriptor_proto,
        [probe::file_bytes()],
        "options that prost does not know survive"
    );
}

#[tokio::test]
async fn reflection_v1alpha_lists_every_service() {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let server = Server::start(&[]).await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream_of([request])).await.unwrap().into_inner();
    let answer = within(answers.message()).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("not a list") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.retain(|name| !is_ours(name));
    names.sort();
    assert_eq!(names, SERVICES);
}

fn tokio_stream_of<T: Send + 'static>(
    items: impl IntoIterator<Item = T, IntoIter: Send + 'static>,
) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::iter(items)
}

#[tokio::test]
async fn the_request_id_is_echoed_or_made() {
    let server = Server::start(&[]).await;
    let too_long = "x".repeat(129);
    for (sent, kept) in
        [(Some("from-me-1"), true), (Some(too_long.as_str()), false), (Some("a b"), false), (None, false)]
    {
        let headers: Vec<_> = sent.map(|id| ("x-request-id", id)).into_iter().collect();
        let answer = server.call("/test.v1.Probe/Echo", &headers, b"hello").await;
        assert_eq!((answer.code(), answer.message.as_deref()), (Code::Ok, Some(b"hello".as_slice())));
        let id = answer.head["x-request-id"].to_str().unwrap();
        if kept {
            assert_eq!(Some(id), sent);
        } else {
            assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7, "{id}");
        }
        assert_eq!(server.probe.last_request_id(), id, "handlers see the same id");
    }
    let refused = server.call("/test.v1.Probe/NoSuch", &[("x-request-id", "from-me-2")], b"").await;
    assert_eq!(
        (refused.code(), &refused.head["x-request-id"]),
        (Code::Unimplemented, &"from-me-2".parse().unwrap())
    );
    let rest = "GET /nowhere HTTP/1.1\r\nHost: t\r\nX-Request-Id: from-me-3\r\nConnection: close\r\n\r\n";
    let rest = tokio::task::spawn_blocking(move || http1(server.addr, rest)).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 404") && rest.contains("x-request-id: from-me-3"), "{rest}");
    assert!(rest.contains("\"code\":5"), "{rest}");
}

#[tokio::test]
async fn a_panic_is_internal_for_its_caller_and_nothing_for_the_others() {
    let server = Server::start(&[]).await;
    for path in ["/test.v1.Probe/Panic", "/test.v1.Probe/PanicInStream"] {
        let answer = server.call(path, &[], b"").await;
        assert_eq!(answer.code(), Code::Internal, "{path}");
        assert_eq!(answer.text(), "internal error", "the text of a panic stays inside");
    }
    assert_eq!(server.call("/test.v1.Probe/Echo", &[], b"").await.code(), Code::Ok);
    let metrics = get(server.admin_addr, "/metrics").await;
    let counted = "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"test.v1.Probe\",\
                   grpc_method=\"Panic\",grpc_code=\"Internal\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let server = Server::start(&[]).await;
    for path in ["/test.v1.Probe/NoSuch", "/no.such.Service/Method", "/", "/x"] {
        let answer = server.call(path, &[], b"").await;
        assert_eq!(answer.code(), Code::Unimplemented, "{path}");
        assert_eq!(answer.info().0, "METHOD_UNKNOWN", "{path}");
        assert!(answer.message.is_none());
    }
}

#[tokio::test]
async fn a_message_that_does_not_decode_is_the_callers_mistake() {
    let server = Server::start(&[]).await;
    let answer = server.call_raw("/test.v1.Probe/Echo", &[], &[0, 0, 0, 0, 2, 0x0a, 0xff]).await;
    assert_eq!(answer.code(), Code::InvalidArgument, "{}", answer.text());
    assert_eq!(answer.info().0, "MESSAGE_MALFORMED");
}

#[tokio::test]
async fn metrics_are_there_at_zero_and_count() {
    let server = Server::start(&[]).await;
    let before = get(server.admin_addr, "/metrics").await;
    let echo = "grpc_type=\"unary\",grpc_service=\"test.v1.Probe\",grpc_method=\"Echo\"";
    let watch = "grpc_type=\"server_stream\",grpc_service=\"grpc.health.v1.Health\",grpc_method=\"Watch\"";
    for zero in [
        format!("grpc_server_started_total{{{echo}}} 0"),
        format!("grpc_server_started_total{{{watch}}} 0"),
        format!("grpc_server_handled_total{{{echo},grpc_code=\"OK\"}} 0"),
        format!("grpc_server_handled_total{{{echo},grpc_code=\"DeadlineExceeded\"}} 0"),
        format!("grpc_server_handled_total{{{watch},grpc_code=\"Canceled\"}} 0"),
        format!("grpc_server_handling_seconds_count{{{echo}}} 0"),
        "countersign_store_commit_batch_size_count 0".to_owned(),
        "countersign_store_fsync_seconds_count 0".to_owned(),
    ] {
        assert!(before.contains(&format!("\n{zero}\n")), "{zero} is not in\n{before}");
    }
    for message in ["a", "b"] {
        assert_eq!(server.call("/test.v1.Probe/Echo", &[], message.as_bytes()).await.code(), Code::Ok);
    }
    server.call_raw("/test.v1.Probe/Echo", &[], &[0, 0, 0, 0, 2, 0x0a, 0xff]).await;
    server.metrics.store().commit_batch(3);
    server.metrics.store().fsync(std::time::Duration::from_millis(1));
    let after = get(server.admin_addr, "/metrics").await;
    for counted in [
        format!("grpc_server_started_total{{{echo}}} 3"),
        format!("grpc_server_handled_total{{{echo},grpc_code=\"OK\"}} 2"),
        format!("grpc_server_handled_total{{{echo},grpc_code=\"InvalidArgument\"}} 1"),
        format!("grpc_server_handling_seconds_count{{{echo}}} 3"),
        "countersign_store_commit_batch_size_sum 3.0".to_owned(),
        "countersign_store_fsync_seconds_count 1".to_owned(),
    ] {
        assert!(after.contains(&format!("\n{counted}\n")), "{counted} is not in\n{after}");
    }
}

/// One request over HTTP/1.1; the status line, the head and the body.
async fn rest(server: &Server, request: &str) -> (String, String, String) {
    let (addr, request) = (server.addr, request.to_owned());
    let answer = tokio::task::spawn_blocking(move || http1(addr, &request)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, head) = head.split_once("\r\n").unwrap();
    (status.to_owned(), head.to_owned(), body.to_owned())
}

fn rest_get(id: &str, header: &str) -> String {
    format!("GET /api/v1/policies/{id} HTTP/1.1\r\nHost: t\r\n{header}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn rest_passes_the_same_layers() {
    let server = Server::start(&[("max-header-bytes", "16KiB")]).await;
    let too_large = format!("X-Pad: {}\r\n", "x".repeat(17 * 1024));
    let cases = [
        ("fine", "", "200", "{"),
        ("refused", "", "409", r#""code":10,"message":"somebody else was first""#),
        ("Panic", "", "500", r#""code":13,"message":"internal error","details":[{"@type""#),
        ("Hang", "Grpc-Timeout: 20m\r\n", "504", r#""code":4,"#),
        ("Hang", "Grpc-Timeout: 20m\r\n", "504", r#""setting":"grpc-timeout""#),
        ("fine", "Grpc-Timeout: soon\r\n", "400", "invalid grpc-timeout"),
        ("fine", &too_large, "400", r#""code":11,"message":"the request headers are too large"#),
        ("fine", &too_large, "400", "max-header-bytes = 16384"),
    ];
    for (id, header, status, body) in cases {
        let answer = rest(&server, &rest_get(id, header)).await;
        assert!(answer.0.starts_with(&format!("HTTP/1.1 {status}")), "{id}: {answer:?}");
        assert!(answer.1.contains("content-type: application/json"), "{id}: {answer:?}");
        assert!(answer.1.contains("x-request-id: "), "{id}: {answer:?}");
        assert!(answer.2.contains(body) && !answer.2.contains("secret"), "{id}: {answer:?}");
    }
    let metrics = get(server.admin_addr, "/metrics").await;
    for (code, count) in [
        ("OK", 1),
        ("Aborted", 1),
        ("Internal", 1),
        ("DeadlineExceeded", 2),
        ("InvalidArgument", 1),
        ("OutOfRange", 2),
    ] {
        let counted = format!("grpc_method=\"Get\",grpc_code=\"{code}\"}} {count}\n");
        assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    }
}

#[tokio::test]
async fn rest_bodies_have_the_same_limit_and_the_refusal_names_it() {
    let server = Server::start(&[("max-message-bytes", "1KiB")]).await;
    let request = format!(
        "POST /api/v1/policies HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n{}",
        "x".repeat(2000)
    );
    let (status, _, body) = rest(&server, &request).await;
    assert!(status.starts_with("HTTP/1.1 400") && body.contains("1024"), "{status} {body}");
}

/// In the real service, in both dialects of JSON; over gRPC it is another code, that of a message that is too large for tonic.
#[tokio::test]
async fn every_dialect_refuses_a_large_body_alike() {
    use crate::harness::{Server, http, settings};
    use std::sync::Arc;

    let settings = settings("memory:", &[("max-message-bytes", "1KiB")]);
    let server = Server::with(&settings, Arc::new(countersign::app::SystemClock::default())).await;
    for (verb, path) in [
        ("POST", "/api/v1/policies"),
        ("POST", "/api/v1beta1/policies"),
        ("PUT", "/api/v1beta1/policies/p"),
        ("POST", "/v1/policies:simulate"),
    ] {
        let answer = http(server.addr, verb, path, &[], &[b' '; 1025]).await;
        assert_eq!(answer.status, 400, "{path} {:?}", answer.body);
        let json = answer.json();
        assert_eq!(json["code"], 11, "{path} {json}");
        assert_eq!(json["details"][0]["reason"], "BODY_TOO_LARGE", "{path} {json}");
        assert_eq!(json["details"][0]["metadata"]["limitBytes"], "1024", "{path} {json}");
        let answer = http(server.addr, verb, path, &[], &[b' '; 1024]).await;
        assert_ne!(answer.json()["code"], 11, "{path} {:?}", answer.body);
    }
    let mut grpc =
        countersign::pb::c1::api::policy::v1::policies_client::PoliciesClient::new(server.channel().await);
    let request = countersign::pb::c1::api::policy::v1::CreatePolicyRequest {
        display_name: "x".repeat(1025),
        ..Default::default()
    };
    assert_eq!(grpc.create(request).await.unwrap_err().code(), Code::ResourceExhausted);
    server.stop().await;
}

#[tokio::test]
async fn rest_over_http2_shares_the_port() {
    let server = Server::start(&[]).await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    let request = http::Request::get("http://test/api/v1/policies/fine").body(body).unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (http::StatusCode::OK, &"application/json".parse().unwrap())
    );
}
