//! Sequences and their steps.

use super::super::{Path, Report};
use super::{
    SEQUENCE_KEY_MAX_BYTES, SEQUENCES_MAX, STEPS_MAX, Surroundings, approval, check_expression, form,
    provision,
};
use crate::pb::c1::api::policy::v1::{Policy, PolicyStep, Wait, policy_step::Step, wait::Until};

/// Refuses sequences that are empty or too many, and every faulty step in them.
pub(super) fn check_sequences(
    report: &mut Report,
    path: &Path<'_>,
    policy: &Policy,
    around: Surroundings<'_>,
) {
    let count = policy.policy_steps.len();
    if count > SEQUENCES_MAX {
        report.refuse(path, "SEQUENCES_TOO_MANY", format!("{count} sequences; the limit is {SEQUENCES_MAX}"));
    }
    for (key, sequence) in policy.policy_steps.iter().take(SEQUENCES_MAX) {
        let at = path.key(key);
        if key.is_empty() || key.len() > SEQUENCE_KEY_MAX_BYTES {
            let message = format!("a key is 1 to {SEQUENCE_KEY_MAX_BYTES} bytes long");
            report.refuse(&at, "SEQUENCE_KEY_INVALID", message);
        }
        let at = at.field("steps");
        match sequence.steps.len() {
            0 => report.refuse(&at, "SEQUENCE_EMPTY", "a sequence has at least one step"),
            n if n > STEPS_MAX => {
                report.refuse(&at, "STEPS_TOO_MANY", format!("{n} steps; the limit is {STEPS_MAX}"));
            }
            _ => {}
        }
        for (n, step) in sequence.steps.iter().take(STEPS_MAX).enumerate() {
            check_step(report, &at.index(n), step, policy, around);
        }
    }
}

fn check_step(
    report: &mut Report,
    at: &Path<'_>,
    step: &PolicyStep,
    policy: &Policy,
    around: Surroundings<'_>,
) {
    match &step.step {
        None => {
            let message = "a step is one of accept, action, approval, form, provision, reject, wait";
            report.refuse(at, "STEP_EMPTY", message);
        }
        Some(Step::Approval(approval)) => {
            approval::check(report, &at.field("approval"), approval, policy, around)
        }
        Some(Step::Wait(wait)) => check_wait(report, &at.field("wait"), wait),
        Some(Step::Form(step)) => form::check(report, &at.field("form"), step),
        Some(Step::Action(action)) => {
            if action.target.is_none() {
                let message = "an action is one of automation, batonResourceAction, clientIdApproval";
                report.refuse(&at.field("action"), "ACTION_TARGET_MISSING", message);
            }
        }
        Some(Step::Provision(step)) => provision::check(report, &at.field("provision"), step),
        Some(Step::Accept(_) | Step::Reject(_)) => {}
    }
}

fn check_wait(report: &mut Report, at: &Path<'_>, wait: &Wait) {
    match &wait.until {
        None => {
            let message = "a wait says until when: one of condition, duration, untilTime";
            report.refuse(at, "WAIT_UNTIL_MISSING", message);
        }
        Some(Until::Condition(until)) => {
            check_expression(report, &at.field("condition.condition"), &until.condition)
        }
        Some(Until::Duration(until)) => {
            let path = at.field("duration.duration");
            match &until.duration {
                Some(duration) if duration.seconds > 0 || duration.nanos > 0 => {
                    check_duration(report, &path, duration)
                }
                _ => report.refuse(&path, "WAIT_DURATION_REQUIRED", "a wait lasts longer than 0s"),
            }
        }
        Some(Until::UntilTime(until)) => {
            if until.hours > 23 {
                report.refuse(&at.field("untilTime.hours"), "TIME_OF_DAY_INVALID", "hours are 0 to 23");
            }
            if until.minutes > 59 {
                report.refuse(&at.field("untilTime.minutes"), "TIME_OF_DAY_INVALID", "minutes are 0 to 59");
            }
        }
    }
    if let Some(timeout) = &wait.timeout_duration {
        check_duration(report, &at.field("timeoutDuration"), timeout);
    }
}

/// Refuses a span of time that is negative or outside what the protobuf type allows.
pub(super) fn check_duration(report: &mut Report, path: &Path<'_>, duration: &prost_types::Duration) {
    const MAX_SECONDS: i64 = 315_576_000_000;
    if duration.seconds < 0 || duration.nanos < 0 {
        report.refuse(path, "DURATION_NEGATIVE", "a duration is 0s or more");
    } else if duration.seconds > MAX_SECONDS || duration.nanos > 999_999_999 {
        report.refuse(path, "DURATION_OUT_OF_RANGE", format!("a duration is at most {MAX_SECONDS}s"));
    }
}
