//! Approvers: an e-mail address, or an expression. Guardian looks at each when a policy is created.

use super::super::Path;
use super::findings::Findings;
use super::{Family, expression};
use crate::workflow::is_email;

/// Expressions that speak of one of these are not looked at when the policy is created: only an appeal can tell.
const LATE: [&str; 6] = ["resource", "creator", "role", "permissions", "details", "labels"];
/// What stands before each of them.
const APPEAL: &str = "$appeal.";
/// How many of them the older family knows.
const LATE_OF_RAYSTACK: usize = 2;

/// Guardian's check of one approver when a policy is created.
pub(super) fn check(findings: &mut Findings, path: &Path<'_>, text: &str) {
    if !is_email(text) && is_early(findings.around().family, text) {
        expression::check_early_approver(findings, path, text);
    }
}

/// Whether an expression is looked at when the policy is created.
pub(super) fn is_early(family: Family, text: &str) -> bool {
    let late = match family {
        Family::Goto => LATE.as_slice(),
        Family::Raystack => LATE.get(..LATE_OF_RAYSTACK).unwrap_or_default(),
    };
    !text.split(APPEAL).skip(1).any(|rest| late.iter().any(|late| rest.starts_with(late)))
}
