//! Bodies that nobody means: random bytes, and good requests with something changed, to every RPC over both faces. None
//! makes it panic or answer that the fault is its own, and afterwards it serves the next caller.

use bytes::Bytes;
use countersign::pb;
use countersign::pb::c1::api::policy::v1::{CreatePolicyRequest, policies_client::PoliciesClient};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Code;

use crate::grpc::call;
use crate::harness::{Dice, Server};

const BODIES: usize = 150;

/// Requests that are good, or nearly; `ID` is the id of a policy that is there.
const SEEDS: [&str; 9] = [
    r#"{"displayName":"Näme","policyType":"POLICY_TYPE_GRANT","policySteps":{"grant":{"steps":[{"approval":{"users":{"userIds":["u1","u2"]},"escalationEnabled":true,"escalation":{"expiration":"60","replacePolicy":{"policyId":"ID"}}}},{"wait":{"duration":{"duration":"3600.5s"}}}]}}}"#,
    r#"{"displayName":"Form","policySteps":{"x":{"steps":[{"form":{"form":{"displayName":"Why","fields":[{"name":"reason","stringField":{}}]}}},{"provision":{"provisionPolicy":{"connector":{"account":{"connectorId":"c1","config":{"z":1e3,"a":[null,true,{"b":"\u00fc\ud83d\ude00"}]}}}}}}]}}}"#,
    r#"{"displayName":"R","policyType":1,"rules":[{"condition":"true","policyId":"ID"},{"condition":"a","stepKey":"grant"}],"scope":{"appId":"a","slot":"POLICY_SCOPE_SLOT_EMERGENCY"},"annotations":{"a":"1"}}"#,
    r#"{"policy":{"id":"ID","description":"x","rules":null,"annotations":{"a":""}},"updateMask":"policySteps.`a b`.steps,description"}"#,
    r#"{"policy":{"displayName":"y","policySteps":{"grant":{"steps":[{"reject":{}}]}}},"updateMask":"*"}"#,
    r#"{"query":"na f","displayName":"","policyTypes":["POLICY_TYPE_GRANT",2],"pageSize":3,"pageToken":"AAAA","scopeView":"POLICY_SCOPE_VIEW_ALL"}"#,
    r#"{"refs":[{"id":"ID"}],"excludePolicyIds":["x"],"includeDeleted":true,"scopeAppId":"a","scopeSlot":0}"#,
    r#"{"id":"ID"}"#,
    r#"{}"#,
];

/// What stands for the fault of the service.
fn is_ours(code: Code) -> bool {
    matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded)
}

/// Something that JSON readers and those who use what they read trip over.
const SPLINTERS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-",
    "1e999",
    "-0",
    "0x1",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "*",
    "`",
    ".",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "\u{10ffff}",
];

fn random(dice: &mut Dice) -> Vec<u8> {
    (0..dice.below(200)).map(|_| dice.next() as u8).collect()
}

fn mutated(dice: &mut Dice, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(12)).min(bytes.len());
        match dice.below(6) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, SPLINTERS[dice.below(SPLINTERS.len())].bytes())),
            2 => drop(bytes.splice(at..end, SPLINTERS[dice.below(SPLINTERS.len())].bytes())),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                drop(bytes.splice(to..to, piece));
            }
            4 => bytes.truncate(at),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.next() as u8),
        }
    }
    bytes
}

fn methods() -> Vec<MethodDescriptor> {
    let services = pb::pool().services().filter(|service| service.package_name().starts_with("c1."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

async fn with_policy() -> (Server, PoliciesClient<tonic::transport::Channel>, String) {
    let server = Server::start().await;
    let mut client = PoliciesClient::new(server.channel().await);
    let request = CreatePolicyRequest {
        display_name: "Name".to_owned(),
        policy_type: 1,
        ..CreatePolicyRequest::default()
    };
    let id = client.create(request).await.unwrap().into_inner().policy.unwrap().id;
    (server, client, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_over_rest_is_our_fault() {
    let (server, mut client, id) = with_policy().await;
    let mut dice = Dice::new("strain over REST");
    let routes = [
        ("POST", "/api/v1/policies".to_owned()),
        ("GET", "/api/v1/policies".to_owned()),
        ("GET", "/api/v1/policies/ID".to_owned()),
        ("POST", "/api/v1/policies/ID".to_owned()),
        ("DELETE", "/api/v1/policies/other".to_owned()),
        ("POST", "/api/v1/search/policies".to_owned()),
        ("POST", "/api/v1/policies/validate/cel".to_owned()),
        ("POST", "/api/v1/policies/test-account-provision-policy".to_owned()),
    ];
    assert_eq!(routes.len(), methods().len(), "a route is missing");
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (verb, route) in routes {
        for n in 0..BODIES {
            let good = SEEDS[dice.below(SEEDS.len())].replace("ID", &id);
            let body = if n % 5 == 0 { random(&mut dice) } else { mutated(&mut dice, good.as_bytes()) };
            let mut target = route.replace("ID", &id);
            if dice.one_in(4) {
                let query =
                    mutated(&mut dice, b"page_size=3&pageToken=AA&policy.displayName=x&updateMask=a,b&%41=%");
                let query = query
                    .into_iter()
                    .filter(|byte| byte.is_ascii_graphic() && *byte != b'#' && *byte != b'"');
                target.push('?');
                target.extend(query.map(char::from));
            }
            let Ok(request) = Request::builder()
                .method(verb)
                .uri(&target)
                .header("host", "test")
                .body(Full::new(Bytes::from(body.clone())))
            else {
                continue;
            };
            let shown = String::from_utf8_lossy(&body).into_owned();
            sender.ready().await.unwrap();
            let answer =
                sender.send_request(request).await.unwrap_or_else(|e| panic!("{e}: {target} {shown}"));
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(
                matches!(status, 200 | 400 | 404 | 409 | 501),
                "{status}: {verb} {target} {shown}\n{text:?}"
            );
            let parsed = serde_json::from_slice::<serde_json::Value>(&text);
            assert!(parsed.is_ok_and(|value| value.is_object()), "{verb} {target} {shown}\n{text:?}");
        }
    }
    let request = CreatePolicyRequest { display_name: "Alive".to_owned(), ..CreatePolicyRequest::default() };
    client.create(request).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_over_grpc_is_our_fault() {
    let (server, mut client, id) = with_policy().await;
    let channel = server.channel().await;
    let mut dice = Dice::new("strain over gRPC");
    for method in methods() {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        // Every seed that is a request of this method.
        let mut seeds: Vec<Vec<u8>> = Vec::new();
        for seed in SEEDS {
            let text = seed.replace("ID", &id);
            let mut json = serde_json::Deserializer::from_str(&text);
            if let Ok(message) = DynamicMessage::deserialize(method.input(), &mut json) {
                seeds.push(prost::Message::encode_to_vec(&message));
            }
        }
        assert!(!seeds.is_empty(), "{path}");
        for n in 0..BODIES {
            let body = match n % 5 {
                0 => random(&mut dice),
                _ => {
                    let good = seeds[dice.below(seeds.len())].clone();
                    mutated(&mut dice, &good)
                }
            };
            if let Err(status) = call(&channel, &path, body.clone()).await {
                assert!(!is_ours(status.code()), "{path} {body:?}\n{status:?}");
                assert!(status.code() != Code::Unavailable, "{path} {body:?}\n{status:?}");
            }
        }
    }
    let request = CreatePolicyRequest { display_name: "Alive".to_owned(), ..CreatePolicyRequest::default() };
    client.create(request).await.unwrap();
    server.stop().await;
}
