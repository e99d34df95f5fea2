//! Rules: which sequence, or which other policy, a request goes to. The first whose condition holds decides.

use super::super::{Path, Report};
use super::{RULES_MAX, Surroundings, check_expression};
use crate::pb::c1::api::policy::v1::{Policy, Rule, rule::Outcome};

/// Refuses rules without a condition, without an outcome, with two, or that lead nowhere.
pub(super) fn check(report: &mut Report, path: &Path<'_>, policy: &Policy, around: Surroundings<'_>) {
    if policy.rules.len() > RULES_MAX {
        report.refuse(
            path,
            "RULES_TOO_MANY",
            format!("{} rules; the limit is {RULES_MAX}", policy.rules.len()),
        );
    }
    for (n, rule) in policy.rules.iter().take(RULES_MAX).enumerate() {
        let at = path.index(n);
        check_expression(report, &at.field("condition"), &rule.condition);
        check_outcome(report, &at, rule, policy, around);
    }
}

/// The outcome of a rule; an empty id or key counts as unset, since clients echo it so.
pub(super) fn outcome(rule: &Rule) -> Option<&Outcome> {
    rule.outcome.as_ref().filter(|outcome| match outcome {
        Outcome::PolicyId(id) => !id.is_empty(),
        Outcome::StepKey(key) => !key.is_empty(),
    })
}

fn check_outcome(report: &mut Report, at: &Path<'_>, rule: &Rule, policy: &Policy, around: Surroundings<'_>) {
    // The old spelling of a step key is still honoured, so that what was written with it keeps working.
    #[allow(
        deprecated,
        reason = "the field is deprecated for clients, not for the service that must honour it"
    )]
    let old_key = rule.policy_key.as_str();
    match (outcome(rule), old_key) {
        (Some(_), old) if !old.is_empty() => {
            let message = "policyKey is the old spelling of stepKey; a rule has one outcome";
            report.refuse(&at.field("policyKey"), "RULE_OUTCOME_TWICE", message);
        }
        (None, "") => {
            report.refuse(at, "RULE_OUTCOME_MISSING", "a rule leads to a stepKey or a policyId");
        }
        (None, old) => check_key(report, &at.field("policyKey"), old, policy),
        (Some(Outcome::StepKey(key)), _) => check_key(report, &at.field("stepKey"), key, policy),
        (Some(Outcome::PolicyId(id)), _) => {
            if Some(id.as_str()) == around.own_id {
                report.refuse(
                    &at.field("policyId"),
                    "REFERENCE_TO_SELF",
                    "a rule cannot lead to its own policy",
                );
            }
        }
    }
}

fn check_key(report: &mut Report, at: &Path<'_>, key: &str, policy: &Policy) {
    if policy.policy_steps.get(key).is_none_or(|sequence| sequence.steps.is_empty()) {
        report.refuse(at, "RULE_STEPS_MISSING", format!("policySteps has no steps under `{key}`"));
    }
}
