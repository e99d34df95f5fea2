//! The seam to the gateway: route, call, and write an error, for REST.

use http::{Method, Response, StatusCode, header};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};

/// The gateway, or nothing where no REST is served.
#[derive(Debug, Default)]
pub struct Rest {}

/// A REST request that was matched to an RPC.
#[derive(Debug)]
pub(crate) struct Match {
    rpc: String,
}

impl Match {
    /// `/package.Service/Method`.
    pub(crate) fn rpc(&self) -> &str {
        &self.rpc
    }
}

impl Rest {
    /// Which RPC a method and path mean.
    pub(crate) fn route(&self, _method: &Method, _path: &str) -> Result<Match, Status> {
        Err(Status::not_found("Not Found"))
    }

    /// Reads the body, calls the RPC in process and writes the answer.
    pub(crate) async fn call<B>(
        &self,
        _matched: &Match,
        _request: http::Request<B>,
        _services: Routes,
    ) -> Response<Body> {
        self.error(None, &Status::unimplemented("no REST here"))
    }

    /// An error as REST has it.
    pub(crate) fn error(&self, _matched: Option<&Match>, status: &Status) -> Response<Body> {
        let text = format!(
            "{{\"code\":{},\"message\":{:?},\"details\":[]}}",
            status.code() as i32,
            status.message()
        );
        let mut response = Response::new(Body::new(http_body_util::Full::new(bytes::Bytes::from(text))));
        *response.status_mut() = match status.code() {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(status.code());
        response
    }
}
