//! The gRPC services by their names. tonic's own router is a whole router for HTTP, which wraps every body twice and makes a copy of
//! the service for every call; here a path says at its first word which service is meant.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::Service;

use super::refusal;

type Call = dyn Fn(Request<Body>) -> BoxFuture<Response<Body>, Infallible> + Send + Sync;

/// Services that are called in process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services(Arc<BTreeMap<&'static str, Box<Call>>>);

impl Services {
    /// None yet.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Takes services in, one by one.
#[derive(Default)]
pub struct Builder(BTreeMap<&'static str, Box<Call>>);

impl Builder {
    /// One more. Of two with the same name the later one counts.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Builder
    where
        S: Service<
                Request<Body>,
                Response = Response<Body>,
                Error = Infallible,
                Future = BoxFuture<Response<Body>, Infallible>,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        // Services made from protos are always ready, and their copies share what they hold.
        self.0.insert(S::NAME, Box::new(move |request| service.clone().call(request)));
        self
    }

    /// All that were taken in.
    pub fn build(self) -> Services {
        Services(Arc::new(self.0))
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let name = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
        match self.0.get(name) {
            Some(call) => call(request),
            None => Box::pin(async { Ok(refusal::unknown_method().into_http()) }),
        }
    }
}
