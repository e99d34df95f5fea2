//! Rules: which sequence, or which other policy, a request goes to. The first whose condition holds decides.

use super::super::{Path, Report};
use super::{RULES_MAX, Surroundings, expression};
use crate::expr::Environment;
use crate::pb::c1::api::policy::v1::{Policy, Rule, rule::Outcome};
use crate::workflow::{Destination, Route, Workflow};
use std::collections::BTreeSet;

/// Refuses rules without a condition, without an outcome, with two, or that lead nowhere.
pub(super) fn compile(
    report: &mut Report,
    path: &Path<'_>,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Vec<Route> {
    if policy.rules.len() > RULES_MAX {
        report.refuse(
            path,
            "RULES_TOO_MANY",
            format!("{} rules; the limit is {RULES_MAX}", policy.rules.len()),
        );
    }
    let mut routes: Vec<Route> = Vec::new();
    for (n, rule) in policy.rules.iter().take(RULES_MAX).enumerate() {
        let at = path.index(n);
        if routes.last().is_some_and(|before| before.condition.is_always_true()) {
            report.warn(
                &at,
                "RULE_UNREACHED",
                "the rule before this one always matches, so this one never decides",
            );
        }
        let condition =
            expression::compile(report, &at.field("condition"), Environment::Condition, &rule.condition);
        let to = compile_outcome(report, &at, rule, policy, around);
        if let (Some(condition), Some(to)) = (condition, to) {
            routes.push(Route { condition, to, place: at.to_string() });
        }
    }
    routes
}

/// Warns of sequences that no rule and no baseline leads to.
pub(super) fn check_unreached(report: &mut Report, path: &Path<'_>, workflow: &Workflow) {
    let destinations = workflow.routes.iter().map(|route| &route.to).chain([&workflow.baseline]);
    let reached: BTreeSet<&str> = destinations
        .filter_map(|to| match to {
            Destination::Sequence(key) => Some(key.as_str()),
            Destination::Policy(_) | Destination::Nowhere => None,
        })
        .collect();
    for key in workflow.sequences.keys().filter(|key| !reached.contains(key.as_str())) {
        report.warn(&path.key(key), "SEQUENCE_UNREACHED", "no rule leads to this sequence, so it never runs");
    }
}

/// The outcome of a rule; an empty id or key counts as unset, since clients echo it so.
pub(super) fn outcome(rule: &Rule) -> Option<&Outcome> {
    rule.outcome.as_ref().filter(|outcome| match outcome {
        Outcome::PolicyId(id) => !id.is_empty(),
        Outcome::StepKey(key) => !key.is_empty(),
    })
}

fn compile_outcome(
    report: &mut Report,
    at: &Path<'_>,
    rule: &Rule,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Option<Destination> {
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
            None
        }
        (None, "") => {
            report.refuse(at, "RULE_OUTCOME_MISSING", "a rule leads to a stepKey or a policyId");
            None
        }
        (None, old) => {
            let at = at.field("policyKey");
            report.warn(&at, "FIELD_DEPRECATED", "policyKey is the old spelling of stepKey");
            compile_key(report, &at, old, policy)
        }
        (Some(Outcome::StepKey(key)), _) => compile_key(report, &at.field("stepKey"), key, policy),
        (Some(Outcome::PolicyId(id)), _) => {
            if Some(id.as_str()) == around.own_id {
                report.refuse(
                    &at.field("policyId"),
                    "REFERENCE_TO_SELF",
                    "a rule cannot lead to its own policy",
                );
            }
            Some(Destination::Policy(id.clone()))
        }
    }
}

fn compile_key(report: &mut Report, at: &Path<'_>, key: &str, policy: &Policy) -> Option<Destination> {
    if policy.policy_steps.get(key).is_none_or(|sequence| sequence.steps.is_empty()) {
        report.refuse(at, "RULE_STEPS_MISSING", format!("policySteps has no steps under `{key}`"));
        return None;
    }
    Some(Destination::Sequence(key.to_owned()))
}
