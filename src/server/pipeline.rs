//! What happens to every request, in order.
//!
//! [`Pipeline::call`] and [`Pipeline::layers`] are the list: nothing wraps anything else, so what comes first is what
//! stands first. All layers work on the head of a request; no body is read before they have agreed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::Service as _;

use super::admission::{self, Wanted};
use super::answer::{Answer, Ending, Record, Streaming, grpc_code, panicked};
use super::classify::{Call, Face, Methods, Rpc, Target};
use super::connection::{Connection, InFlight};
use super::deadline::Deadline;
use super::limits::{self, Arriving, Bounded, Gate};
use super::pages::Pages;
use super::services::Services;
use super::{request_id, token, trace};
use crate::app::{App, Attempt};
use crate::auth::{Guard, Peer};
use crate::gateway::Gateway;
use crate::rpc::status;
use crate::telemetry::{self, Tracer};

/// What a client needs to know of a message that does not decode fits into this.
const DECODE_ERROR_MAX_CHARS: usize = 256;
/// How tonic's codec reports such a message (as INTERNAL, with all of prost's trace), percent-encoded.
const DECODE_ERROR_PREFIX: &[u8] = b"failed%20to%20decode%20Protobuf%20message";

/// What [`Target::Ping`] answers.
const PONG: &str = "pong";

/// The parts of the service that a request passes.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) methods: Methods,
    pub(crate) audit: Option<Arc<App>>,
    pub(crate) services: Services,
    pub(crate) gateway: Gateway,
    pub(crate) pages: Pages,
    pub(crate) max_message_bytes: u32,
    pub(crate) max_header_bytes: u32,
    pub(crate) request_deadline: Duration,
    pub(crate) requests: Arc<Gate>,
    pub(crate) streams: Arc<Gate>,
    pub(crate) draining: CancellationToken,
    pub(crate) guard: Arc<Guard>,
    pub(crate) tracer: Option<Tracer>,
    /// Whether the ports speak TLS.
    pub(crate) secure: bool,
}

/// Where a request came from, and when.
#[derive(Debug, Clone, Copy)]
struct Origin {
    face: Face,
    peer: Peer,
    started: Instant,
}

impl Pipeline {
    /// One request, from its head to the head of its answer. The rest of the call happens in [`Answer`].
    pub(crate) async fn call<B>(
        &self,
        request: Request<B>,
        connection: &Arc<Connection>,
        in_flight: InFlight,
        peer: Peer,
    ) -> Response<Answer>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let mut request = request.map(Arriving::new);
        let id = request_id::of(request.headers());
        let call = self.methods.classify(&request, &self.gateway);
        let span =
            self.tracer.as_ref().map(|tracer| trace::begin(tracer, &request, &call, &id, peer, self.secure));
        let Call { face, rpc, target } = call;
        rpc.metrics.started();
        // From here on, whatever happens is written down, even when the caller goes away.
        let record = Record {
            rpc: Arc::clone(&rpc),
            face,
            id: id.clone(),
            peer,
            principal: None,
            started,
            span,
            _in_flight: in_flight,
        };
        let mut ending = Ending::of(record);

        request.headers_mut().insert(request_id::X_REQUEST_ID, id.clone());
        let nowhere = if target.is_err() { request.uri().path().to_owned() } else { String::new() };
        let layers = self.layers(request, &target, &rpc, Origin { face, peer, started }, &mut ending);
        let outcome = telemetry::in_request(id.clone(), layers).await;
        let (mut response, streaming) = match outcome {
            Ok(answered) => answered,
            Err(status) => (self.refuse(face, target.as_ref().ok(), &nowhere, status), None),
        };

        ending.answered(response.status());
        let mut id = id;
        // To HPACK this means "never index": a value that never comes again would only push others out of its table.
        id.set_sensitive(true);
        response.headers_mut().insert(request_id::X_REQUEST_ID, id);
        let code = code_of(&response, face);
        let unread = if streaming.is_none() { Some(connection.unread()) } else { None };
        response.map(|body| Answer::new(body, ending, code, streaming, unread))
    }

    /// The layers that may refuse.
    async fn layers<B>(
        &self,
        mut request: Request<B>,
        target: &Result<Target, Status>,
        rpc: &Rpc,
        Origin { face, peer, started }: Origin,
        ending: &mut Ending,
    ) -> Result<(Response<Body>, Option<Streaming>), Status>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        limits::head(request.headers(), self.max_header_bytes, face)?;
        let wanted = match target {
            Ok(Target::Ping | Target::Token | Target::Page(_)) => Wanted::Open,
            Ok(Target::Services | Target::Gateway(_)) => Wanted::Method(&rpc.path),
            Err(_) => Wanted::Nothing,
        };
        let admitted =
            admission::admit(&self.guard, &mut request, peer, wanted, |name| ending.by(name)).await;
        if let (Err(status), Wanted::Method(method), Some(app)) = (&admitted, wanted, &self.audit) {
            app.audit_failed(&denied(ending.principal(), method, status));
        }
        // Only who is let in may learn what there is and what there is not.
        let (of_principal, target) = (admitted?, target.as_ref().map_err(Status::clone)?);
        let streams = rpc.streaming;
        let deadline = Deadline::of(request.headers(), self.request_deadline)?;
        // Boxed, because every layer around a future holds it at least once more, and all of that is moved about: unboxed,
        // a request is tens of kilobytes large.
        let work = Box::pin(self.dispatch(request, target, streams, peer));
        if streams {
            let pass = self.streams.enter()?;
            let response = work.await?;
            let draining = Box::pin(self.draining.clone().cancelled_owned());
            Ok((response, Some(Streaming { _pass: pass, _of_principal: of_principal, draining })))
        } else {
            let _pass = self.requests.enter()?;
            let response = deadline.within(started, work).await?;
            Ok((response, None))
        }
    }

    /// Hands the request to whoever answers it. A panic there is INTERNAL for this caller, and nobody else's concern.
    async fn dispatch<B>(
        &self,
        mut request: Request<B>,
        target: &Target,
        streams: bool,
        peer: Peer,
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut services = self.services.clone();
        let limit = self.max_message_bytes;
        let answered = match target {
            Target::Services if streams => {
                // tonic bounds each message of a stream; the stream as a whole has no bound.
                let request = request.map(Body::new);
                AssertUnwindSafe(services.call(request)).catch_unwind().await.map(reword)
            }
            Target::Services => {
                let request = request.map(|body| Body::new(Bounded::new(body, limit)));
                AssertUnwindSafe(services.call(request)).catch_unwind().await.map(reword)
            }
            Target::Page(page) => return Ok(self.pages.answer(*page)),
            Target::Ping => return Ok(Response::new(Body::new(Full::from(PONG)))),
            Target::Token => {
                let answer = Box::pin(token::answer(&self.guard, request, peer));
                AssertUnwindSafe(answer).catch_unwind().await
            }
            Target::Gateway(matched) => {
                if let Some(ip) = peer.ip() {
                    request.extensions_mut().insert(ip);
                }
                // Boxed, as above, so that other calls need no room for it.
                let answer = Box::pin(self.gateway.call(matched, request, services));
                AssertUnwindSafe(answer).catch_unwind().await
            }
        };
        answered.map_err(panicked)
    }

    /// A refusal, in the words of the caller's face. `nowhere` is the path of a request that has no target.
    fn refuse(&self, face: Face, target: Option<&Target>, nowhere: &str, status: Status) -> Response<Body> {
        match (face, target) {
            (Face::Grpc, _) => status.into_http(),
            (Face::Rest, Some(Target::Gateway(matched))) => self.gateway.error(Some(matched), &status),
            (Face::Rest, _) => self.gateway.error_at(nowhere, &status),
        }
    }
}

/// What the audit trail says of a call that was not let in. Nothing of it was read, so which policy it was about is not known.
fn denied(actor: &str, method: &str, status: &Status) -> Attempt {
    Attempt {
        actor: actor.to_owned(),
        method: method.trim_start_matches('/').to_owned(),
        code: status.code().into(),
        reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
        ..Attempt::default()
    }
}

/// tonic reports a message that does not decode as INTERNAL; it is the caller's doing, so it is INVALID_ARGUMENT.
fn reword(answer: Result<Response<Body>, std::convert::Infallible>) -> Response<Body> {
    let Ok(response) = answer;
    let headers = response.headers();
    if grpc_code(headers) != Some(Code::Internal) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(status)
            if headers
                .get("grpc-message")
                .is_some_and(|text| text.as_bytes().starts_with(DECODE_ERROR_PREFIX)) =>
        {
            let text: String = status.message().chars().take(DECODE_ERROR_MAX_CHARS).collect();
            status::with(Code::InvalidArgument, &text, "MESSAGE_MALFORMED", &[]).into_http()
        }
        _ => response,
    }
}

/// What the head of an answer says about how the call ended. A gRPC call that is answered with a body ends in its
/// trailers; the gateway leaves the code among the extensions.
fn code_of(response: &Response<Body>, face: Face) -> Option<Code> {
    match face {
        Face::Grpc => grpc_code(response.headers()),
        Face::Rest if response.status().is_success() => Some(Code::Ok),
        Face::Rest => Some(response.extensions().get::<Code>().copied().unwrap_or(Code::Unknown)),
    }
}
