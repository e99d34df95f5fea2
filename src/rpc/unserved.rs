//! Services that are declared, so that their clients get a clean answer, but not served by this version.

use super::status;
use crate::pb::c1::api::policy::v1::{
    EditorValidateRequest, EditorValidateResponse, TestAccountProvisionPolicyRequest,
    TestAccountProvisionPolicyResponse, account_provision_policy_test_server::AccountProvisionPolicyTest,
    policy_validate_server::PolicyValidate,
};
use tonic::{Request, Response, Status};

/// `c1.api.policy.v1.PolicyValidate`.
#[derive(Debug, Default)]
pub struct PolicyValidateService;

#[tonic::async_trait]
impl PolicyValidate for PolicyValidateService {
    async fn validate_cel(
        &self,
        _request: Request<EditorValidateRequest>,
    ) -> Result<Response<EditorValidateResponse>, Status> {
        Err(status::unserved("c1.api.policy.v1.PolicyValidate/ValidateCEL"))
    }
}

/// `c1.api.policy.v1.AccountProvisionPolicyTest`.
#[derive(Debug, Default)]
pub struct AccountProvisionPolicyTestService;

#[tonic::async_trait]
impl AccountProvisionPolicyTest for AccountProvisionPolicyTestService {
    async fn test(
        &self,
        _request: Request<TestAccountProvisionPolicyRequest>,
    ) -> Result<Response<TestAccountProvisionPolicyResponse>, Status> {
        Err(status::unserved("c1.api.policy.v1.AccountProvisionPolicyTest/Test"))
    }
}
