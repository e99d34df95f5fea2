//! Which RPC a request is for, and how its caller wants to be answered.
//!
//! The table of methods is built once from the descriptors; for a request it is one look-up. REST paths are matched by
//! the gateway; what comes out of it is a method of the same table.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Version};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Status;

use super::pages::Page;
use super::refusal;
use crate::gateway::{Gateway, Match};
use crate::telemetry::{Metrics, RpcKind, RpcMetrics};

/// How the caller speaks, and so how errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Errors are trailers.
    Grpc,
    /// Errors are JSON with an HTTP status.
    Rest,
}

impl Face {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
        }
    }
}

/// One method that this server knows, with the handles of its metrics.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    /// Whether either side streams; such calls are long-lived.
    pub(crate) streaming: bool,
    pub(crate) metrics: RpcMetrics,
}

impl Rpc {
    /// `/package.Service/Method`; `None` for what only counts as one.
    pub(crate) fn method(&self) -> Option<&str> {
        (self.path != UNKNOWN && self.path != TOKEN).then_some(self.path.as_str())
    }
}

/// All methods by path.
#[derive(Debug)]
pub(crate) struct Methods {
    by_path: HashMap<String, Arc<Rpc>>,
    /// What calls that name no method are counted under: one series, so that a scan cannot grow the metrics.
    unknown: Arc<Rpc>,
    /// What calls of the token endpoint are counted under.
    token: Arc<Rpc>,
    services: Vec<String>,
}

/// A request after classification.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) face: Face,
    pub(crate) rpc: Arc<Rpc>,
    /// Where the request goes, or why it goes nowhere.
    pub(crate) target: Result<Target, Status>,
}

/// Who answers.
#[derive(Debug)]
pub(crate) enum Target {
    /// The RPC services, as the request is.
    Services,
    /// The gateway, which calls the RPC services in its turn.
    Gateway(Match),
    /// Nobody: clients of Guardian ask whether there is anybody.
    Ping,
    /// The token endpoint.
    Token,
    /// A page for people.
    Page(Page),
}

/// The path of [`Target::Ping`].
const PING: &str = "/ping";
/// What stands for the path of a call that names no method.
const UNKNOWN: &str = "unknown";
/// The path of [`Target::Token`].
const TOKEN: &str = "/auth/v1/token";

impl Methods {
    /// Reads encoded `FileDescriptorSet`s. A file that is in several of them counts once.
    pub(crate) fn new(descriptors: &[&[u8]], metrics: &Metrics) -> Result<Self, prost::DecodeError> {
        let mut by_path = HashMap::new();
        let mut services = Vec::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                for service in &file.service {
                    let name = match file.package() {
                        "" => service.name().to_owned(),
                        package => format!("{package}.{}", service.name()),
                    };
                    for method in &service.method {
                        let kind = kind(method.client_streaming(), method.server_streaming());
                        let path = format!("/{name}/{}", method.name());
                        by_path.entry(path.clone()).or_insert_with(|| {
                            let metrics = metrics.rpc(kind, &name, method.name());
                            Arc::new(Rpc { path, streaming: kind != RpcKind::Unary, metrics })
                        });
                    }
                    services.push(name);
                }
            }
        }
        services.sort();
        services.dedup();
        let of = |path: &str, service: &str, method: &str| {
            let metrics = metrics.rpc(RpcKind::Unary, service, method);
            Arc::new(Rpc { path: path.to_owned(), streaming: false, metrics })
        };
        let (unknown, token) = (of(UNKNOWN, "unknown", "unknown"), of(TOKEN, "auth", "token"));
        Ok(Self { by_path, unknown, token, services })
    }

    /// The full names of all services, sorted.
    pub(crate) fn services(&self) -> &[String] {
        &self.services
    }

    /// Which RPC this is.
    pub(crate) fn classify<B>(&self, request: &Request<B>, gateway: &Gateway) -> Call {
        let path = request.uri().path();
        if is_grpc(request) {
            return match self.by_path.get(path) {
                Some(rpc) => Call { face: Face::Grpc, rpc: Arc::clone(rpc), target: Ok(Target::Services) },
                None => self.unknown(Face::Grpc, refusal::unknown_method()),
            };
        }
        if path == PING {
            return Call { face: Face::Rest, rpc: Arc::clone(&self.unknown), target: Ok(Target::Ping) };
        }
        if path == TOKEN {
            return Call { face: Face::Rest, rpc: Arc::clone(&self.token), target: Ok(Target::Token) };
        }
        if let Some(page) = Page::at(request.method(), path) {
            let target = Ok(Target::Page(page));
            return Call { face: Face::Rest, rpc: Arc::clone(&self.unknown), target };
        }
        match gateway.route(request.method(), path) {
            Ok(matched) => match self.by_path.get(matched.rpc()) {
                Some(rpc) => {
                    Call { face: Face::Rest, rpc: Arc::clone(rpc), target: Ok(Target::Gateway(matched)) }
                }
                None => self.unknown(Face::Rest, refusal::unknown_method()),
            },
            Err(status) => self.unknown(Face::Rest, status),
        }
    }

    fn unknown(&self, face: Face, status: Status) -> Call {
        Call { face, rpc: Arc::clone(&self.unknown), target: Err(status) }
    }
}

fn kind(client_streams: bool, server_streams: bool) -> RpcKind {
    match (client_streams, server_streams) {
        (false, false) => RpcKind::Unary,
        (true, false) => RpcKind::ClientStream,
        (false, true) => RpcKind::ServerStream,
        (true, true) => RpcKind::BidiStream,
    }
}

/// gRPC is a POST over HTTP/2 whose content type is `application/grpc`, alone or with a `+` or `;` behind it;
/// `application/grpc-web` is another protocol.
fn is_grpc<B>(request: &Request<B>) -> bool {
    if request.version() != Version::HTTP_2 || request.method() != Method::POST {
        return false;
    }
    let Some(content_type) = request.headers().get(CONTENT_TYPE) else { return false };
    match content_type.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_that_are_grpc() {
        let cases = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("", false),
        ];
        for (content_type, expected) in cases {
            let request = Request::post("/a.B/C").version(Version::HTTP_2).header(CONTENT_TYPE, content_type);
            assert_eq!(is_grpc(&request.body(()).unwrap()), expected, "{content_type}");
        }
        let http1 = Request::post("/a.B/C").header(CONTENT_TYPE, "application/grpc").body(()).unwrap();
        assert!(!is_grpc(&http1), "HTTP/1.1 has no trailers to speak of");
    }
}
