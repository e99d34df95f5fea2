//! ConductorOne-shaped documents: everything that must hold before one is stored.
//!
//! [`prepare`] brings a document into the shape in which it is kept (fields that only the service sets are cleared, the
//! baseline that the original would add is added); [`check`] reports every fault of the result and lists the other
//! policies it refers to. Whether those exist is for `app` to find out, since only it has a store.

mod annotations;
mod approval;
mod form;
mod json;
mod prepare;
mod provision;
mod references;
mod rules;
mod scope;
mod steps;

use super::{Path, Report, Violations, Warning};
use crate::pb::c1::api::policy::v1::{Policy, PolicyType, policy_post_actions};

pub use annotations::merge as merge_annotations;
pub use prepare::prepare;
pub use references::{Reference, ReferenceKind, references};

/// The most sequences of steps in one policy.
pub const SEQUENCES_MAX: usize = 64;
/// The most steps in one sequence.
pub const STEPS_MAX: usize = 100;
/// The most rules in one policy.
pub const RULES_MAX: usize = 128;
/// The longest expression, in bytes.
pub const EXPRESSION_MAX_BYTES: usize = 4096;
/// The longest display name, in bytes; it is a key of the search index.
pub const DISPLAY_NAME_MAX_BYTES: usize = 512;
/// The longest description, in bytes; each of its words is a key of the search index.
pub const DESCRIPTION_MAX_BYTES: usize = 4096;
/// The longest key of a sequence, in bytes.
pub const SEQUENCE_KEY_MAX_BYTES: usize = 256;
/// The most users that one approval may name, and the fewest is 1 (reference: section 1.3).
pub const APPROVERS_MAX: usize = 32;

/// What a check must know that is not in the document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The id of the policy being written; `None` while it is being created.
    pub own_id: Option<&'a str>,
}

/// Reports every fault of a prepared document; if there is none, what its author should know.
///
/// # Errors
/// All violations together, each at its path.
pub fn check(policy: &Policy, around: Surroundings<'_>) -> Result<Vec<Warning>, Violations> {
    let mut report = Report::default();
    let root = Path::ROOT;
    check_texts(&mut report, policy);
    check_type(&mut report, policy);
    annotations::check(&mut report, &root.field("annotations"), &policy.annotations);
    scope::check(&mut report, &root.field("scope"), policy.scope.as_ref());
    check_baseline(&mut report, policy, around);
    steps::check_sequences(&mut report, &root.field("policySteps"), policy, around);
    rules::check(&mut report, &root.field("rules"), policy, around);
    check_post_actions(&mut report, policy);
    #[allow(deprecated, reason = "whoever still sets the field should know")]
    if policy.reassign_tasks_to_delegates {
        let path = root.field("reassignTasksToDelegates");
        report.warn(
            &path,
            "FIELD_DEPRECATED",
            "this field has no effect any more; use allowDelegation of an approval",
        );
    }
    report.finish()
}

/// The policy's type; `Unspecified` also for a number that no type has.
fn type_of(policy: &Policy) -> PolicyType {
    PolicyType::try_from(policy.policy_type).unwrap_or(PolicyType::Unspecified)
}

/// The key of the sequence that runs when no rule matches: the lower-cased word of the type; `None` without a type.
pub fn baseline_key(policy: &Policy) -> Option<&'static str> {
    match type_of(policy) {
        PolicyType::Unspecified => None,
        PolicyType::Grant => Some("grant"),
        PolicyType::Revoke => Some("revoke"),
        PolicyType::Certify => Some("certify"),
        PolicyType::AccessRequest => Some("access_request"),
        PolicyType::Provision => Some("provision"),
    }
}

fn check_texts(report: &mut Report, policy: &Policy) {
    let name = Path::ROOT;
    let name = name.field("displayName");
    if policy.display_name.trim().is_empty() {
        report.refuse(&name, "DISPLAY_NAME_REQUIRED", "a policy needs a display name");
    }
    check_length(report, &name, &policy.display_name, DISPLAY_NAME_MAX_BYTES);
    check_length(report, &Path::ROOT.field("description"), &policy.description, DESCRIPTION_MAX_BYTES);
}

/// Refuses a text longer than `max_bytes`.
fn check_length(report: &mut Report, path: &Path<'_>, text: &str, max_bytes: usize) {
    if text.len() > max_bytes {
        report.refuse(path, "TEXT_TOO_LONG", format!("{} bytes; the limit is {max_bytes} bytes", text.len()));
    }
}

/// Refuses an expression that is empty or too long; what it means is not looked at here.
fn check_expression(report: &mut Report, path: &Path<'_>, text: &str) {
    if text.trim().is_empty() {
        report.refuse(path, "EXPRESSION_EMPTY", "an expression is needed; `true` matches always");
    } else if text.len() > EXPRESSION_MAX_BYTES {
        let message =
            format!("{} bytes; the limit of an expression is {EXPRESSION_MAX_BYTES} bytes", text.len());
        report.refuse(path, "EXPRESSION_TOO_LONG", message);
    }
}

/// Refuses a number that the enum does not have.
fn check_enum<E: TryFrom<i32>>(report: &mut Report, path: &Path<'_>, number: i32) {
    if E::try_from(number).is_err() {
        report.refuse(path, "ENUM_VALUE_UNKNOWN", format!("{number} is not a value of this enum"));
    }
}

fn check_type(report: &mut Report, policy: &Policy) {
    let path = Path::ROOT;
    let path = path.field("policyType");
    check_enum::<PolicyType>(report, &path, policy.policy_type);
    if policy.policy_type == PolicyType::Unspecified as i32 {
        let message = "the policy has no type, so it has no baseline and nothing will run it";
        report.warn(&path, "POLICY_TYPE_UNSPECIFIED", message);
    }
}

fn check_baseline(report: &mut Report, policy: &Policy, around: Surroundings<'_>) {
    if policy.baseline_policy_id.is_empty() {
        return;
    }
    let path = Path::ROOT;
    let path = path.field("baselinePolicyId");
    if Some(policy.baseline_policy_id.as_str()) == around.own_id {
        report.refuse(&path, "REFERENCE_TO_SELF", "a policy cannot be its own baseline");
    }
    if let Some(key) = baseline_key(policy).filter(|key| policy.policy_steps.contains_key(*key)) {
        let message = format!("policySteps has a baseline entry `{key}` already; give one or the other");
        report.refuse(&path, "BASELINE_TWICE", message);
    }
}

fn check_post_actions(report: &mut Report, policy: &Policy) {
    let path = Path::ROOT;
    let path = path.field("postActions");
    for (n, action) in policy.post_actions.iter().enumerate() {
        let at = path.index(n);
        match action.action {
            None => {
                report.warn(&at, "POST_ACTION_EMPTY", "this post action names no action and does nothing")
            }
            Some(policy_post_actions::Action::CertifyRemediateImmediately(_)) => {
                if !matches!(type_of(policy), PolicyType::Certify | PolicyType::Unspecified) {
                    let at = at.field("certifyRemediateImmediately");
                    report.refuse(
                        &at,
                        "POST_ACTION_NOT_FOR_TYPE",
                        "only a certify policy can have this post action",
                    );
                }
            }
        }
    }
}
