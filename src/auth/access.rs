//! Which method takes which role: the one table. A method that is not in it is denied to everybody.
//!
//! A test reads every RPC from the descriptors and fails when one is missing here. Reads are for every role, since each of
//! them has to see policies; what changes policies is for editors; the audit trail is for auditors.

use super::{Role, Roles};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a credential: what load balancers ask.
    Open,
    /// Whoever has one of these roles.
    Roles(Roles),
}

const OPEN: Access = Access::Open;
const READ: Access = Access::Roles(Roles::ALL);
const AUDIT: Access = Access::Roles(Roles::of(&[Role::Auditor, Role::Admin]));
const WRITE: Access = Access::Roles(Roles::of(&[Role::Editor, Role::Admin]));

/// `/package.Service/Method`, and who may call it. Sorted, so that a look-up is a search.
const TABLE: &[(&str, Access)] = &[
    ("/c1.api.policy.v1.AccountProvisionPolicyTest/Test", READ),
    ("/c1.api.policy.v1.Policies/Create", WRITE),
    ("/c1.api.policy.v1.Policies/Delete", WRITE),
    ("/c1.api.policy.v1.Policies/Get", READ),
    ("/c1.api.policy.v1.Policies/List", READ),
    ("/c1.api.policy.v1.Policies/Update", WRITE),
    ("/c1.api.policy.v1.PolicySearch/Search", READ),
    ("/c1.api.policy.v1.PolicyValidate/ValidateCEL", READ),
    ("/countersign.v1.Analyzer/Analyze", READ),
    ("/countersign.v1.Audit/List", AUDIT),
    ("/countersign.v1.Comparer/Compare", READ),
    ("/countersign.v1.Revisions/Get", READ),
    ("/countersign.v1.Revisions/List", READ),
    ("/countersign.v1.Revisions/Rollback", WRITE),
    ("/countersign.v1.Simulator/BatchSimulate", READ),
    ("/countersign.v1.Simulator/Simulate", READ),
    ("/countersign.v1.Simulator/WhoCanApprove", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/AddApprovalStep", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/AddApprover", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CancelAppeal", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CreateAppeal", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CreateAppealComment", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CreatePolicy", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CreateProvider", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/CreateResource", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/DeleteApprover", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/DeleteProvider", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/DeleteResource", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/GenerateApprovalSummaries", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/GenerateUserApprovalSummaries", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetActivity", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetAppeal", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetGrant", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetPolicy", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetPolicyPreferences", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetProvider", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetProviderTypes", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetResource", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ImportActivities", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/ImportGrantsFromProvider", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListActivities", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListAppealActivities", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListAppealComments", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListAppeals", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListApprovals", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListGrants", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListPolicies", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListProviders", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListResources", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListRoles", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListUserAppeals", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListUserApprovals", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListUserGrants", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListUserRoles", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/PatchAppeal", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/RelabelAppeal", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/RestoreGrant", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/RevokeAppeal", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/RevokeGrant", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/RevokeGrants", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdateApproval", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdateApprovalStep", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdateGrant", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdatePolicy", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdateProvider", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdateResource", WRITE),
    ("/grpc.health.v1.Health/Check", OPEN),
    ("/grpc.health.v1.Health/Watch", OPEN),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READ),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", READ),
    ("/raystack.guardian.v1beta1.GuardianService/CreatePolicy", WRITE),
    ("/raystack.guardian.v1beta1.GuardianService/GetPolicy", READ),
    ("/raystack.guardian.v1beta1.GuardianService/GetPolicyPreferences", READ),
    ("/raystack.guardian.v1beta1.GuardianService/ListPolicies", READ),
    ("/raystack.guardian.v1beta1.GuardianService/UpdatePolicy", WRITE),
];

/// Who may call a method, named as in [`TABLE`]; nobody, if it is not there.
#[must_use]
pub fn access(method: &str) -> Access {
    let at = TABLE.binary_search_by(|(name, _)| (*name).cmp(method));
    at.ok().and_then(|at| TABLE.get(at)).map_or(Access::Roles(Roles::NONE), |(_, access)| *access)
}

/// Every method in the table.
pub fn methods() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_each_method_once() {
        assert!(TABLE.is_sorted_by(|(one, _), (other, _)| one < other));
        assert_eq!(access("/c1.api.policy.v1.Policies/Create"), WRITE);
        assert_eq!(access("/c1.api.policy.v1.Policies/create"), Access::Roles(Roles::NONE));
    }
}
