//! `countersign.v1.Revisions`.

use super::call::{close, write};
use crate::app::App;
use crate::pb::countersign::v1::revisions_server::Revisions;
use crate::pb::countersign::v1::{
    GetRevisionRequest, ListRevisionsRequest, ListRevisionsResponse, Revision, RollbackRequest,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves what policies were.
#[derive(Debug)]
pub struct RevisionService {
    app: Arc<App>,
}

impl RevisionService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        RevisionService { app }
    }
}

#[tonic::async_trait]
impl Revisions for RevisionService {
    async fn list(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        close(self.app.revision_list(request.into_inner()).await)
    }

    async fn get(&self, request: Request<GetRevisionRequest>) -> Result<Response<Revision>, Status> {
        close(self.app.revision_get(request.into_inner()).await)
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<Revision>, Status> {
        const METHOD: &str = "countersign.v1.Revisions/Rollback";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.revision_rollback(&caller, message).await
        })
        .await
    }
}
