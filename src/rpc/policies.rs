//! `c1.api.policy.v1.Policies`.

use super::call::{close, write};
use crate::app::App;
use crate::pb::c1::api::policy::v1::{
    CreatePolicyRequest, CreatePolicyResponse, DeletePolicyRequest, DeletePolicyResponse, GetPolicyRequest,
    GetPolicyResponse, ListPolicyRequest, ListPolicyResponse, UpdatePolicyRequest, UpdatePolicyResponse,
    policies_server::Policies,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves policies from the operations on one store.
#[derive(Debug)]
pub struct PolicyService {
    app: Arc<App>,
}

impl PolicyService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        PolicyService { app }
    }
}

#[tonic::async_trait]
impl Policies for PolicyService {
    async fn create(
        &self,
        request: Request<CreatePolicyRequest>,
    ) -> Result<Response<CreatePolicyResponse>, Status> {
        const METHOD: &str = "c1.api.policy.v1.Policies/Create";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.policy_create(&caller, message).await
        })
        .await
    }

    async fn get(&self, request: Request<GetPolicyRequest>) -> Result<Response<GetPolicyResponse>, Status> {
        close(self.app.policy_get(request.into_inner()).await)
    }

    async fn list(
        &self,
        request: Request<ListPolicyRequest>,
    ) -> Result<Response<ListPolicyResponse>, Status> {
        close(self.app.policy_list(request.into_inner()).await)
    }

    async fn update(
        &self,
        request: Request<UpdatePolicyRequest>,
    ) -> Result<Response<UpdatePolicyResponse>, Status> {
        const METHOD: &str = "c1.api.policy.v1.Policies/Update";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.policy_update(&caller, message).await
        })
        .await
    }

    async fn delete(
        &self,
        request: Request<DeletePolicyRequest>,
    ) -> Result<Response<DeletePolicyResponse>, Status> {
        const METHOD: &str = "c1.api.policy.v1.Policies/Delete";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.policy_delete(&caller, message).await
        })
        .await
    }
}
