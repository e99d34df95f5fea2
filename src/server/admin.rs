//! The admin port: `/livez`, `/readyz`, `/metrics`. It is for operators and their machines, not for callers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::Health;
use crate::telemetry::{CONTENT_TYPE as OPENMETRICS, Metrics};

const TEXT: &str = "text/plain; charset=utf-8";

/// What the admin port can see.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: watch::Receiver<Health>,
    /// Fires as soon as the service is told to stop, before it stops accepting.
    pub(crate) stopping: CancellationToken,
}

impl Admin {
    /// Answers one request.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.not_ready() {
                None => text(StatusCode::OK, "ok\n".to_owned()),
                Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.metrics.render());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "the admin port has /livez, /readyz and /metrics\n".to_owned()),
        }
    }

    fn not_ready(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("the service is shutting down".to_owned());
        }
        match &*self.health.borrow() {
            Health::Ready => None,
            Health::NotReady { why } => Some(why.clone()),
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}
