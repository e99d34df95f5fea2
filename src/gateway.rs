//! REST from the `google.api.http` rules in the descriptors. It knows no RPC by name: a new service needs a rule in its
//! proto, and nothing here.
//!
//! One request goes like this. [`Gateway::route`] finds the rule by verb and path, before anything is read. Then
//! [`Gateway::call`] reads the body up to a limit, makes one gRPC message of path, query and body, calls the same gRPC
//! service in process, and writes its answer as JSON. Between the two stands whatever the server wants to decide on
//! headers alone. JSON goes straight to wire bytes and back (`wire::json`); no message is decoded into a tree.
//!
//! It may import the descriptors and `wire`, and no operation, no store and no policy: it maps a `Status` to HTTP and
//! knows nothing else about errors. `docs/rest.md` lists what callers see, and every line where we differ from
//! grpc-gateway on purpose.

mod binding;
mod integer;
mod messages;
mod metadata;
mod openapi;
mod query;
mod refusal;
mod request;
mod response;
mod router;
mod rule;
mod status;
mod style;
mod template;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, StdError};
use tower::ServiceExt;

use self::binding::Binding;
use self::refusal::{Reason, refuse};
use self::router::{Found, Router};
use self::style::Dialect;
use self::template::{Segment, unescape};
use crate::wire::Schema;

pub use self::metadata::timeout;
pub use self::openapi::openapi;
pub use self::rule::BadRule;
pub use self::style::{Details, Style, Styles};

/// The largest body that is read, unless [`Gateway::body_limit`] says otherwise.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Every http rule of a descriptor pool, ready to serve. Built once, never changed, shared by reference.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    bindings: Vec<Arc<Binding>>,
    /// For errors before a rule is known.
    dialect: Arc<Dialect>,
    /// The first two words of the paths that belong to another dialect. Errors below them, too, are in that dialect.
    homes: Vec<([String; 2], Arc<Dialect>)>,
    body_max_bytes: usize,
}

/// A rule that a verb and a path selected, with what the path says. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Match {
    binding: Arc<Binding>,
    /// The values of the path variables, in the order of the template.
    captures: Vec<String>,
}

impl Match {
    /// The gRPC method path, `/c1.api.policy.v1.Policies/Get`.
    pub fn rpc(&self) -> &str {
        &self.binding.rpc
    }

    /// The template that the path fits, `/api/v1/policies/{id}`.
    pub fn route(&self) -> &str {
        &self.binding.rule.template.text
    }
}

impl Gateway {
    /// Reads the rules of every service in `pool`. An error is a mistake in a proto: a rule that cannot be served, or
    /// two rules that answer to the same verb and paths.
    pub fn new(pool: &DescriptorPool, styles: &Styles) -> Result<Gateway, BadRule> {
        let schema = Schema::new(pool);
        let any = schema.message("google.protobuf.Any");
        let dialects = styles.dialects(any.as_ref());
        let mut router = Router::default();
        let mut bindings: Vec<Arc<Binding>> = Vec::new();
        let mut homes: Vec<([String; 2], Arc<Dialect>)> = Vec::new();
        for rule in rule::rules(pool)? {
            let package = rule.rpc.parent_service().package_name().to_owned();
            let added = router.add(rule.method.clone(), &rule.template, bindings.len());
            added.map_err(|other| BadRule {
                rpc: rule.rpc.full_name().to_owned(),
                why: format!(
                    "{} answers to the same verb and paths",
                    bindings.get(other).map_or("another rule", |binding| binding.rpc.as_str())
                ),
            })?;
            let dialect = dialects.of(&package);
            if let [Segment::Literal(first), Segment::Literal(second), ..] = rule.template.segments.as_slice()
                && !Arc::ptr_eq(&dialect, &dialects.of(""))
                && !homes.iter().any(|([one, two], _)| one == first && two == second)
            {
                homes.push(([first.clone(), second.clone()], Arc::clone(&dialect)));
            }
            bindings.push(Arc::new(Binding::new(&schema, rule, dialect)?));
        }
        Ok(Gateway { router, bindings, dialect: dialects.of(""), homes, body_max_bytes: BODY_MAX_BYTES })
    }

    /// The same gateway with another limit for bodies, in bytes.
    #[must_use]
    pub fn body_limit(self, body_max_bytes: usize) -> Gateway {
        Gateway { body_max_bytes, ..self }
    }

    /// Finds the rule for a verb and a path (without the query, still escaped).
    ///
    /// NOT_FOUND for an unknown path, UNIMPLEMENTED for a known path with another verb, INVALID_ARGUMENT for a path that
    /// does not begin with `/` or a variable with a bad escape.
    pub fn route(&self, method: &Method, path: &str) -> Result<Match, Status> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err(refuse(Reason::PathInvalid, "the path does not begin with `/`"));
        };
        let go_paths = self.dialect_at(path).style.go_paths;
        let unescaped = match go_paths {
            true => Some(unescape(relative, false).ok_or_else(|| refusal::escape("path", relative))?),
            false => None,
        };
        let mut segments: Vec<&str> = unescaped.as_deref().unwrap_or(relative).split('/').collect();
        let binding = match self.router.find(method, &segments) {
            Found::Rule(index) => self.bindings.get(index).ok_or_else(refusal::not_found)?,
            Found::OtherVerb => return Err(refusal::other_verb()),
            Found::Nothing => return Err(refusal::not_found()),
        };
        let template = &binding.rule.template;
        if let (Some(verb), Some(last)) = (&template.verb, segments.last_mut()) {
            *last = last.strip_suffix(verb.as_str()).and_then(|rest| rest.strip_suffix(':')).unwrap_or(last);
        }
        let captures = template.variables.iter().map(|variable| {
            // A variable over the rest of the path ends where the path does.
            let end = if variable.many && variable.segments.end == template.segments.len() {
                segments.len()
            } else {
                variable.segments.end
            };
            let raw = segments.get(variable.segments.start..end).unwrap_or_default().join("/");
            if go_paths {
                return Ok(raw);
            }
            unescape(&raw, variable.many).ok_or_else(|| refusal::escape(&variable.path, &raw))
        });
        let captures = captures.collect::<Result<_, _>>()?;
        Ok(Match { binding: Arc::clone(binding), captures })
    }

    /// The gRPC request, with its length prefix, to be sent to the service in process. The extensions of the HTTP
    /// request go along; an `IpAddr` among them is taken as the peer's address. `body` is the whole JSON text.
    pub fn request(
        &self,
        matched: &Match,
        parts: http::request::Parts,
        body: &[u8],
    ) -> Result<Request<Full<Bytes>>, Status> {
        request::request(&matched.binding, &matched.captures, parts, body)
    }

    /// The HTTP answer for the gRPC answer to [`Gateway::request`]. It always is one: an answer that is not gRPC or not
    /// the declared message is INTERNAL.
    pub async fn response<B>(&self, matched: &Match, answer: Response<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<StdError>,
    {
        response::response(&matched.binding, answer).await
    }

    /// The HTTP answer for a status: of the dialect of `matched`, or of the first dialect where there is no match yet.
    pub fn error(&self, matched: Option<&Match>, status: &Status) -> Response<Body> {
        let dialect = matched.map_or(&self.dialect, |matched| &matched.binding.dialect);
        status::response(dialect, &HeaderMap::new(), status)
    }

    /// The HTTP answer for a request that [`Gateway::route`] refused, in the dialect that the path belongs to.
    pub fn error_at(&self, path: &str, status: &Status) -> Response<Body> {
        status::response(self.dialect_at(path), &HeaderMap::new(), status)
    }

    fn dialect_at(&self, path: &str) -> &Arc<Dialect> {
        let mut words = path.split('/').skip(1);
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let home = self.homes.iter().find(|([one, two], _)| one == first && two == second);
        home.map_or(&self.dialect, |(_, dialect)| dialect)
    }

    /// Reads the body, calls `service` and answers: what a server does with a request once it is let in.
    ///
    /// A body over the limit is refused with OUT_OF_RANGE, unread if it says its length. A rule without a body leaves the
    /// body unread. Deadlines are the caller's, as the gRPC face needs them too.
    pub async fn call<S, B, A>(&self, matched: &Match, request: Request<B>, service: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<A>>,
        S::Error: Into<StdError>,
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<StdError>,
        A: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        A::Error: Into<StdError>,
    {
        let (parts, body) = request.into_parts();
        let answer = async {
            let body = match matched.binding.rule.body {
                rule::Body::None => Bytes::new(),
                _ => self.read(body).await?,
            };
            let request = self.request(matched, parts, &body)?.map(Body::new);
            service.oneshot(request).await.map_err(|error| Status::from_error(error.into()))
        };
        match answer.await {
            Ok(answer) => self.response(matched, answer).await,
            Err(status) => self.error(Some(matched), &status),
        }
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Status>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<StdError>,
    {
        let limit = self.body_max_bytes;
        if body.size_hint().lower() > limit as u64 {
            return Err(refusal::too_large(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(refusal::too_large(limit)),
            // What went wrong in the transport is not the caller's business, if there still is one.
            Err(_) => Err(refuse(Reason::BodyUnreadable, "the body could not be read to its end")),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rpc())
    }
}
