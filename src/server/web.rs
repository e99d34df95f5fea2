//! What browsers need, both off unless set: gRPC-Web, whose requests become plain gRPC before anything else sees them, and
//! the answers to CORS preflights. It stands around the layers, so that what comes through it is limited, logged and
//! counted as every other call.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::answer::Answer;
use super::connection::{Connection, InFlight};
use super::pipeline::Pipeline;
use super::request_id::X_REQUEST_ID;
use crate::auth::Peer;
use crate::config::{Origins, Settings};

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE_S: u64 = 600;
/// What scripts may read of an answer beside its body.
const EXPOSED: [HeaderName; 8] = [
    ETAG,
    RETRY_AFTER,
    X_REQUEST_ID,
    HeaderName::from_static("countersign-warning"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("www-authenticate"),
];

/// The body of an answer, whichever way it went.
pub(crate) type Served = Either<Answer, Body>;

/// What stands between a connection and the layers.
#[derive(Debug)]
pub(crate) struct Web {
    grpc_web: bool,
    cors: Option<CorsLayer>,
}

impl Web {
    pub(crate) fn new(settings: &Settings) -> Self {
        Web { grpc_web: settings.grpc_web, cors: cors(&settings.cors_origins) }
    }

    /// One request. A plain one costs nothing more than it would without this. What comes back is boxed here, because hyper makes
    /// it a part of a task that tokio moves about, and it is some kilobytes large: as large as the way that a request takes, and no
    /// larger.
    pub(crate) fn call(
        self: &Arc<Self>,
        pipeline: Arc<Pipeline>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
        in_flight: InFlight,
        peer: Peer,
    ) -> BoxFuture<Response<Served>, Infallible> {
        let grpc_web = self.grpc_web && is_grpc_web(&request);
        if !grpc_web && self.cors.is_none() {
            return Box::pin(async move {
                Ok(pipeline.call(request, &connection, in_flight, peer).await.map(Either::Left))
            });
        }
        let web = Arc::clone(self);
        Box::pin(async move {
            Ok(web.call_of_browser(grpc_web, pipeline, request, connection, in_flight, peer).await)
        })
    }

    async fn call_of_browser(
        &self,
        grpc_web: bool,
        pipeline: Arc<Pipeline>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
        in_flight: InFlight,
        peer: Peer,
    ) -> Response<Served> {
        let mut in_flight = Some(in_flight);
        let layers = tower::service_fn(move |mut request: Request<Body>| {
            let (pipeline, connection) = (Arc::clone(&pipeline), Arc::clone(&connection));
            // Called once; the guard of a second call would be its own.
            let in_flight = in_flight.take().unwrap_or_else(|| connection.in_flight());
            if grpc_web {
                // What it has become can only come over HTTP/2, and is recognised by that.
                *request.version_mut() = Version::HTTP_2;
            }
            async move {
                let answer = pipeline.call(request, &connection, in_flight, peer).await;
                Ok::<_, Infallible>(answer.map(Body::new))
            }
        });
        let request = request.map(Body::new);
        let answered = match (&self.cors, grpc_web) {
            (Some(cors), true) => once(cors.layer(GrpcWebLayer::new().layer(layers)), request).await,
            (Some(cors), false) => once(cors.layer(layers), request).await,
            (None, _) => once(GrpcWebLayer::new().layer(layers), request).await,
        };
        let Ok(response) = answered;
        response.map(Either::Right)
    }
}

async fn once<S>(mut service: S, request: Request<Body>) -> Result<Response<Body>, Infallible>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    service.ready().await?.call(request).await
}

/// `application/grpc-web` and its variants; a preflight for one is an ordinary preflight.
fn is_grpc_web<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    request.method() == Method::POST
        && content_type.is_some_and(|content_type| content_type.starts_with(b"application/grpc-web"))
}

/// No cookies are involved, so credentials mode is never allowed: a script must have a token and send it.
fn cors(origins: &Origins) -> Option<CorsLayer> {
    let origins = match origins {
        Origins::None => return None,
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(Duration::from_secs(PREFLIGHT_MAX_AGE_S));
    Some(layer)
}
