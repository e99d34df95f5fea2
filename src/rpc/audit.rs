//! `countersign.v1.Audit`.

use super::call::close;
use crate::app::App;
use crate::pb::countersign::v1::audit_server::Audit;
use crate::pb::countersign::v1::{ListAuditRequest, ListAuditResponse};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves the audit trail.
#[derive(Debug)]
pub struct AuditService {
    app: Arc<App>,
}

impl AuditService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        AuditService { app }
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    async fn list(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        close(self.app.audit_list(request.into_inner()).await)
    }
}
