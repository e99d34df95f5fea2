//! Scope: the one app or entitlement that a policy is for; none means that it is for all.

use super::super::{Path, Report};
use super::enum_value;
use crate::pb::c1::api::policy::v1::{PolicyScope, PolicyScopeSlot};

/// Refuses a scope that names no app. That a scope never changes is seen to where updates are applied.
pub(super) fn check(report: &mut Report, path: &Path<'_>, scope: Option<&PolicyScope>) {
    let Some(scope) = scope else { return };
    enum_value::<PolicyScopeSlot>(report, &path.field("slot"), scope.slot);
    if scope.app_id.is_empty() {
        let message = "a scope names an app; leave the scope out for a policy that is global";
        report.refuse(&path.field("appId"), "SCOPE_APP_REQUIRED", message);
    }
}
