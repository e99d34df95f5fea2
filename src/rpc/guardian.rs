//! `gotocompany.guardian.v1beta1.GuardianService`: the calls over policies. Every other call of it is UNIMPLEMENTED.

use super::call::{close, write};
use crate::app::App;
use crate::pb::gotocompany::guardian::v1beta1::{
    CreatePolicyRequest, CreatePolicyResponse, GetPolicyPreferencesRequest, GetPolicyPreferencesResponse,
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, UpdatePolicyRequest,
    UpdatePolicyResponse, guardian_service_server::GuardianService as Service,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves Guardian's policies from the operations on one store.
#[derive(Debug)]
pub struct GuardianService {
    app: Arc<App>,
}

impl GuardianService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        GuardianService { app }
    }
}

#[tonic::async_trait]
impl Service for GuardianService {
    async fn list_policies(
        &self,
        request: Request<ListPoliciesRequest>,
    ) -> Result<Response<ListPoliciesResponse>, Status> {
        close(self.app.guardian_list(request.into_inner()).await)
    }

    async fn get_policy(
        &self,
        request: Request<GetPolicyRequest>,
    ) -> Result<Response<GetPolicyResponse>, Status> {
        close(self.app.guardian_get(request.into_inner()).await)
    }

    async fn create_policy(
        &self,
        request: Request<CreatePolicyRequest>,
    ) -> Result<Response<CreatePolicyResponse>, Status> {
        const METHOD: &str = "gotocompany.guardian.v1beta1.GuardianService/CreatePolicy";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.guardian_create(&caller, message).await
        })
        .await
    }

    async fn update_policy(
        &self,
        request: Request<UpdatePolicyRequest>,
    ) -> Result<Response<UpdatePolicyResponse>, Status> {
        const METHOD: &str = "gotocompany.guardian.v1beta1.GuardianService/UpdatePolicy";
        write(&self.app, request, METHOD, |caller, message| async move {
            self.app.guardian_update(&caller, message).await
        })
        .await
    }

    async fn get_policy_preferences(
        &self,
        request: Request<GetPolicyPreferencesRequest>,
    ) -> Result<Response<GetPolicyPreferencesResponse>, Status> {
        close(self.app.guardian_preferences(request.into_inner()).await)
    }
}
