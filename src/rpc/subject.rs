//! What a call that writes is about, so that the audit trail can say so when it fails.

use crate::pb::c1::api::policy::v1 as c1;
use crate::pb::countersign::v1::RollbackRequest;
use crate::pb::gotocompany::guardian::v1beta1 as goto;
use crate::pb::raystack::guardian::v1beta1 as raystack;

/// A request to write.
pub(super) trait Subject {
    /// The policy that it is about; empty while it has no id.
    fn policy_id(&self) -> &str;

    /// The paths of its update mask.
    fn mask(&self) -> &[String] {
        &[]
    }

    /// Whether it asks for a dry run, which writes nothing.
    fn is_trial(&self) -> bool {
        false
    }
}

impl Subject for c1::CreatePolicyRequest {
    fn policy_id(&self) -> &str {
        ""
    }
}

impl Subject for c1::UpdatePolicyRequest {
    fn policy_id(&self) -> &str {
        self.policy.as_ref().map_or("", |policy| &policy.id)
    }

    fn mask(&self) -> &[String] {
        self.update_mask.as_ref().map_or(&[], |mask| &mask.paths)
    }
}

impl Subject for c1::DeletePolicyRequest {
    fn policy_id(&self) -> &str {
        &self.id
    }
}

impl Subject for RollbackRequest {
    fn policy_id(&self) -> &str {
        &self.policy_id
    }
}

macro_rules! guardian {
    ($($family:ident),*) => {
        $(
            impl Subject for $family::CreatePolicyRequest {
                fn policy_id(&self) -> &str {
                    self.policy.as_ref().map_or("", |policy| &policy.id)
                }

                fn is_trial(&self) -> bool {
                    self.dry_run
                }
            }

            impl Subject for $family::UpdatePolicyRequest {
                fn policy_id(&self) -> &str {
                    &self.id
                }

                fn is_trial(&self) -> bool {
                    self.dry_run
                }
            }
        )*
    };
}

guardian!(goto, raystack);
