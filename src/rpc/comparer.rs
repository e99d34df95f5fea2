//! `countersign.v1.Comparer`.

use super::call::close;
use crate::app::App;
use crate::pb::countersign::v1::{CompareRequest, CompareResponse, comparer_server::Comparer};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Says what is different between two policies.
#[derive(Debug)]
pub struct ComparerService {
    app: Arc<App>,
}

impl ComparerService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        ComparerService { app }
    }
}

#[tonic::async_trait]
impl Comparer for ComparerService {
    async fn compare(&self, request: Request<CompareRequest>) -> Result<Response<CompareResponse>, Status> {
        close(self.app.compare(request.into_inner()).await)
    }
}
