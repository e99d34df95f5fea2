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
    ("/gotocompany.guardian.v1beta1.GuardianService/CreatePolicy", WRITE),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetPolicy", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/GetPolicyPreferences", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/ListPolicies", READ),
    ("/gotocompany.guardian.v1beta1.GuardianService/UpdatePolicy", WRITE),
    ("/grpc.health.v1.Health/Check", OPEN),
    ("/grpc.health.v1.Health/List", OPEN),
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
