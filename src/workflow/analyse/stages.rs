//! What the stages of a sequence say by themselves: steps behind an end, waits that do not end, and the longest time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Offset as _};

use super::finding::{Code, Finding};
use super::solver::Answer;
use super::solver::Stop;
use super::theory::Theory;
use crate::workflow::run::{CHAIN_MAX, Policies, REPLACEMENTS_MAX};
use crate::workflow::{
    AgentMode, Approval, Condition, Destination, EscalationTarget, Nobody, Provision, Sequence, Source,
    Stage, Until, Work, Workflow,
};

/// The longest that one stage may take for there to be an end: what is later than the calendar never comes.
const STAGE_MAX: Duration = Duration::from_secs(50 * 366 * 86_400);

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

/// How long it can take at most until the clock of a zone shows a time of day: a day, and by as much as it was ever set back
/// since 1970. It is looked at every ten days, so that it is seen before and after.
fn longest_day(zone: chrono_tz::Tz) -> Duration {
    const TEN_DAYS: i64 = 864_000;
    let ahead = |n: i64| {
        let at = DateTime::from_timestamp(n * TEN_DAYS, 0)?.with_timezone(&zone);
        Some(i64::from(at.offset().fix().local_minus_utc()))
    };
    let ahead: Vec<i64> = (0..3000).map_while(ahead).collect();
    let back = ahead.iter().zip(ahead.iter().skip(1)).map(|(before, after)| before - after).max();
    Duration::from_secs(86_400 + back.unwrap_or(0).max(0).unsigned_abs())
}

/// How long a request can take at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Longest {
    AtMost(Duration),
    /// Perhaps without end, because of the stages at these field paths.
    Unbounded(Vec<String>),
}

/// The longest time that a sequence of this policy takes, whatever people do or leave. What is done outside is taken to be done
/// at once.
pub(super) fn longest(policies: &Policies, policy: &str, sequence: &Sequence) -> Longest {
    let mut passed: BTreeSet<String> = [policy.to_owned()].into();
    of_sequence(policies, sequence, &mut passed)
}

fn of_sequence(policies: &Policies, sequence: &Sequence, passed: &mut BTreeSet<String>) -> Longest {
    let mut total = Duration::ZERO;
    let mut without = Vec::new();
    for stage in &sequence.stages {
        match of_stage(policies, stage, passed).filter(|longest| *longest <= STAGE_MAX) {
            Some(longest) => total = total.saturating_add(longest),
            None => without.push(stage.place.clone()),
        }
        let never_passed = matches!(&stage.work, Work::Wait(wait)
            if matches!(&wait.until, Until::Condition { condition, .. } if never_holds(condition)));
        if never_passed || stage.work.is_terminal() {
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
            Until::TimeOfDay { zone, .. } => Some(longest_day(*zone)),
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
    // Where another policy may take over, it may do so at the last moment.
    let mut longest = Duration::ZERO;
    for id in may_take_over(approval)? {
        longest = longest.max(of_policy(policies, id, passed, 0)?);
    }
    match &escalation.to {
        EscalationTarget::CancelTask | EscalationTarget::SkipStage => {}
        // Whoever is asked then may never answer, and it escalates once.
        EscalationTarget::Reassign(_) => return None,
        EscalationTarget::ReplacePolicy(id) => longest = longest.max(of_policy(policies, id, passed, 0)?),
    }
    Some(escalation.after.saturating_add(longest))
}

/// The policies that whatever stands in for people can choose; `None` for any.
fn may_take_over(approval: &Approval) -> Option<&[String]> {
    match approval.sources.first() {
        Some(Source::Webhook(_)) => None,
        Some(Source::Agent(agent)) if agent.mode == AgentMode::CommentOnly => Some(&[]),
        Some(Source::Agent(agent)) => (!agent.policies.is_empty()).then_some(&agent.policies),
        _ => Some(&[]),
    }
}

/// The longest of all that a policy can lead to; `None` if one has no end, or is one that was passed before, or if so many are
/// passed that the machine goes no further. `chain` is how many references were followed without anything being done.
fn of_policy(policies: &Policies, id: &str, passed: &mut BTreeSet<String>, chain: usize) -> Option<Duration> {
    let too_many = chain > CHAIN_MAX || passed.len() > REPLACEMENTS_MAX as usize;
    if too_many || !passed.insert(id.to_owned()) {
        return None;
    }
    let workflow = &policies.by_id.get(id)?.workflow;
    let mut longest = Duration::ZERO;
    let mut followed: Vec<&Destination> = Vec::new();
    for to in destinations(workflow) {
        if followed.contains(&to) {
            continue;
        }
        followed.push(to);
        let one = match to {
            Destination::Sequence(key) => match of_sequence(policies, workflow.sequences.get(key)?, passed) {
                Longest::AtMost(longest) => longest,
                Longest::Unbounded(_) => return None,
            },
            Destination::Policy(id) => of_policy(policies, id, passed, chain + 1)?,
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

/// Whether everybody whom the escalation of an approval asks was asked before, by what the stage says alone.
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

/// Whether a request may wait for ever because nobody may decide: whoever is found may be excluded, so that no source is safe.
pub(super) fn may_block(approval: &Approval) -> bool {
    let escalates = approval.escalation.as_ref().map(|escalation| &escalation.to);
    approval.nobody == Nobody::Block
        && match escalates {
            // A webhook is asked whoever there is.
            None => !matches!(approval.sources.first(), Some(Source::Webhook(_))),
            Some(EscalationTarget::Reassign(_)) => true,
            Some(_) => false,
        }
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
