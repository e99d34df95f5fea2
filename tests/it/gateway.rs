//! The gateway on protos of its own (`data/gateway/*.proto`) and in front of a service that only records: what the
//! service saw and what the caller got, one case of `data/gateway/*.toml` after the other.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's way to fail; clippy's own exemption does not reach functions beside the tests"
)]

mod case;
mod double;

use std::convert::Infallible;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use countersign::gateway::{Gateway, Style, Styles};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use prost_reflect::DescriptorPool;
use tonic::body::Body;

use case::Case;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/gateway");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let files = ["things.proto", "snake.proto", "google/rpc/error_details.proto", "google/rpc/status.proto"];
    compile(Path::new(DATA), &files).expect("the protos of the cases compile")
});

static GATEWAY: LazyLock<Gateway> = LazyLock::new(|| {
    let styles = Styles::all(Style::CONDUCTORONE).with("gateway.snake.v1", Style::GUARDIAN);
    Gateway::new(&POOL, &styles).expect("every rule of the cases can be served").body_limit(4096)
});

fn compile(dir: &Path, files: &[&str]) -> Result<DescriptorPool, Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new([dir, Path::new(PROTO)])?;
    compiler.include_imports(true).open_files(files)?;
    Ok(DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?)
}

#[test]
fn cases() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut failures = Vec::new();
    let mut count = 0;
    for file in ["routing", "query", "body", "mask", "metadata", "answers", "errors", "streams"] {
        for case in Case::read(&Path::new(DATA).join(format!("{file}.toml"))) {
            count += 1;
            if let Err(why) = runtime.block_on(case.run(&GATEWAY, &POOL)) {
                failures.push(format!("{file}.toml: {}: {why}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases fail:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// A server spawns calls, and shares the gateway between them.
#[test]
fn a_gateway_is_shared_and_a_call_is_sent_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    shared(&*GATEWAY);
    let matched = GATEWAY.route(&http::Method::GET, "/v1/things/a").expect("a route");
    let service = tower::service_fn(async |_: http::Request<Body>| {
        Ok::<_, Infallible>(http::Response::new(Body::empty()))
    });
    sent(GATEWAY.call(&matched, http::Request::new(Body::empty()), service));
}

/// Sends a body in pieces that does not say its length, to a service that nobody may call.
fn stream(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> http::Response<Body> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let matched = GATEWAY.route(&http::Method::POST, "/v1/things").expect("a route");
    let request = http::Request::new(StreamBody::new(futures_util::stream::iter(frames)));
    let service =
        tower::service_fn(async |_: http::Request<Body>| -> Result<http::Response<Body>, Infallible> {
            panic!("the service is called")
        });
    runtime.block_on(GATEWAY.call(&matched, request, service))
}

fn text(body: Body) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let body = runtime.block_on(body.collect()).expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

/// A body that breaks off is nobody's message, not even the part that came.
#[test]
fn a_body_that_breaks_off_is_refused() {
    let frames = vec![Ok(Frame::data(Bytes::from_static(b"{}"))), Err(std::io::Error::other("reset"))];
    let response = stream(frames);
    assert_eq!(response.status(), http::StatusCode::BAD_REQUEST);
    let body = text(response.into_body());
    assert!(body.contains("BODY_UNREADABLE") && !body.contains("reset"), "{body}");
}

/// The limit holds for a body that does not say its length.
#[test]
fn a_body_that_grows_over_the_limit_is_refused() {
    let frames = (0..5).map(|_| Ok(Frame::data(Bytes::from(vec![b' '; 1000])))).collect();
    let response = stream(frames);
    assert_eq!(response.status(), http::StatusCode::BAD_REQUEST);
    let body = text(response.into_body());
    assert!(body.contains("BODY_TOO_LARGE") && body.contains("4096"), "{body}");
}

#[derive(serde::Deserialize)]
struct BadRules {
    rule: Vec<BadRule>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct BadRule {
    name: String,
    /// The text of the http option of one RPC.
    option: String,
    /// The types of the RPC, if not plain ones.
    types: Option<String>,
    /// Part of the error.
    why: String,
}

#[test]
fn a_rule_that_cannot_be_served_stops_the_start() {
    let text = std::fs::read_to_string(Path::new(DATA).join("bad_rules.toml")).expect("the data file");
    let rules: BadRules = toml::from_str(&text).expect("the data file is TOML");
    for rule in rules.rule {
        let dir = tempfile::tempdir().expect("a directory");
        let types = rule.types.unwrap_or_else(|| "(Request) returns (Answer)".to_owned());
        let proto = format!(
            "syntax = \"proto3\"; package bad; import \"google/api/annotations.proto\";\n\
             message Request {{ string id = 1; repeated string ids = 2; Answer answer = 3; repeated Answer answers = 4; }}\n\
             message Answer {{ string id = 1; repeated Answer more = 2; }}\n\
             service Bad {{ rpc First(Request) returns (Answer) {{ option (google.api.http) = {{get: \"/taken/{{id}}\"}}; }}\n\
             rpc Rule{types} {{ option (google.api.http) = {{ {} }}; }} }}",
            rule.option
        );
        std::fs::write(dir.path().join("bad.proto"), proto).expect("the file is written");
        let pool =
            compile(dir.path(), &["bad.proto"]).unwrap_or_else(|error| panic!("{}: {error}", rule.name));
        let error = Gateway::new(&pool, &Styles::all(Style::CONDUCTORONE)).err();
        let error = error.unwrap_or_else(|| panic!("{}: it is served", rule.name)).to_string();
        assert!(error.contains("bad.Bad.Rule"), "{}: {error}", rule.name);
        assert!(error.contains(&rule.why), "{}: {error}", rule.name);
    }
}

#[test]
fn every_rule_of_the_product_can_be_served() {
    let gateway =
        Gateway::new(countersign::pb::pool(), &Styles::all(Style::CONDUCTORONE)).expect("good rules");
    let rpc = |method: http::Method, path| gateway.route(&method, path).expect(path).rpc().to_owned();
    let policies = "/c1.api.policy.v1.Policies";
    assert_eq!(rpc(http::Method::POST, "/api/v1/policies/x"), format!("{policies}/Update"));
    assert_eq!(
        rpc(http::Method::POST, "/api/v1/policies/test-account-provision-policy"),
        "/c1.api.policy.v1.AccountProvisionPolicyTest/Test"
    );
    // Error details need `google.protobuf.Any` and their own types in the product's pool.
    let status = gateway.route(&http::Method::GET, "/api/v1/policies/%").expect_err("a bad escape");
    let body = text(gateway.error(None, &status).into_body());
    assert!(body.contains("fieldViolations"), "{body}");
}

fn words() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        Just("/"),
        Just("v1"),
        Just("things"),
        Just("shelves"),
        Just("books"),
        Just("files"),
        Just(":undelete"),
        Just("%2F"),
        Just("%"),
        Just("%zz"),
        Just("%ff"),
        Just("**"),
        Just(":"),
        Just("?"),
        Just("&"),
        Just("="),
        Just("labels"),
        Just("["),
        Just("]"),
        Just("."),
        Just("filter"),
        Just("inner"),
        Just("owner_id"),
        Just("kind"),
        Just("since"),
        Just("within"),
        Just("1"),
        Just("+"),
        Just("KIND_BIG"),
        Just("extra"),
        Just("{"),
        Just("\"thing\""),
        Just("}"),
        Just("null"),
        Just(","),
    ];
    let word = prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,4}"];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    /// Whatever comes, there is an answer and no panic.
    #[test]
    fn no_path_no_query_and_no_body_is_a_panic(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PATCH"), Just("DELETE"), Just("PUT")],
        path in words(), query in words(), body in words(), header in words(),
    ) {
        let method: http::Method = method.parse().expect("a method");
        for path in [path.as_str(), "/v1/things", "/v1/things/a"] {
            let Ok(matched) = GATEWAY.route(&method, path) else { continue };
            let uri = format!("/x?{}", query.replace(|letter: char| !letter.is_ascii_graphic(), "%C3%A9"));
            let Ok(request) = http::Request::builder().uri(uri).header("grpc-timeout", header.as_str())
                .header("grpc-metadata-a-bin", header.as_str()).body(()) else { continue };
            let _answer = GATEWAY.request(&matched, request.into_parts().0, body.as_bytes());
        }
    }
}
