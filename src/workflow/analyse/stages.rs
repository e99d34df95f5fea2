//! What the stages of a sequence say by themselves: steps behind an end, waits that do not end, and the longest time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::{Code, Finding};
use super::solver::Answer;
use super::solver::Stop;
use super::theory::Theory;
use crate::workflow::run::Policies;
use crate::workflow::{
    Approval, Condition, Destination, EscalationTarget, Nobody, Provision, Sequence, Source, Stage, Until,
    Work, Workflow,
};

/// The longest time until a clock shows a time of day: a day, and the hour by which a day can be longer.
const DAY_MAX: Duration = Duration::from_secs(25 * 3600);

/// Notes what the stages of one sequence say.
pub(super) fn analyse(sequence: &Sequence, findings: &mut Vec<Finding>) {
    let mut end: Option<&Stage> = None;
    for stage in &sequence.stages {
        if let Some(end) = end {
            let message = format!("every request ends at {}, so this step is never reached", end.place);
            let finding = Finding::new(Code::StepUnreached, stage.place.clone(), message);
            findings.push(finding.related(vec![end.place.clone()]));
            continue;
        }
        if let Work::Wait(wait) = &stage.work
            && let Until::Condition { condition, timeout } = &wait.until
        {
            let path = format!("{}.wait.condition", stage.place);
            if never_holds(condition) {
                let how = if timeout.is_some() {
                    "every request ends here when the time is up"
                } else {
                    "every request waits here for ever"
                };
                let message = format!("no request ever meets this condition, so {how}");
                findings.push(Finding::new(Code::WaitNeverEnds, path, message));
                end = Some(stage);
                continue;
            }
            if timeout.is_none() && !condition.is_always_true() {
                let message = "a request whose condition does not come to hold waits here for ever; set timeoutDuration";
                findings.push(Finding::new(Code::WaitWithoutTimeout, path, message));
            }
        }
        if stage.work.is_terminal() {
            end = Some(stage);
        }
    }
}

/// Whether the condition is false or fails for every request at every time.
pub(super) fn never_holds(condition: &Condition) -> bool {
    let Condition::Cel(program) = condition else { return false };
    let Some((mut theory, pairs)) = Theory::of(&[program.formula()], &Stop::default()) else { return false };
    pairs.first().is_some_and(|pair| theory.ask(&[pair.yes]) == Answer::Never)
}

/// How long a request can take at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Longest {
    AtMost(Duration),
    /// Without end, because of the stages at these field paths.
    Unbounded(Vec<String>),
}

/// The longest time that a sequence takes, whatever people do or leave. What is done outside is taken to be done at once.
pub(super) fn longest(policies: &Policies, sequence: &Sequence) -> Longest {
    let mut passed: BTreeSet<String> = [policies.first.clone()].into();
    of_sequence(policies, sequence, &mut passed)
}

fn of_sequence(policies: &Policies, sequence: &Sequence, passed: &mut BTreeSet<String>) -> Longest {
    let mut total = Duration::ZERO;
    let mut without = Vec::new();
    for stage in &sequence.stages {
        match of_stage(policies, stage, passed) {
            Some(longest) => total = total.saturating_add(longest),
            None => without.push(stage.place.clone()),
        }
        if stage.work.is_terminal() {
            break;
        }
    }
    if without.is_empty() { Longest::AtMost(total) } else { Longest::Unbounded(without) }
}

/// `None` for a stage that may have no end.
fn of_stage(policies: &Policies, stage: &Stage, passed: &mut BTreeSet<String>) -> Option<Duration> {
    match &stage.work {
        Work::Approval(approval) => of_approval(policies, approval, passed),
        Work::Wait(wait) => match &wait.until {
            Until::Condition { condition, .. } if condition.is_always_true() => Some(Duration::ZERO),
            Until::Condition { timeout, .. } => *timeout,
            Until::Duration(lasting) => Some(*lasting),
            Until::TimeOfDay { .. } => Some(DAY_MAX),
        },
        Work::Form => None,
        Work::Provision(Provision::Manual | Provision::ExternalTicket | Provision::Unconfigured) => None,
        Work::Automatic { .. }
        | Work::Accept { .. }
        | Work::Reject { .. }
        | Work::Provision(_)
        | Work::Action(_) => Some(Duration::ZERO),
        Work::Parallel(stages) => {
            let each: Option<Vec<Duration>> =
                stages.iter().map(|stage| of_stage(policies, stage, passed)).collect();
            each?.into_iter().max()
        }
    }
}

fn of_approval(policies: &Policies, approval: &Approval, passed: &mut BTreeSet<String>) -> Option<Duration> {
    let escalation = approval.escalation.as_ref()?;
    match &escalation.to {
        EscalationTarget::CancelTask | EscalationTarget::SkipStage => Some(escalation.after),
        // Whoever is asked then may never answer, and it escalates once.
        EscalationTarget::Reassign(_) => None,
        EscalationTarget::ReplacePolicy(id) => {
            Some(escalation.after.saturating_add(of_policy(policies, id, passed)?))
        }
    }
}

/// The longest of all that a policy can lead to; `None` if one has no end, or is one that was passed before.
fn of_policy(policies: &Policies, id: &str, passed: &mut BTreeSet<String>) -> Option<Duration> {
    if !passed.insert(id.to_owned()) {
        return None;
    }
    let workflow = &policies.by_id.get(id)?.workflow;
    let mut longest = Duration::ZERO;
    for to in destinations(workflow) {
        let one = match to {
            Destination::Sequence(key) => match of_sequence(policies, workflow.sequences.get(key)?, passed) {
                Longest::AtMost(longest) => longest,
                Longest::Unbounded(_) => return None,
            },
            Destination::Policy(id) => of_policy(policies, id, passed)?,
            // A request that comes here is stuck.
            Destination::Nowhere => return None,
        };
        longest = longest.max(one);
    }
    passed.remove(id);
    Some(longest)
}

/// Everywhere that a workflow leads to.
pub(super) fn destinations(workflow: &Workflow) -> impl Iterator<Item = &Destination> {
    workflow.routes.iter().map(|route| &route.to).chain([&workflow.baseline])
}

/// Whether everybody whom the escalation of an approval asks was asked before.
pub(super) fn escalates_to_the_same(approval: &Approval) -> bool {
    let (Some(Source::Users(asked)), Some(escalation)) = (approval.sources.first(), &approval.escalation)
    else {
        return false;
    };
    match &escalation.to {
        EscalationTarget::Reassign(users) => {
            !users.is_empty() && users.iter().all(|user| asked.contains(user))
        }
        _ => false,
    }
}

/// Whether nobody may be found, and the request then waits for somebody to step in.
pub(super) fn may_block(approval: &Approval) -> bool {
    approval.nobody == Nobody::Block && approval.escalation.is_none() && !approval.always_finds_somebody()
}

/// In words, to the second: `3d 4h`.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if words.is_empty() { "no time".to_owned() } else { words.join(" ") }
}
