//! What happens in a simulation, from its messages.

use super::super::world::span;
use super::HAPPENINGS_MAX;
use crate::pb::countersign::v1::{self as pb, answer::Answer as GivenAnswer, happening::What};
use crate::policy::{Path, Report};
use crate::workflow::run::{Answer, Decision, Happening, Verdict};
use chrono::TimeDelta;

/// All of them, each with how long after the one before. Faults are reported below `at`.
pub(super) fn all(
    report: &mut Report,
    at: &Path<'_>,
    given: &[pb::Happening],
) -> Vec<(TimeDelta, Happening)> {
    if given.len() > HAPPENINGS_MAX {
        let message = format!("{} happenings; at most {HAPPENINGS_MAX}", given.len());
        report.refuse(at, "HAPPENINGS_TOO_MANY", message);
        return Vec::new();
    }
    let mut made = Vec::with_capacity(given.len());
    for (n, one) in given.iter().enumerate() {
        let at = at.index(n);
        let after = span(report, &at.field("after"), one.after.as_ref()).unwrap_or_default();
        match &one.what {
            Some(what) => made.extend(read(report, &at, what).map(|what| (after, what))),
            None => report.refuse(&at, "HAPPENING_REQUIRED", "say what happens: approve, deny, nothing, ..."),
        }
    }
    made
}

fn read(report: &mut Report, at: &Path<'_>, what: &What) -> Option<Happening> {
    Some(match what {
        What::Nothing(_) => Happening::TimePassed,
        What::Approve(given) => decision(report, &at.field("approve"), given, Verdict::Approve),
        What::Deny(given) => decision(report, &at.field("deny"), given, Verdict::Deny),
        What::Reassign(given) => {
            let at = at.field("reassign");
            check_actor(report, &at, &given.actor);
            if given.to.is_empty() {
                report.refuse(&at.field("to"), "REASSIGNEES_REQUIRED", "say who decides instead");
            }
            Happening::Decided(Decision {
                actor: given.actor.clone(),
                verdict: Verdict::Reassign(given.to.clone()),
                reason: given.reason.clone(),
                stepped_up: given.stepped_up,
                approval: String::new(),
            })
        }
        What::Answer(given) => Happening::Answered(answer(report, &at.field("answer"), given)?),
        What::Recheck(_) => Happening::Rechecked,
        What::ConditionHolds(_) => Happening::ConditionHeld,
        What::FormFilled(_) => Happening::FormFilled,
        What::Done(given) => Happening::Done { success: !given.failed },
        What::Skip(given) => Happening::Skipped { by: administrator(given) },
        What::Restart(given) => Happening::Restarted { by: administrator(given) },
        What::Cancel(given) => Happening::Cancelled { by: administrator(given) },
    })
}

fn administrator(given: &pb::ByAdministrator) -> String {
    if given.actor.is_empty() { "administrator".to_owned() } else { given.actor.clone() }
}

fn check_actor(report: &mut Report, at: &Path<'_>, actor: &str) {
    if actor.is_empty() {
        report.refuse(&at.field("actor"), "ACTOR_REQUIRED", "say who decides");
    }
}

fn decision(report: &mut Report, at: &Path<'_>, given: &pb::Decision, verdict: Verdict) -> Happening {
    check_actor(report, at, &given.actor);
    Happening::Decided(Decision {
        actor: given.actor.clone(),
        verdict,
        reason: given.reason.clone(),
        stepped_up: given.stepped_up,
        approval: given.approval.clone(),
    })
}

fn answer(report: &mut Report, at: &Path<'_>, given: &pb::Answer) -> Option<Answer> {
    Some(match &given.answer {
        None => {
            report.refuse(at, "ANSWER_REQUIRED", "say what it answers: approve, deny, comment, ...");
            return None;
        }
        Some(GivenAnswer::Approve(_)) => Answer::Approve,
        Some(GivenAnswer::Deny(_)) => Answer::Deny,
        Some(GivenAnswer::Comment(text)) => Answer::Comment(text.clone()),
        Some(GivenAnswer::Reassign(users)) => Answer::Reassign(users.ids.clone()),
        Some(GivenAnswer::ChangePolicy(id)) => Answer::ChangePolicy(id.clone()),
        Some(GivenAnswer::Fail(_)) => Answer::Fail,
    })
}
