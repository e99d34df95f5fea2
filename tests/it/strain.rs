//! Bodies that nobody means: random bytes, and good requests with something changed, to every RPC over both faces. None
//! makes it panic or answer that the fault is its own, and afterwards it serves the next caller.

use ::http::Request;
use bytes::Bytes;
use countersign::pb;
use countersign::pb::c1::api::policy::v1::{CreatePolicyRequest, policies_client::PoliciesClient};
use countersign::policy::guardian::NUL;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use std::fs;
use std::path::Path;
use tonic::Code;

use crate::grpc::{call, call_streaming};
use crate::harness::{Dice, Server, http};

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

/// What stands for the fault of the service. In its strict mode Guardian answers INTERNAL for what is the caller's, in its own
/// words.
fn is_ours(compat: &str, code: Code, message: &str) -> bool {
    let is_guardians = ["failed to create policy: ", "failed to update policy: ", "failed to parse policy: "]
        .iter()
        .any(|prefix| message.starts_with(prefix) && !message.ends_with(": internal error"))
        || message == "Internal error, please check log"
        || ["failed to retrieve policy: ", "failed to get policy list: "]
            .iter()
            .any(|prefix| message.strip_prefix(prefix) == Some(NUL));
    match code {
        Code::Internal => compat != "strict" || !is_guardians,
        Code::Unknown | Code::DataLoss | Code::DeadlineExceeded => true,
        _ => false,
    }
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

/// The packages whose services are strained, each with the modes of Guardian's in which they differ.
const PACKAGES: [(&str, &[&str]); 4] = [
    ("c1.api.policy.v1", &["default"]),
    ("countersign.v1", &["default"]),
    ("gotocompany.guardian.v1beta1", &["default", "strict"]),
    ("raystack.guardian.v1beta1", &["default", "strict"]),
];

/// The methods of the services that differ in this mode.
fn methods(compat: &str) -> Vec<MethodDescriptor> {
    let strained =
        |package: &str| PACKAGES.iter().any(|(name, modes)| *name == package && modes.contains(&compat));
    let services = pb::pool().services().filter(|service| strained(service.package_name()));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// A service that is forgotten above would be strained by nobody.
#[test]
fn every_service_is_strained() {
    for service in pb::pool().services() {
        let known = PACKAGES.iter().any(|(name, _)| *name == service.package_name());
        assert!(known, "{} is not strained", service.full_name());
    }
}

/// Requests that are good, of every dialect; `ID` is the id of a policy of the first that is there, `data` of one of Guardian's.
fn seeds() -> Vec<String> {
    let own = [
        r#"{"policy":{"id":"data","steps":[{"name":"a","strategy":"manual","approvers":["a@b.example","$appeal.account_id"],"when":"$appeal.role == 'x'"},{"name":"b","strategy":"auto","approveIf":"len($appeal.description) > 1","rejectionReason":"'no ' + $appeal.role"}]},"dryRun":true}"#,
        r#"{"id":"data","policy":{"steps":[{"name":"a","strategy":"manual","approvers":["a@b.example"],"details":{"z":1e3}}],"labels":{"a":"b"},"createdAt":"2020-01-01T00:00:00Z"}}"#,
        r#"{"policy":{"id":"q","steps":[{"name":"a","strategy":"manual","approvers":["a@b.example"]}],"requirements":[{"on":{"role":"^[a&&b]\\Q.\\E","resourceUrn":"x+","conditions":[{"field":"$resource.details.a","match":{"eq":[1,null]}}],"expression":"$appeal.role matches 'x'"},"appeals":[{"resource":{"id":"r"},"role":"v","policy":{"id":"data","version":1}}]}],"appeal":{"durationOptions":[{"name":"d","value":"1h30m"}],"questions":[{"key":"k"}]},"iam":{"provider":"http","config":{"url":"http://x","auth":{"type":"basic","username":"u","password":"p"}}}}}"#,
        r#"{"ids":["data","data:0","data:1"],"size":2,"offset":1,"fieldMasks":["total"]}"#,
        r#"{"id":"data","version":1}"#,
        r#"{"policyId":"ID","pageSize":2,"view":"REVISION_VIEW_FULL"}"#,
        r#"{"policyId":"data","revision":"1","dialect":"POLICY_DIALECT_GUARDIAN"}"#,
        r#"{"pageSize":3,"pageToken":"AA"}"#,
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data");
    let files = [
        "simulate/guardian-requirements.json",
        "simulate/guardian-stages.json",
        "simulate/approval-delegated.json",
        "simulate/escalation-in-a-circle.json",
        "simulate/who-can-approve.json",
        "analyze/circle.json",
        "analyze/guardian-steps.json",
        "compare/guardian-step-renamed.json",
        "compare/action-changed.json",
    ];
    let bodies = files.map(|file| {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["body"].to_string()
    });
    let batch = format!(r#"{{"policy":{{"policyId":"ID"}},"cases":[{{"id":"a","request":{}}}]}}"#, "{}");
    SEEDS.iter().chain(&own).map(|seed| (*seed).to_owned()).chain(bodies).chain([batch]).collect()
}

async fn with_policy(compat: &str) -> (Server, PoliciesClient<tonic::transport::Channel>, String) {
    let server = crate::guardian::server(&[("guardian-compat", compat)]).await;
    let steps = r#"{"id":"data","steps":[{"name":"a","strategy":"manual","approvers":["a@b.example"]}]}"#;
    let made = http(server.addr, "POST", "/api/v1beta1/policies", &[], steps.as_bytes()).await;
    assert_eq!(made.status, 200);
    let mut client = PoliciesClient::new(server.channel().await);
    let request = CreatePolicyRequest {
        display_name: "Name".to_owned(),
        policy_type: 1,
        ..CreatePolicyRequest::default()
    };
    let id = client.create(request).await.unwrap().into_inner().policy.unwrap().id;
    (server, client, id)
}

/// Every path that the http rules make, with ids in their places.
fn routes(method: &MethodDescriptor) -> Vec<(String, String)> {
    let rules = pb::pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    if !options.has_extension(&rules) {
        return Vec::new();
    }
    let rule = options.get_extension(&rules);
    let rule = rule.as_message().unwrap();
    ["get", "post", "put", "delete"]
        .into_iter()
        .filter_map(|verb| {
            let path = rule.get_field_by_name(verb)?.as_str()?.to_owned();
            let id = if path.starts_with("/api/v1beta1/") { "data" } else { "ID" };
            let path = path
                .replace("{id}", id)
                .replace("{policy.id}", id)
                .replace("{policy_id}", id)
                .replace("{version}", "1")
                .replace("{revision}", "latest");
            assert!(!path.contains('{'), "{path}");
            (!path.is_empty()).then(|| (verb.to_uppercase(), path))
        })
        .collect()
}

/// The whole answer is JSON: an object, or one a line where a stream is answered.
fn is_json(streams: bool, text: &[u8]) -> bool {
    let is_object =
        |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value.is_object());
    if streams {
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).all(is_object)
    } else {
        is_object(text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_over_rest_is_our_fault() {
    for compat in ["default", "strict"] {
        strain_rest(compat).await;
    }
}

async fn strain_rest(compat: &str) {
    let (server, mut client, id) = with_policy(compat).await;
    let mut dice = Dice::new("strain over REST");
    let seeds = seeds();
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut strained = 0;
    for method in methods(compat) {
        let streams = method.is_server_streaming();
        for (verb, route) in routes(&method) {
            strained += 1;
            // The one policy must stay.
            let route = if verb == "DELETE" { route.replace("ID", "other") } else { route };
            for n in 0..BODIES {
                let good = seeds[dice.below(seeds.len())].replace("ID", &id);
                // Where the body is the policy, one in a request is taken out of it, as often as not.
                let good = match serde_json::from_str::<serde_json::Value>(&good) {
                    Ok(json) if dice.one_in(2) && json["policy"].is_object() => json["policy"].to_string(),
                    _ => good,
                };
                let body = if n % 5 == 0 { random(&mut dice) } else { mutated(&mut dice, good.as_bytes()) };
                let mut target = route.replace("ID", &id);
                if dice.one_in(4) {
                    let query = mutated(
                        &mut dice,
                        b"page_size=3&pageToken=AA&policy.displayName=x&updateMask=a,b&dry_run=t&ids=data:0&size=1&%41=%",
                    );
                    let query = query
                        .into_iter()
                        .filter(|byte| byte.is_ascii_graphic() && *byte != b'#' && *byte != b'"');
                    target.push('?');
                    target.extend(query.map(char::from));
                }
                let Ok(request) = Request::builder()
                    .method(verb.as_str())
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
                let json = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
                let message = json["message"].as_str().unwrap_or_default();
                assert!(
                    matches!(status, 200 | 400 | 404 | 409 | 501)
                        || (status == 500 && !is_ours(compat, Code::Internal, message)),
                    "{status}: {verb} {target} {shown}\n{text:?}"
                );
                assert!(is_json(streams, &text), "{verb} {target} {shown}\n{text:?}");
            }
        }
    }
    assert!(strained >= if compat == "strict" { 5 } else { 21 }, "{strained} routes");
    let request = CreatePolicyRequest { display_name: "Alive".to_owned(), ..CreatePolicyRequest::default() };
    client.create(request).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_over_grpc_is_our_fault() {
    for compat in ["default", "strict"] {
        strain_grpc(compat).await;
    }
}

async fn strain_grpc(compat: &str) {
    let (server, mut client, id) = with_policy(compat).await;
    let channel = server.channel().await;
    let mut dice = Dice::new("strain over gRPC");
    let all = seeds();
    for method in methods(compat) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        // Every seed that is a request of this method.
        let mut seeds: Vec<Vec<u8>> = Vec::new();
        for seed in &all {
            let text = seed.replace("ID", &id);
            let mut json = serde_json::Deserializer::from_str(&text);
            if let Ok(message) = DynamicMessage::deserialize(method.input(), &mut json) {
                seeds.push(prost::Message::encode_to_vec(&message));
            }
        }
        assert!(!seeds.is_empty(), "{path}");
        // What nobody answers need not be asked often.
        let is_served = call(&channel, &path, Vec::new()).await.err().map(|status| status.code());
        let bodies = if is_served == Some(Code::Unimplemented) { BODIES / 15 } else { BODIES };
        for n in 0..bodies {
            let body = match n % 5 {
                0 => random(&mut dice),
                _ => {
                    let good = seeds[dice.below(seeds.len())].clone();
                    mutated(&mut dice, &good)
                }
            };
            let answer = if method.is_server_streaming() {
                call_streaming(&channel, &path, body.clone()).await
            } else {
                call(&channel, &path, body.clone()).await.map(drop)
            };
            if let Err(status) = answer {
                assert!(!is_ours(compat, status.code(), status.message()), "{path} {body:?}\n{status:?}");
                assert!(status.code() != Code::Unavailable, "{path} {body:?}\n{status:?}");
            }
        }
    }
    let request = CreatePolicyRequest { display_name: "Alive".to_owned(), ..CreatePolicyRequest::default() };
    client.create(request).await.unwrap();
    server.stop().await;
}
