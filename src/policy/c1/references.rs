//! Which other policies a document refers to, and how.

use super::super::{Path, Report};
use super::REFERENCES_MAX;
use super::rules::outcome;
use crate::pb::c1::api::policy::v1::{Policy, approval::Typ, escalation, policy_step::Step, rule::Outcome};

/// What a reference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// A rule or the baseline runs the other policy instead: part of the chain that may have no cycle.
    Route,
    /// An escalation replaces this policy by the other one after a time. Not part of the chain: two policies may
    /// escalate to each other, which is for the analysis to report.
    Escalation,
    /// An agent may choose the other policy.
    AgentChoice,
}

/// One reference to another policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where the id stands.
    pub path: String,
    /// The id of the other policy; may be empty where a document leaves it out.
    pub target: String,
    /// What it is for.
    pub kind: ReferenceKind,
}

/// Refuses a document with more references than one may have.
pub(super) fn check(report: &mut Report, policy: &Policy) {
    let count = references(policy).len();
    if count > REFERENCES_MAX {
        let message = format!("{count} references to other policies; the limit is {REFERENCES_MAX}");
        report.refuse(&Path::ROOT, "REFERENCES_TOO_MANY", message);
    }
}

/// Every reference of a document, in its order. Includes references of escalations that are switched off, since the
/// document would break if they were switched on.
pub fn references(policy: &Policy) -> Vec<Reference> {
    let mut found = Vec::new();
    let root = Path::ROOT;
    let mut add = |path: &Path<'_>, target: &str, kind| {
        found.push(Reference { path: path.to_string(), target: target.to_owned(), kind });
    };
    if !policy.baseline_policy_id.is_empty() {
        add(&root.field("baselinePolicyId"), &policy.baseline_policy_id, ReferenceKind::Route);
    }
    let sequences = root.field("policySteps");
    for (key, sequence) in &policy.policy_steps {
        let at = sequences.key(key);
        let at = at.field("steps");
        for (n, step) in sequence.steps.iter().enumerate() {
            let Some(Step::Approval(approval)) = &step.step else { continue };
            let at = at.index(n);
            let at = at.field("approval");
            if let Some(Typ::Agent(agent)) = &approval.typ {
                let at = at.field("agent.policyIds");
                for (m, id) in agent.policy_ids.iter().enumerate() {
                    add(&at.index(m), id, ReferenceKind::AgentChoice);
                }
            }
            let escalation = approval.escalation.as_ref().and_then(|e| e.escalation_policy.as_ref());
            if let Some(escalation::EscalationPolicy::ReplacePolicy(replace)) = escalation {
                add(
                    &at.field("escalation.replacePolicy.policyId"),
                    &replace.policy_id,
                    ReferenceKind::Escalation,
                );
            }
        }
    }
    let rules = root.field("rules");
    for (n, rule) in policy.rules.iter().enumerate() {
        if let Some(Outcome::PolicyId(id)) = outcome(rule) {
            add(&rules.index(n).field("policyId"), id, ReferenceKind::Route);
        }
    }
    found
}

/// Puts another id in the place of each for which `other` has one.
pub fn rewrite(policy: &mut Policy, other: impl Fn(&str) -> Option<String>) {
    let change = |id: &mut String| {
        if let Some(new) = other(id) {
            *id = new;
        }
    };
    change(&mut policy.baseline_policy_id);
    for step in policy.policy_steps.values_mut().flat_map(|sequence| &mut sequence.steps) {
        let Some(Step::Approval(approval)) = &mut step.step else { continue };
        if let Some(Typ::Agent(agent)) = &mut approval.typ {
            agent.policy_ids.iter_mut().for_each(change);
        }
        let escalation = approval.escalation.as_mut().and_then(|e| e.escalation_policy.as_mut());
        if let Some(escalation::EscalationPolicy::ReplacePolicy(replace)) = escalation {
            change(&mut replace.policy_id);
        }
    }
    for rule in &mut policy.rules {
        if let Some(Outcome::PolicyId(id)) = &mut rule.outcome {
            change(id);
        }
    }
}
