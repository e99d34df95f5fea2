//! One case: a request, what the service behind the gateway must see, what it answers, and what the caller must get.
//! Messages are written as JSON and read by prost-reflect, which is not what the gateway uses.

use std::net::IpAddr;
use std::path::Path;

use bytes::Bytes;
use countersign::gateway::Gateway;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::Deserialize;

use super::double::{Answer, Double};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Verb and path with query.
    request: String,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    body: String,
    /// Bodies that are easier counted than written: this many spaces before `body`.
    #[serde(default)]
    padding: usize,
    peer: Option<IpAddr>,

    /// The gRPC method that the service saw; without it, the service must not have been called.
    rpc: Option<String>,
    /// The message that the service saw.
    message: Option<String>,
    #[serde(default)]
    metadata: Vec<String>,
    /// Names that the service must not have seen.
    #[serde(default)]
    no_metadata: Vec<String>,

    #[serde(default)]
    answer: Answer,

    #[serde(default = "ok")]
    status: u16,
    /// The body, as JSON.
    response: Option<String>,
    /// The body, to the letter.
    text: Option<String>,
    /// Parts of the body.
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    response_headers: Vec<String>,
    #[serde(default)]
    no_response_headers: Vec<String>,
    /// Nothing may come behind the body.
    #[serde(default)]
    no_trailers: bool,
}

fn ok() -> u16 {
    200
}

impl Case {
    pub(crate) fn read(path: &Path) -> Vec<Case> {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let cases: Cases =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.case
    }

    pub(crate) async fn run(&self, gateway: &Gateway, pool: &DescriptorPool) -> Result<(), String> {
        let (method, target) = self.request.split_once(' ').ok_or("the request is not `VERB PATH`")?;
        let method: http::Method = method.parse().map_err(|error| format!("{error}"))?;
        let request = self.http(method.clone(), target)?;
        let double = Double::new(pool, &self.answer);
        let response = match gateway.route(&method, request.uri().path()) {
            Err(status) => gateway.error(None, &status),
            Ok(matched) => gateway.call(&matched, request, double.service(matched.rpc())).await,
        };
        self.saw(double, pool)?;
        self.got(response).await
    }

    fn http(&self, method: http::Method, target: &str) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder().method(method).uri(target);
        for line in &self.headers {
            let (name, value) = line.split_once(": ").ok_or("a header is not `name: value`")?;
            request = request.header(name, value);
        }
        if let Some(peer) = self.peer {
            request = request.extension(peer);
        }
        let body = format!("{}{}", " ".repeat(self.padding), self.body);
        request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
    }

    fn saw(&self, double: Double, pool: &DescriptorPool) -> Result<(), String> {
        let (seen, Some(rpc)) = (double.seen(), &self.rpc) else {
            return match double.seen() {
                None => Ok(()),
                Some(seen) => Err(format!("the service was called: {}", seen.path)),
            };
        };
        let seen = seen.ok_or("the service was not called")?;
        if seen.path != *rpc {
            return Err(format!("the service saw {}", seen.path));
        }
        if let Some(expected) = &self.message {
            let input = super::double::rpc(pool, rpc).input();
            let expected = message(&input, expected)?;
            let broken = |error| format!("the service saw no message: {error}");
            let actual = DynamicMessage::decode(input.clone(), seen.message.clone()).map_err(broken)?;
            // Once more, because a zero that is written out equals one that is not only after encoding.
            let actual = DynamicMessage::decode(input, actual.encode_to_vec().as_slice()).map_err(broken)?;
            if actual != expected {
                return Err(format!("the service saw\n{actual}\nand not\n{expected}"));
            }
        }
        expect_headers("the service", &seen.metadata, &self.metadata, &self.no_metadata)
    }

    async fn got(&self, response: http::Response<tonic::body::Body>) -> Result<(), String> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|status| status.to_string())?;
        if let Some(trailers) = body.trailers().filter(|_| self.no_trailers) {
            return Err(format!("there are trailers: {trailers:?}"));
        }
        let body = body.to_bytes();
        let body = String::from_utf8(body.to_vec()).map_err(|error| error.to_string())?;
        if head.status.as_u16() != self.status {
            return Err(format!("the status is {} with {body}", head.status));
        }
        if let Some(expected) = &self.response {
            let json = |text: &str| {
                serde_json::from_str::<serde_json::Value>(text).map_err(|e| format!("{text}: {e}"))
            };
            if json(&body)? != json(expected)? {
                return Err(format!("the body is\n{body}\nand not\n{expected}"));
            }
        }
        if self.text.as_ref().is_some_and(|text| *text != body) {
            return Err(format!("the body is\n{body}"));
        }
        if let Some(part) = self.contains.iter().find(|part| !body.contains(part.as_str())) {
            return Err(format!("the body has no {part}:\n{body}"));
        }
        expect_headers("the caller", &head.headers, &self.response_headers, &self.no_response_headers)?;
        match head.headers.get("content-length") {
            Some(length) if *length != *body.len().to_string() => Err("the length is wrong".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Each line of `present` is one value of its name; a name has exactly the values that the lines give it.
fn expect_headers(
    who: &str,
    headers: &HeaderMap,
    present: &[String],
    absent: &[String],
) -> Result<(), String> {
    for line in present {
        let (name, _) = line.split_once(": ").ok_or("a header is not `name: value`")?;
        let prefix = format!("{name}: ");
        let expected: Vec<&str> = present.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
        let actual: Vec<_> =
            headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        if actual != expected {
            return Err(format!("{who} saw for {name} {actual:?} and not {expected:?}"));
        }
    }
    match absent.iter().find(|name| headers.contains_key(name.as_str())) {
        Some(name) => Err(format!("{who} saw {name}")),
        None => Ok(()),
    }
}

pub(crate) fn message(kind: &MessageDescriptor, json: &str) -> Result<DynamicMessage, String> {
    let mut reader = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(kind.clone(), &mut reader).map_err(|error| format!("{json}: {error}"))
}
