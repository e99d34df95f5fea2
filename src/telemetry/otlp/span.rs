//! One request as a span, named and described as OpenTelemetry's conventions for RPC and HTTP say.
//!
//! Like the log it sees no payload: a route and not the query, a code and not the text of an error. What a caller can
//! make long is cut.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, Method, Version};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use tonic::Code;

use super::{Tracer, context};
use crate::telemetry::code_name;

/// What comes from a caller is cut to this.
const TEXT_MAX_BYTES: usize = 256;
/// What conventions call that which is not among the known.
const OTHER: &str = "_OTHER";

/// What is known of a request when it comes in.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// `/package.Service/Method`, if it is for one that is known.
    pub rpc: Option<&'a str>,
    /// `None`: it came as gRPC.
    pub http: Option<Http<'a>>,
    pub version: Version,
    pub headers: &'a HeaderMap,
    /// Host and port that the caller believes to speak to.
    pub server: Option<(&'a str, Option<u16>)>,
    /// `None`: it came by a unix socket.
    pub peer: Option<SocketAddr>,
    pub request_id: &'a str,
}

/// What only REST has.
#[derive(Debug)]
pub struct Http<'a> {
    pub method: &'a Method,
    pub scheme: &'static str,
    /// The template and the path that fitted it; `None` when no template did.
    pub route: Option<(&'a str, &'a str)>,
}

/// A request that is going on. It ends with [`Span::end`], or where it is dropped.
#[derive(Debug)]
pub struct Span {
    sdk: opentelemetry_sdk::trace::Span,
    http: bool,
    http_status: Option<u16>,
}

impl Tracer {
    /// Begins a span, in the caller's trace if it says which.
    #[must_use]
    pub fn begin(&self, incoming: &Incoming<'_>) -> Span {
        let remote = if self.takes_up { context::remote(incoming.headers) } else { None };
        let parent = match remote {
            Some(remote) => Context::new().with_remote_span_context(remote),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name(name(incoming))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(incoming));
        let sdk = self.sdk.build_with_context(builder, &parent);
        Span { sdk, http: incoming.http.is_some(), http_status: None }
    }
}

impl Span {
    /// The trace that it is part of, recorded or not.
    #[must_use]
    pub fn trace_id(&self) -> Option<impl fmt::Display + use<>> {
        let context = self.sdk.span_context();
        context.is_valid().then(|| context.trace_id())
    }

    /// REST has answered with this status.
    pub fn answered(&mut self, http_status: u16) {
        self.http_status = self.http.then_some(http_status);
    }

    /// It has ended with this code; `principal` is who called, if that was known.
    pub fn end(mut self, code: Code, principal: Option<&str>) {
        if self.sdk.is_recording() {
            self.conclude(code, principal);
        }
        self.sdk.end();
    }

    fn conclude(&mut self, code: Code, principal: Option<&str>) {
        self.sdk.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(i32::from(code))));
        if let Some(principal) = principal {
            self.sdk.set_attribute(KeyValue::new("enduser.id", principal.to_owned()));
        }
        if let Some(status) = self.http_status {
            self.sdk.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if is_fault(code) {
            let kind = match self.http_status {
                Some(status) => Cow::Owned(status.to_string()),
                None => Cow::Borrowed(code_name(code)),
            };
            self.sdk.set_attribute(KeyValue::new("error.type", kind));
            self.sdk.set_status(Status::error(""));
        }
    }
}

/// Whether a code is a fault of the server, by the conventions for gRPC; over REST these are the statuses from 500.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Few names, whatever callers send.
fn name(incoming: &Incoming<'_>) -> Cow<'static, str> {
    match (&incoming.http, incoming.rpc) {
        (None, Some(rpc)) => rpc.trim_start_matches('/').to_owned().into(),
        (None, None) => "grpc".into(),
        (Some(http), _) => {
            let verb = known(http.method).unwrap_or("HTTP");
            http.route.map_or_else(|| verb.to_owned(), |(route, _)| format!("{verb} {route}")).into()
        }
    }
}

fn attributes(incoming: &Incoming<'_>) -> Vec<KeyValue> {
    // As many as there may be, so that nothing moves.
    let mut all = Vec::with_capacity(20);
    rpc(incoming, &mut all);
    if let Some(http) = &incoming.http {
        all.push(KeyValue::new("http.request.method", known(http.method).unwrap_or(OTHER)));
        all.push(KeyValue::new("url.scheme", http.scheme));
        if let Some((route, path)) = http.route {
            all.push(KeyValue::new("http.route", route.to_owned()));
            all.push(KeyValue::new("url.path", cut(path)));
        }
    }
    all.push(KeyValue::new("network.protocol.name", "http"));
    if let Some(version) = version(incoming.version) {
        all.push(KeyValue::new("network.protocol.version", version));
    }
    if let Some((host, port)) = incoming.server {
        all.push(KeyValue::new("server.address", cut(host)));
        all.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    all.push(KeyValue::new("network.transport", if incoming.peer.is_some() { "tcp" } else { "unix" }));
    if let Some(peer) = incoming.peer {
        all.push(KeyValue::new("network.peer.address", peer.ip().to_canonical().to_string()));
        all.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    all.push(KeyValue::new("countersign.request_id", incoming.request_id.to_owned()));
    all
}

/// REST calls the same RPCs, so it has their names, too.
fn rpc(incoming: &Incoming<'_>, all: &mut Vec<KeyValue>) {
    match incoming.rpc.and_then(|path| path.trim_start_matches('/').split_once('/')) {
        Some((service, method)) => {
            all.push(KeyValue::new("rpc.system", "grpc"));
            all.push(KeyValue::new("rpc.service", service.to_owned()));
            all.push(KeyValue::new("rpc.method", method.to_owned()));
        }
        None if incoming.http.is_none() => {
            all.push(KeyValue::new("rpc.system", "grpc"));
            all.push(KeyValue::new("rpc.method", OTHER));
        }
        None => {}
    }
}

/// A verb that the conventions know.
fn known(method: &Method) -> Option<&'static str> {
    let verbs = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    verbs.into_iter().find(|verb| method.as_str() == *verb)
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn cut(text: &str) -> String {
    let mut ends = (0..=text.len().min(TEXT_MAX_BYTES)).rev();
    ends.find_map(|end| text.get(..end)).unwrap_or_default().to_owned()
}
