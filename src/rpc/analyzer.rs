//! `countersign.v1.Analyzer`.

use super::call::close;
use crate::app::App;
use crate::pb::countersign::v1::{AnalyzeRequest, AnalyzeResponse, analyzer_server::Analyzer};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Says what policies do for every request.
#[derive(Debug)]
pub struct AnalyzerService {
    app: Arc<App>,
}

impl AnalyzerService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        AnalyzerService { app }
    }
}

#[tonic::async_trait]
impl Analyzer for AnalyzerService {
    async fn analyze(&self, request: Request<AnalyzeRequest>) -> Result<Response<AnalyzeResponse>, Status> {
        close(self.app.analyze(request.into_inner()).await)
    }
}
