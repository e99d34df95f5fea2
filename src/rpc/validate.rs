//! `c1.api.policy.v1.PolicyValidate` and `c1.api.policy.v1.AccountProvisionPolicyTest`.

use super::call::close;
use crate::app::App;
use crate::pb::c1::api::policy::v1::{
    EditorValidateRequest, EditorValidateResponse, TestAccountProvisionPolicyRequest,
    TestAccountProvisionPolicyResponse, account_provision_policy_test_server::AccountProvisionPolicyTest,
    policy_validate_server::PolicyValidate,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Says what is wrong with one expression.
#[derive(Debug)]
pub struct PolicyValidateService {
    app: Arc<App>,
}

impl PolicyValidateService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        PolicyValidateService { app }
    }
}

#[tonic::async_trait]
impl PolicyValidate for PolicyValidateService {
    async fn validate_cel(
        &self,
        request: Request<EditorValidateRequest>,
    ) -> Result<Response<EditorValidateResponse>, Status> {
        close(self.app.expression_validate(&request.into_inner()))
    }
}

/// Says what one expression gives.
#[derive(Debug)]
pub struct AccountProvisionPolicyTestService {
    app: Arc<App>,
}

impl AccountProvisionPolicyTestService {
    /// A service over `app`.
    pub fn new(app: Arc<App>) -> Self {
        AccountProvisionPolicyTestService { app }
    }
}

#[tonic::async_trait]
impl AccountProvisionPolicyTest for AccountProvisionPolicyTestService {
    async fn test(
        &self,
        request: Request<TestAccountProvisionPolicyRequest>,
    ) -> Result<Response<TestAccountProvisionPolicyResponse>, Status> {
        close(self.app.expression_test(&request.into_inner()))
    }
}
