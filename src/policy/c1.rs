//! ConductorOne-shaped documents: everything that must hold before one is stored, and what it means.
//!
//! [`prepare`] brings a document into the shape in which it is kept (fields that only the service sets are cleared, the
//! baseline that the original would add is added). [`compile`] makes a [`Workflow`] of the result or reports every fault
//! of it. [`references`] lists the other policies it refers to; whether those exist is for `app` to find out, since only
//! it has a store.

mod annotations;
mod approval;
mod expression;
mod form;
mod json;
mod prepare;
mod provision;
mod references;
mod rules;
mod scope;
mod steps;
mod wait;

use super::{Path, Report, Violations, Warning};
use crate::pb::c1::api::policy::v1::{Policy, PolicyType, policy_post_actions::Action as PostAction};
use crate::workflow::{Afterwards, Destination, Nobody, Workflow};

pub use annotations::merge as merge_annotations;
pub use prepare::prepare;
pub use references::{Reference, ReferenceKind, references, rewrite as rewrite_references};

/// The most sequences of steps in one policy.
pub const SEQUENCES_MAX: usize = 64;
/// The most steps in one sequence.
pub const STEPS_MAX: usize = 100;
/// The most rules in one policy.
pub const RULES_MAX: usize = 128;
/// The longest display name, in bytes; it is a key of the search index.
pub const DISPLAY_NAME_MAX_BYTES: usize = 512;
/// The longest description, in bytes; each of its words is a key of the search index.
pub const DESCRIPTION_MAX_BYTES: usize = 4096;
/// The longest key of a sequence, in bytes.
pub const SEQUENCE_KEY_MAX_BYTES: usize = 256;
/// The most users that one approval may name, and the fewest is 1 (reference: section 1.3).
pub const APPROVERS_MAX: usize = 32;

/// The most other policies that one may refer to; each reference is a key of an index.
pub const REFERENCES_MAX: usize = 512;

/// What compiling must know that is not in the document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The id of the policy being written; `None` while it is being created.
    pub own_id: Option<&'a str>,
    /// What happens where a document does not say what happens when nobody is found to ask.
    pub nobody: Nobody,
}

/// A document that has no fault.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What it means.
    pub workflow: Workflow,
    /// What its author should know.
    pub warnings: Vec<Warning>,
}

/// Compiles a prepared document.
///
/// # Errors
/// All violations together, each at its path.
pub fn compile(policy: &Policy, around: Surroundings<'_>) -> Result<Compiled, Violations> {
    let mut report = Report::default();
    let workflow = compile_into(&mut report, policy, around);
    Ok(Compiled { warnings: report.finish()?, workflow })
}

/// As [`compile`], into a report that others add to. The workflow counts only if nothing was refused.
pub fn compile_into(report: &mut Report, policy: &Policy, around: Surroundings<'_>) -> Workflow {
    let root = Path::ROOT;
    check_texts(report, policy);
    check_type(report, policy);
    annotations::check(report, &root.field("annotations"), &policy.annotations);
    scope::check(report, &root.field("scope"), policy.scope.as_ref());
    let baseline = compile_baseline(report, policy, around);
    let sequences = steps::compile_sequences(report, &root.field("policySteps"), policy, around);
    let routes = rules::compile(report, &root.field("rules"), policy, around);
    let afterwards = compile_post_actions(report, policy);
    #[allow(deprecated, reason = "whoever still sets the field should know")]
    if policy.reassign_tasks_to_delegates {
        let path = root.field("reassignTasksToDelegates");
        report.warn(
            &path,
            "FIELD_DEPRECATED",
            "this field has no effect any more; use allowDelegation of an approval",
        );
    }
    references::check(report, policy);
    let workflow = Workflow { routes, baseline, sequences, afterwards, ..Workflow::default() };
    rules::check_unreached(report, &root.field("policySteps"), &workflow);
    workflow
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
    let root = Path::ROOT;
    let name = root.field("displayName");
    if policy.display_name.trim().is_empty() {
        report.refuse(&name, "DISPLAY_NAME_REQUIRED", "a policy needs a display name");
    }
    check_length(report, &name, &policy.display_name, DISPLAY_NAME_MAX_BYTES);
    check_length(report, &root.field("description"), &policy.description, DESCRIPTION_MAX_BYTES);
}

/// Refuses a text longer than `max_bytes`.
fn check_length(report: &mut Report, path: &Path<'_>, text: &str, max_bytes: usize) {
    if text.len() > max_bytes {
        report.refuse(path, "TEXT_TOO_LONG", format!("{} bytes; the limit is {max_bytes} bytes", text.len()));
    }
}

/// Refuses empty ids in a list of ids.
fn check_ids(report: &mut Report, path: &Path<'_>, ids: &[String]) {
    for (n, _) in ids.iter().enumerate().filter(|(_, id)| id.is_empty()) {
        report.refuse(&path.index(n), "ID_EMPTY", "an id cannot be empty");
    }
}

/// The value of an enum. A number that the enum does not have is refused and counts as its zero.
pub fn enum_value<E: TryFrom<i32> + Default>(report: &mut Report, path: &Path<'_>, number: i32) -> E {
    E::try_from(number).unwrap_or_else(|_| {
        report.refuse(path, "ENUM_VALUE_UNKNOWN", format!("{number} is not a value of this enum"));
        E::default()
    })
}

fn check_type(report: &mut Report, policy: &Policy) {
    let root = Path::ROOT;
    let path = root.field("policyType");
    enum_value::<PolicyType>(report, &path, policy.policy_type);
    if policy.policy_type == PolicyType::Unspecified as i32 {
        let message = "the policy has no type, so it has no baseline and nothing will run it";
        report.warn(&path, "POLICY_TYPE_UNSPECIFIED", message);
    }
}

/// Where a request goes that no rule decides.
fn compile_baseline(report: &mut Report, policy: &Policy, around: Surroundings<'_>) -> Destination {
    let key = baseline_key(policy).filter(|key| policy.policy_steps.contains_key(*key));
    if policy.baseline_policy_id.is_empty() {
        return key.map_or(Destination::Nowhere, |key| Destination::Sequence(key.to_owned()));
    }
    let root = Path::ROOT;
    let path = root.field("baselinePolicyId");
    if Some(policy.baseline_policy_id.as_str()) == around.own_id {
        report.refuse(&path, "REFERENCE_TO_SELF", "a policy cannot be its own baseline");
    }
    if let Some(key) = key {
        let message = format!("policySteps has a baseline entry `{key}` already; give one or the other");
        report.refuse(&path, "BASELINE_TWICE", message);
    }
    Destination::Policy(policy.baseline_policy_id.clone())
}

fn compile_post_actions(report: &mut Report, policy: &Policy) -> Vec<Afterwards> {
    let root = Path::ROOT;
    let path = root.field("postActions");
    let mut afterwards = Vec::new();
    for (n, action) in policy.post_actions.iter().enumerate() {
        let at = path.index(n);
        match action.action {
            None => {
                report.warn(&at, "POST_ACTION_EMPTY", "this post action names no action and does nothing")
            }
            Some(PostAction::CertifyRemediateImmediately(on)) => {
                if !matches!(type_of(policy), PolicyType::Certify | PolicyType::Unspecified) {
                    let at = at.field("certifyRemediateImmediately");
                    report.refuse(
                        &at,
                        "POST_ACTION_NOT_FOR_TYPE",
                        "only a certify policy can have this post action",
                    );
                }
                afterwards.push(Afterwards::RemediateImmediately(on));
            }
        }
    }
    afterwards
}
