//! What a browser would send: gRPC-Web over HTTP/1.1, and the preflights of CORS.

use countersign::app::SystemClock;
use countersign::auth::Role;
use countersign::pb::c1::api::policy::v1::{GetPolicyRequest, ListPolicyRequest, ListPolicyResponse};
use prost::Message;
use std::sync::Arc;

use super::harness::{Answer, ManualClock, Server, http, settings};

async fn server(others: &[(&str, &str)]) -> Server {
    Server::with(&settings("memory:", others), Arc::new(SystemClock::default())).await
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// One call as gRPC-Web's clients write it.
async fn call(server: &Server, method: &str, message: &impl Message, content_type: &str) -> Answer {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    frame.extend(message.encode_to_vec());
    let headers = headers(&[
        ("content-type", content_type),
        ("origin", "https://app.example.com"),
        ("x-grpc-web", "1"),
    ]);
    http(server.addr, "POST", method, &headers, &frame).await
}

/// The frames of an answer: the flags of each, and its bytes.
fn frames(mut body: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [flags, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        frames.push((*flags, &rest[..length]));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "a frame is cut off");
    frames
}

const LIST: &str = "/c1.api.policy.v1.Policies/List";
const GET: &str = "/c1.api.policy.v1.Policies/Get";
const BINARY: &str = "application/grpc-web+proto";

#[tokio::test]
async fn grpc_web_is_spoken_when_it_is_asked_for() {
    let server = server(&[("grpc-web", "true")]).await;
    let body = br#"{"displayName": "One", "policyType": "POLICY_TYPE_GRANT"}"#;
    assert_eq!(http(server.addr, "POST", "/api/v1/policies", &[], body).await.status, 200);

    let answer = call(&server, LIST, &ListPolicyRequest::default(), BINARY).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], BINARY);
    let frames = frames(&answer.body);
    let list = ListPolicyResponse::decode(frames[0].1).unwrap();
    assert_eq!(list.list[0].display_name, "One");
    let (flags, trailers) = frames[1];
    assert_eq!((flags, frames.len()), (0x80, 2));
    assert!(String::from_utf8_lossy(trailers).contains("grpc-status:0"), "{trailers:?}");

    let unknown = call(&server, GET, &GetPolicyRequest { id: "nobody".to_owned() }, BINARY).await;
    assert_eq!((unknown.status, &unknown.headers["grpc-status"]), (200, &"5".parse().unwrap()));
    let nowhere = call(&server, "/no.Service/Call", &GetPolicyRequest::default(), BINARY).await;
    assert_eq!(nowhere.headers["grpc-status"], "12");
    server.stop().await;
}

#[tokio::test]
async fn grpc_web_that_is_no_message_is_refused_and_hurts_nobody() {
    let server = server(&[("grpc-web", "true")]).await;
    for (content_type, body) in [
        (BINARY, &b"\x00\xff\xff\xff\xff"[..]),
        (BINARY, b"\x00\x00\x00\x00\x02\xff\xff"),
        ("application/grpc-web-text", b"!!!"),
        ("application/grpc-web-text", b"AAAA"),
        (BINARY, b""),
    ] {
        let answer = http(server.addr, "POST", LIST, &headers(&[("content-type", content_type)]), body).await;
        let refused = answer.headers.get("grpc-status").map(|code| code.to_str().unwrap().to_owned());
        let in_trailers = String::from_utf8_lossy(&answer.body).contains("grpc-status:0");
        assert_ne!(refused.as_deref(), Some("0"), "{body:?}");
        assert!(!in_trailers, "{body:?}");
    }
    assert_eq!(call(&server, LIST, &ListPolicyRequest::default(), BINARY).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn without_the_setting_grpc_web_is_no_call() {
    let server = server(&[]).await;
    assert_eq!(call(&server, LIST, &ListPolicyRequest::default(), BINARY).await.status, 404);
    server.stop().await;
}

async fn preflight(server: &Server, origin: &str) -> Answer {
    let headers = headers(&[
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,if-match"),
    ]);
    http(server.addr, "OPTIONS", "/api/v1/policies", &headers, b"").await
}

#[tokio::test]
async fn scripts_of_a_listed_origin_may_call_and_others_may_not() {
    let server = server(&[("cors-origins", "https://app.example.com,http://localhost:3000")]).await;
    let allowed = preflight(&server, "http://localhost:3000").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.headers["access-control-allow-origin"], "http://localhost:3000");
    assert_eq!(allowed.headers["access-control-allow-headers"], "authorization,content-type,if-match");
    assert!(allowed.headers["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
    assert!(!allowed.headers.contains_key("access-control-allow-credentials"));
    let refused = preflight(&server, "https://evil.example.com").await;
    assert!(!refused.headers.contains_key("access-control-allow-origin"));

    let origin = headers(&[("origin", "https://app.example.com")]);
    let answer = http(server.addr, "GET", "/api/v1/policies", &origin, b"").await;
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (200, &origin[0].1.parse().unwrap())
    );
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("etag") && exposed.contains("countersign-warning"), "{exposed}");
    server.stop().await;
}

/// A preflight never carries a credential; the call itself does, and a refusal can be read by the script.
#[tokio::test]
async fn a_preflight_needs_no_credential_and_the_call_does() {
    let files = crate::auth::Files::new();
    let token = files.token("page", &[Role::Viewer]);
    let server =
        Server::with(&files.settings("cors-origins = 'https://app.example.com'\n"), ManualClock::at(0)).await;
    assert_eq!(preflight(&server, "https://app.example.com").await.status, 200);
    for (token, wanted) in [("", 401), (token.as_str(), 200)] {
        let mut all = headers(&[("origin", "https://app.example.com")]);
        if !token.is_empty() {
            all.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let answer = http(server.addr, "GET", "/api/v1/policies", &all, b"").await;
        assert_eq!(answer.status, wanted);
        assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example.com");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_the_setting_no_preflight_is_answered() {
    let server = server(&[]).await;
    let answer = preflight(&server, "https://app.example.com").await;
    assert_eq!(answer.status, 501);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    server.stop().await;
}
