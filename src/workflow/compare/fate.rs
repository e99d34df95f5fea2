//! What becomes of one request, in short: tried on the machine twice, once with nobody ever answering and once with everybody who
//! is asked approving. What people do beside deciding (filling in a form, bringing access about) and what is waited for happens in
//! both; webhooks and agents answer in neither.

use chrono::{DateTime, Utc};

use crate::workflow::run::{
    AppealMachine, AppealState, AppealStatus, ApprovalStatus, Decision, Effect as Done, Event, Happening,
    Machine, Outcome, Policies, StageRecord, StageState, State, Verdict,
};
use crate::workflow::{Until, Work};

/// The most things that happen in one run.
const ACTS_MAX: usize = 512;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FateKind {
    /// Granted with no person having decided.
    Automatic,
    /// Granted if everybody who is asked approves.
    ByPeople,
    /// Denied or cancelled even then.
    Denied,
    /// There is a step for which nobody is there, or nothing that could run at all.
    Nobody,
    /// Something outside decides.
    #[default]
    Outside,
    /// The policy cannot run it.
    CannotRun,
}

/// One policy that a request goes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Empty for the one that it began with.
    pub policy: String,
    /// The field path of the rule that decided; empty for the baseline.
    pub rule: String,
    /// The key of the sequence that it led to; empty if it led elsewhere.
    pub sequence: String,
    /// The policy that it led to; empty if it led to a sequence.
    pub next_policy: String,
}

/// Whom a step asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The field path of the step.
    pub place: String,
    /// In the order of their ids; none if nobody is there.
    pub users: Vec<String>,
}

/// What becomes of a request, and by what way.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub kind: FateKind,
    /// Granted if nobody ever answers.
    pub automatic: bool,
    /// Granted if people approve who are asked.
    pub approvable: bool,
    pub route: Vec<Hop>,
    /// Of an appeal, the names of the steps that take part.
    pub steps: Vec<String>,
    pub asked: Vec<Asked>,
    /// Why it is denied or cannot be run.
    pub why: String,
}

/// What is different in what becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    RouteChanged,
    NewlyAutoApproved,
    NoLongerAutoApproved,
    NewlyDenied,
    NoLongerDenied,
    LostLastApprover,
    GainedApprover,
    ApproversChanged,
    CannotRun,
}

impl Effect {
    /// Every effect, in the order of the documentation.
    pub const ALL: &'static [Effect] = &[
        Effect::RouteChanged,
        Effect::NewlyAutoApproved,
        Effect::NoLongerAutoApproved,
        Effect::NewlyDenied,
        Effect::NoLongerDenied,
        Effect::LostLastApprover,
        Effect::GainedApprover,
        Effect::ApproversChanged,
        Effect::CannotRun,
    ];
}

/// What is different; nothing is said where neither side can run the request. `now` gives the key under which a sequence of a
/// policy goes on.
pub fn effects(before: &Fate, after: &Fate, now: impl Fn(&str, &str) -> String) -> Vec<Effect> {
    let fails = |fate: &Fate| fate.kind == FateKind::CannotRun;
    match (fails(before), fails(after)) {
        (true, true) => return Vec::new(),
        (false, false) => {}
        _ => return vec![Effect::CannotRun],
    }
    let way = |fate: &Fate, now: &dyn Fn(&str, &str) -> String| {
        let hops = fate.route.iter().map(|hop| {
            let sequence = now(&hop.policy, &hop.sequence);
            (hop.policy.clone(), sequence, hop.next_policy.clone())
        });
        hops.collect::<Vec<_>>()
    };
    let asked = |fate: &Fate| fate.asked.iter().map(|one| one.users.clone()).collect::<Vec<_>>();
    let rerouted = way(before, &now) != way(after, &|_, key| key.to_owned()) || before.steps != after.steps;
    let is = |fate: &Fate, kind| fate.kind == kind;
    let found = [
        (Effect::RouteChanged, rerouted),
        (Effect::NewlyAutoApproved, !before.automatic && after.automatic),
        (Effect::NoLongerAutoApproved, before.automatic && !after.automatic),
        (Effect::NewlyDenied, is(after, FateKind::Denied) && !is(before, FateKind::Denied)),
        (Effect::NoLongerDenied, is(before, FateKind::Denied) && !is(after, FateKind::Denied)),
        (Effect::LostLastApprover, before.approvable && is(after, FateKind::Nobody)),
        (Effect::GainedApprover, after.approvable && is(before, FateKind::Nobody)),
        (Effect::ApproversChanged, asked(before) != asked(after)),
    ];
    found.into_iter().filter(|(_, happens)| *happens).map(|(effect, _)| effect).collect()
}

impl Fate {
    /// Of a request that a policy refuses.
    #[must_use]
    pub fn refused(why: String) -> Fate {
        Fate { kind: FateKind::CannotRun, why, ..Fate::default() }
    }
}

/// What becomes of a task.
#[must_use]
pub fn task_fate(machine: &Machine<'_>, policies: &Policies, at: DateTime<Utc>) -> Fate {
    let (silent, _) = drive(machine, policies, at, false);
    let (willing, decided) = drive(machine, policies, at, true);
    let automatic = silent.ended == Some(Outcome::Granted);
    let approvable = willing.ended == Some(Outcome::Granted) && decided;
    let (otherwise, why) = not_granted(&willing);
    let kind = match (automatic, approvable) {
        (true, _) => FateKind::Automatic,
        (false, true) => FateKind::ByPeople,
        (false, false) => otherwise,
    };
    let route = willing.route.iter().map(|hop| Hop {
        policy: if hop.policy == policies.first { String::new() } else { hop.policy.clone() },
        rule: hop
            .rule
            .and_then(|rule| hop.rules.get(rule))
            .map(|rule| rule.place.clone())
            .unwrap_or_default(),
        sequence: hop.sequence.clone(),
        next_policy: hop.next_policy.clone(),
    });
    let asked = willing.stages.iter().filter(|stage| stage.kind == "approval").map(asked);
    let why = if matches!(kind, FateKind::Automatic | FateKind::ByPeople) { String::new() } else { why };
    Fate {
        kind,
        automatic,
        approvable,
        route: route.collect(),
        steps: Vec::new(),
        asked: asked.collect(),
        why,
    }
}

fn asked(stage: &StageRecord) -> Asked {
    let mut users: Vec<String> = stage.asked.iter().map(|one| one.user.clone()).collect();
    users.sort();
    users.dedup();
    Asked { place: stage.place.clone(), users }
}

/// What a task has come to that was not granted although everybody approved.
fn not_granted(state: &State) -> (FateKind, String) {
    let nobody = state.stages.last().is_some_and(|stage| stage.kind == "approval" && stage.asked.is_empty());
    match state.outcome() {
        Outcome::Failed { why } => (FateKind::CannotRun, why),
        Outcome::Blocked { why, .. } => (FateKind::Nobody, why),
        Outcome::Denied { .. } | Outcome::Cancelled { .. } if nobody => {
            (FateKind::Nobody, "nobody was found to ask".to_owned())
        }
        Outcome::Denied { why, .. } | Outcome::Cancelled { why } => (FateKind::Denied, why),
        Outcome::WaitTimedOut => (FateKind::Denied, "what was waited for did not happen in time".to_owned()),
        Outcome::Waiting { on, .. } => (FateKind::Outside, format!("waits for {}", on.join(", "))),
        Outcome::Granted => (FateKind::Outside, String::new()),
    }
}

/// Lets everything happen that can; true if a person decided.
fn drive(machine: &Machine<'_>, policies: &Policies, at: DateTime<Utc>, willing: bool) -> (State, bool) {
    let (mut state, _) = machine.step(State::default(), &Event { at, what: Happening::Started });
    let mut decided = false;
    for _ in 0..ACTS_MAX {
        let Some((at, what)) = next(&state, policies, willing) else { break };
        let decides = matches!(what, Happening::Decided(_));
        let (moved, done) = machine.step(std::mem::take(&mut state), &Event { at, what });
        state = moved;
        if done.iter().any(|one| matches!(one, Done::Refused { .. })) {
            break;
        }
        decided |= decides;
    }
    (state, decided)
}

/// What happens next, and when; `None` if nothing does any more.
fn next(state: &State, policies: &Policies, willing: bool) -> Option<(DateTime<Utc>, Happening)> {
    let stage = state.current().filter(|stage| stage.left_at.is_none())?;
    let now = |what| Some((state.now, what));
    let time = || state.due().map(|due| (due, Happening::TimePassed));
    if stage.state == StageState::Blocked {
        return time();
    }
    let policy = policies.by_id.get(&stage.policy)?;
    let work = &policy.workflow.sequences.get(&stage.sequence)?.stages.get(stage.position)?.work;
    match work {
        Work::Form => now(Happening::FormFilled),
        Work::Provision(_) | Work::Action(_) => now(Happening::Done { success: true }),
        Work::Wait(wait) if matches!(wait.until, Until::Condition { .. }) => now(Happening::ConditionHeld),
        Work::Approval(_) if willing && !stage.asked.is_empty() => {
            let fresh = stage.asked.iter().find(|one| !state.approved_by.contains(&one.user));
            let who = fresh.or(stage.asked.first())?;
            now(Happening::Decided(approves(&who.user, "")))
        }
        _ => time(),
    }
}

fn approves(actor: &str, approval: &str) -> Decision {
    Decision {
        actor: actor.to_owned(),
        verdict: Verdict::Approve,
        reason: "to compare".to_owned(),
        stepped_up: true,
        approval: approval.to_owned(),
    }
}

/// What becomes of an appeal. One that cannot be made, or whose approval fails, cannot be run.
#[must_use]
pub fn appeal_fate(machine: &AppealMachine<'_>, at: DateTime<Utc>) -> Fate {
    let (made, _) = machine.step(AppealState::default(), &Event { at, what: Happening::Started });
    let automatic = made.status == AppealStatus::Approved && made.failure.is_none();
    let (state, decided) = approved(machine, made, at);
    let granted = state.status == AppealStatus::Approved && state.failure.is_none();
    let approvable = granted && decided;
    let kind = match (&state.failure, state.status) {
        (Some(_), _) => FateKind::CannotRun,
        _ if automatic => FateKind::Automatic,
        _ if approvable => FateKind::ByPeople,
        (None, AppealStatus::Rejected | AppealStatus::Canceled) => FateKind::Denied,
        _ => FateKind::Nobody,
    };
    let why = match (kind, state.outcome()) {
        (FateKind::CannotRun | FateKind::Denied | FateKind::Nobody, outcome) => match outcome {
            Outcome::Failed { why } | Outcome::Denied { why, .. } | Outcome::Blocked { why, .. } => why,
            Outcome::Waiting { .. } => "nobody who is named may decide".to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    let taking_part = || state.approvals.iter().filter(|one| one.status != ApprovalStatus::Skipped);
    let creator = state.appeal.get("created_by").and_then(|by| by.as_str()).unwrap_or_default();
    let asked = taking_part().filter(|one| !one.approvers.is_empty()).map(|one| {
        let may = |user: &&String| !one.dont_allow_self_approval || user.as_str() != creator;
        let mut users: Vec<String> = one.approvers.iter().filter(may).cloned().collect();
        users.sort();
        users.dedup();
        Asked { place: one.place.clone(), users }
    });
    Fate {
        kind,
        automatic,
        approvable,
        route: Vec::new(),
        steps: taking_part().map(|one| one.name.clone()).collect(),
        asked: asked.collect(),
        why,
    }
}

/// Everybody who is asked approves; true if anybody was.
fn approved(machine: &AppealMachine<'_>, made: AppealState, at: DateTime<Utc>) -> (AppealState, bool) {
    let (mut state, mut decided) = (made, false);
    for _ in 0..ACTS_MAX {
        if state.status != AppealStatus::Pending || state.failure.is_some() {
            break;
        }
        let Some(moved) = one_approval(machine, &state, at) else { break };
        (state, decided) = (moved, true);
    }
    (state, decided)
}

/// The first approval that somebody may give.
fn one_approval(machine: &AppealMachine<'_>, state: &AppealState, at: DateTime<Utc>) -> Option<AppealState> {
    let waiting = state.approvals.iter().filter(|one| one.status == ApprovalStatus::Pending);
    let mut ways = waiting.flat_map(|one| one.approvers.iter().map(|who| (one.name.as_str(), who)));
    ways.find_map(|(name, who)| {
        let what = Happening::Decided(approves(who, name));
        let (moved, done) = machine.step(state.clone(), &Event { at, what });
        let refused = done.iter().any(|one| matches!(one, Done::Refused { .. }));
        (!refused && moved != *state).then_some(moved)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(kind: FateKind) -> Fate {
        let (automatic, approvable) = (kind == FateKind::Automatic, kind == FateKind::ByPeople);
        Fate { kind, automatic, approvable, ..Fate::default() }
    }

    fn between(before: FateKind, after: FateKind) -> Vec<Effect> {
        effects(&fate(before), &fate(after), |_, key| key.to_owned())
    }

    #[test]
    fn effects_are_between_two_fates() {
        use FateKind::{Automatic, ByPeople, CannotRun, Denied, Nobody, Outside};
        assert_eq!(between(ByPeople, Automatic), [Effect::NewlyAutoApproved]);
        assert_eq!(between(Automatic, ByPeople), [Effect::NoLongerAutoApproved]);
        assert_eq!(between(ByPeople, Nobody), [Effect::LostLastApprover]);
        assert_eq!(between(Nobody, ByPeople), [Effect::GainedApprover]);
        assert_eq!(between(Automatic, Denied), [Effect::NoLongerAutoApproved, Effect::NewlyDenied]);
        assert_eq!(between(Denied, Outside), [Effect::NoLongerDenied]);
        assert_eq!(between(ByPeople, CannotRun), [Effect::CannotRun]);
        assert_eq!(between(CannotRun, CannotRun), []);
        for kind in [Automatic, ByPeople, Denied, Nobody, Outside] {
            assert_eq!(between(kind, kind), []);
        }
    }
}
