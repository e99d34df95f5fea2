//! Sequences and their steps.

use super::super::{Path, Report};
use super::{
    SEQUENCE_KEY_MAX_BYTES, SEQUENCES_MAX, STEPS_MAX, Surroundings, approval, form, provision, wait,
};
use crate::pb::c1::api::policy::v1::{self as pb, Policy, PolicyStep, action::Target, policy_step::Step};
use crate::workflow::{Action, Sequence, Stage, Work};
use std::collections::BTreeMap;

/// Refuses sequences that are empty or too many, and every faulty step in them.
pub(super) fn compile_sequences(
    report: &mut Report,
    path: &Path<'_>,
    policy: &Policy,
    around: Surroundings<'_>,
) -> BTreeMap<String, Sequence> {
    let count = policy.policy_steps.len();
    if count > SEQUENCES_MAX {
        report.refuse(path, "SEQUENCES_TOO_MANY", format!("{count} sequences; the limit is {SEQUENCES_MAX}"));
    }
    let mut sequences = BTreeMap::new();
    for (key, sequence) in policy.policy_steps.iter().take(SEQUENCES_MAX) {
        let at = path.key(key);
        if key.is_empty() || key.len() > SEQUENCE_KEY_MAX_BYTES {
            let message = format!("a key is 1 to {SEQUENCE_KEY_MAX_BYTES} bytes long");
            report.refuse(&at, "SEQUENCE_KEY_INVALID", message);
        }
        let stages = compile_steps(report, &at.field("steps"), &sequence.steps, policy, around);
        sequences.insert(key.clone(), Sequence { stages });
    }
    sequences
}

fn compile_steps(
    report: &mut Report,
    at: &Path<'_>,
    steps: &[PolicyStep],
    policy: &Policy,
    around: Surroundings<'_>,
) -> Vec<Stage> {
    match steps.len() {
        0 => report.refuse(at, "SEQUENCE_EMPTY", "a sequence has at least one step"),
        n if n > STEPS_MAX => {
            report.refuse(at, "STEPS_TOO_MANY", format!("{n} steps; the limit is {STEPS_MAX}"));
        }
        _ => {}
    }
    let mut stages: Vec<Stage> = Vec::new();
    for (n, step) in steps.iter().take(STEPS_MAX).enumerate() {
        let at = at.index(n);
        if stages.last().is_some_and(|before| before.work.is_terminal()) {
            report.warn(
                &at,
                "STEP_UNREACHED",
                "the step before this one ends the sequence, so this one never runs",
            );
        }
        if let Some(work) = compile_step(report, &at, step, policy, around) {
            stages.push(Stage {
                name: String::new(),
                when: None,
                may_fail: false,
                work,
                place: at.to_string(),
            });
        }
    }
    stages
}

fn compile_step(
    report: &mut Report,
    at: &Path<'_>,
    step: &PolicyStep,
    policy: &Policy,
    around: Surroundings<'_>,
) -> Option<Work> {
    match &step.step {
        None => {
            let message = "a step is one of accept, action, approval, form, provision, reject, wait";
            report.refuse(at, "STEP_EMPTY", message);
            None
        }
        Some(Step::Approval(step)) => {
            let approval = approval::compile(report, &at.field("approval"), step, policy, around)?;
            Some(Work::Approval(Box::new(approval)))
        }
        Some(Step::Wait(step)) => wait::compile(report, &at.field("wait"), step).map(Work::Wait),
        Some(Step::Form(step)) => {
            form::check(report, &at.field("form"), step);
            Some(Work::Form)
        }
        Some(Step::Action(step)) => compile_action(report, &at.field("action"), step).map(Work::Action),
        Some(Step::Provision(step)) => {
            Some(Work::Provision(provision::compile(report, &at.field("provision"), step)))
        }
        Some(Step::Accept(step)) => Some(Work::Accept { message: step.accept_message.clone() }),
        Some(Step::Reject(step)) => Some(Work::Reject { message: step.reject_message.clone() }),
    }
}

fn compile_action(report: &mut Report, at: &Path<'_>, step: &pb::Action) -> Option<Action> {
    match &step.target {
        None => {
            let message = "an action is one of automation, batonResourceAction, clientIdApproval";
            report.refuse(at, "ACTION_TARGET_MISSING", message);
            None
        }
        Some(Target::Automation(target)) => Some(Action::Automation(target.automation_template_id.clone())),
        Some(Target::BatonResourceAction(target)) => {
            Some(Action::ResourceAction(target.baton_resource_action_id.clone()))
        }
        Some(Target::ClientIdApproval(_)) => Some(Action::ClientIdApproval),
    }
}
