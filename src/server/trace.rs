//! What a span says of a request: read off its head, before any layer has touched it.

use http::uri::Authority;
use http::{HeaderValue, Request, header};

use super::classify::{Call, Face, Target};
use crate::auth::Peer;
use crate::telemetry::{Http, Incoming, Span, Tracer};

/// Begins the span of a request.
pub(crate) fn begin<B>(
    tracer: &Tracer,
    request: &Request<B>,
    call: &Call,
    id: &HeaderValue,
    peer: Peer,
    secure: bool,
) -> Span {
    let named = authority(request);
    let path = request.uri().path();
    let http = (call.face == Face::Rest).then(|| Http {
        method: request.method(),
        scheme: if secure { "https" } else { "http" },
        route: route(call, path).map(|route| (route, path)),
    });
    tracer.begin(&Incoming {
        rpc: call.rpc.method(),
        http,
        version: request.version(),
        headers: request.headers(),
        server: named.as_ref().map(|authority| (authority.host(), authority.port_u16())),
        peer: match peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix { .. } => None,
        },
        request_id: id.to_str().unwrap_or_default(),
    })
}

/// Whom the caller believes to speak to.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    let of_host = || Authority::try_from(request.headers().get(header::HOST)?.as_bytes()).ok();
    request.uri().authority().cloned().or_else(of_host)
}

/// Which of the few paths this is. Those that are not in a template have no variables, and are their own.
fn route<'a>(call: &'a Call, path: &'a str) -> Option<&'a str> {
    match &call.target {
        Ok(Target::Gateway(matched)) => Some(matched.route()),
        Ok(Target::Ping | Target::Token | Target::Page(_)) => Some(path),
        Ok(Target::Services) | Err(_) => None,
    }
}
