//! `c1.api.policy.v1.PolicySearch`.

use super::call::close;
use crate::app::App;
use crate::pb::c1::api::policy::v1::{
    SearchPoliciesRequest, SearchPoliciesResponse, policy_search_server::PolicySearch,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves searches over the policies of one store.
#[derive(Debug)]
pub struct PolicySearchService {
    app: Arc<App>,
}

impl PolicySearchService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        PolicySearchService { app }
    }
}

#[tonic::async_trait]
impl PolicySearch for PolicySearchService {
    async fn search(
        &self,
        request: Request<SearchPoliciesRequest>,
    ) -> Result<Response<SearchPoliciesResponse>, Status> {
        close(self.app.policy_search(request.into_inner()).await)
    }
}
