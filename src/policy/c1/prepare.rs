//! Brings a document into the shape in which it is kept.

use super::super::{Path, Warning};
use super::baseline_key;
use crate::pb::c1::api::policy::v1::{
    Approval, Policy, PolicyStep, PolicySteps, Reject, approval::Typ, policy_step::Step,
};

/// Clears the fields inside steps that only the service sets, so that what was read can be sent back, and adds the
/// baseline that the original adds: a typed policy with neither a baseline entry nor `baselinePolicyId` refuses
/// everybody. `provision.assigned` is kept: clients set it.
pub fn prepare(policy: &mut Policy) -> Vec<Warning> {
    for step in policy.policy_steps.values_mut().flat_map(|sequence| &mut sequence.steps) {
        if let Some(Step::Approval(approval)) = &mut step.step {
            clear_read_only(approval);
        }
    }
    add_baseline(policy).into_iter().collect()
}

fn clear_read_only(approval: &mut Approval) {
    approval.assigned = false;
    match &mut approval.typ {
        Some(Typ::Manager(arm)) => arm.assigned_user_ids.clear(),
        Some(Typ::Self_(arm)) => arm.assigned_user_ids.clear(),
        Some(Typ::Expression(arm)) => arm.assigned_user_ids.clear(),
        _ => {}
    }
}

fn add_baseline(policy: &mut Policy) -> Option<Warning> {
    let key = baseline_key(policy)?;
    if !policy.baseline_policy_id.is_empty() || policy.policy_steps.contains_key(key) {
        return None;
    }
    let reject = PolicyStep { step: Some(Step::Reject(Reject::default())) };
    policy.policy_steps.insert(key.to_owned(), PolicySteps { steps: vec![reject] });
    let path = Path::ROOT.field("policySteps").key(key).to_string();
    let message =
        "there was no baseline entry, so one that rejects was added: what no rule matches is refused".into();
    Some(Warning { path, span: None, code: "BASELINE_ADDED", message })
}
