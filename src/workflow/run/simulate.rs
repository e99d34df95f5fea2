//! Drives a machine: through the events that it is given, and then through what time alone does, to its end or to the proof that
//! it has none. Nothing is done in the world.

use super::appeal::{self, AppealState};
use super::event::{Effect, Event, Happening, Occurrence};
use super::machine::Machine;
use super::state::{Outcome, StageState, State};
use crate::workflow::{Afterwards, Provision, Work, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::cell::LazyCell;
use std::collections::BTreeSet;

/// How many times time alone is let move a task on.
pub const EVENTS_IDLE_MAX: usize = 512;
/// How many provisions and actions in a row are taken to be done.
const ASSUMED_MAX: usize = 256;

/// What a simulation found. Plain and comparable: equal inputs give equal traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// The task after the events that were given.
    pub state: State,
    /// How it stands then.
    pub outcome: Outcome,
    /// What is to be done once it has ended.
    pub post_actions: Vec<Afterwards>,
    /// What happened, in order.
    pub timeline: Vec<Occurrence>,
    /// What happens from there on if nobody ever does anything.
    pub idle: Idle,
    /// The appeal, for Guardian's policies; `state` is then empty but for its times.
    pub appeal: Option<AppealState>,
}

/// What happens if nobody ever does anything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Idle {
    pub timeline: Vec<Occurrence>,
    pub ending: Ending,
    /// How the task stands at the end.
    pub outcome: Outcome,
}

/// How doing nothing ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The task ends by itself.
    Ends { at: DateTime<Utc> },
    /// It waits for somebody or something, and no timer runs.
    WaitsForEver { since: DateTime<Utc> },
    /// The state at `until` is that at `from`, so that it goes on like this without end.
    Repeats { from: DateTime<Utc>, until: DateTime<Utc> },
    /// It was followed no further.
    NotFollowed { until: DateTime<Utc> },
}

/// Simulates a task. Each happening comes so long after the one before. With `assume`, provisions and actions that no person does
/// are taken to be done at once.
pub fn simulate(
    machine: &Machine<'_>,
    start: DateTime<Utc>,
    happenings: &[(TimeDelta, Happening)],
    assume: bool,
) -> Trace {
    let mut drive = Drive { machine, state: State::default(), timeline: Vec::new(), assume };
    let mut at = start;
    drive.step(at, Happening::Started);
    for (later, what) in happenings.iter().take_while(|_| !machine.is_stopped()) {
        at = at.checked_add_signed(*later).unwrap_or(at);
        drive.step(at, what.clone());
    }
    let timeline = std::mem::take(&mut drive.timeline);
    let outcome = drive.state.outcome();
    let (state, idle) = match drive.state.ended_at {
        Some(at) => {
            let idle = Idle { timeline: Vec::new(), ending: Ending::Ends { at }, outcome: outcome.clone() };
            (drive.state, idle)
        }
        None => (drive.state.clone(), drive.idle()),
    };
    let post_actions = timeline.iter().filter_map(|one| match &one.effect {
        Effect::PostAction(action) => Some(*action),
        _ => None,
    });
    Trace { post_actions: post_actions.collect(), state, outcome, timeline, idle, appeal: None }
}

struct Drive<'m, 'w> {
    machine: &'m Machine<'w>,
    state: State,
    timeline: Vec<Occurrence>,
    assume: bool,
}

impl Drive<'_, '_> {
    fn step(&mut self, at: DateTime<Utc>, what: Happening) {
        self.fire_until(at);
        self.step_once(at, what);
        self.assume();
    }

    /// Takes to be done what is, at the time at which it was begun.
    fn assume(&mut self) {
        for _ in 0..ASSUMED_MAX {
            let Some(what) = self.assumed() else { break };
            let stage = self.state.stages.len().saturating_sub(1);
            let at = self.state.now;
            self.timeline.push(Occurrence { at, effect: Effect::Assumed { stage, what } });
            self.step_once(at, Happening::Done { success: true });
        }
    }

    /// Lets timers fire one by one, so that each effect is put down at its own time.
    fn fire_until(&mut self, at: DateTime<Utc>) {
        for _ in 0..EVENTS_IDLE_MAX {
            let Some(due) = self.state.due().filter(|due| *due <= at) else { return };
            self.step_once(due, Happening::TimePassed);
            self.assume();
        }
    }

    fn step_once(&mut self, at: DateTime<Utc>, what: Happening) {
        let state = std::mem::take(&mut self.state);
        let (state, effects) = self.machine.step(state, &Event { at, what });
        let at = state.now;
        self.state = state;
        self.timeline.extend(effects.into_iter().map(|effect| Occurrence { at, effect }));
    }

    /// What the task waits for and is taken to be done; `None` if there is nothing like that.
    fn assumed(&self) -> Option<String> {
        let stage = self.state.current().filter(|stage| self.assume && stage.left_at.is_none())?;
        let policy = self.machine.policies.by_id.get(&stage.policy)?;
        let work = &policy.workflow.sequences.get(&stage.sequence)?.stages.get(stage.position)?.work;
        match work {
            Work::Provision(Provision::Manual | Provision::ExternalTicket | Provision::Unconfigured) => None,
            Work::Provision(_) => Some("the provision is taken to be done".to_owned()),
            Work::Action(_) => Some("the action is taken to be done".to_owned()),
            _ => None,
        }
    }

    fn idle(mut self) -> Idle {
        let policies = &self.machine.policies.by_id;
        let reads_clock = LazyCell::new(|| policies.values().any(|one| reads_clock(&one.workflow)));
        let mut seen: Vec<(Essence, DateTime<Utc>)> = Vec::new();
        let mut ending = None;
        for _ in 0..EVENTS_IDLE_MAX {
            if self.machine.is_stopped() {
                break;
            }
            if self.state.ended.is_some() {
                ending = Some(Ending::Ends { at: self.state.ended_at.unwrap_or(self.state.now) });
                break;
            }
            let Some(due) = self.state.due() else {
                ending = Some(Ending::WaitsForEver { since: self.state.now });
                break;
            };
            let essence = Essence::of(&self.state);
            if let Some((_, from)) = seen.iter().find(|(known, _)| *known == essence && !*reads_clock) {
                ending = Some(Ending::Repeats { from: *from, until: self.state.now });
                break;
            }
            seen.push((essence, self.state.now));
            self.step(due, Happening::TimePassed);
        }
        let outcome = self.state.outcome();
        let ending = ending.unwrap_or(Ending::NotFollowed { until: self.state.now });
        Idle { timeline: self.timeline, ending, outcome }
    }
}

/// What decides how a task goes on: two times at which it is the same are followed by the same.
#[derive(PartialEq)]
struct Essence {
    policy: String,
    sequence: String,
    position: usize,
    asked: BTreeSet<String>,
    approved: BTreeSet<String>,
    /// How long until time alone moves it on.
    due: Option<TimeDelta>,
    escalated: Option<bool>,
    stage: Option<StageState>,
}

impl Essence {
    fn of(state: &State) -> Essence {
        let stage = state.current();
        let asked = stage.iter().flat_map(|stage| &stage.asked).map(|one| one.user.clone());
        Essence {
            policy: state.policy.clone(),
            sequence: state.sequence.clone(),
            position: state.position,
            asked: asked.collect(),
            approved: state.approved_by.iter().cloned().collect(),
            due: state.due().map(|due| due - state.now),
            escalated: stage.and_then(|stage| stage.escalates.as_ref()).map(|one| one.done),
            stage: stage.map(|stage| stage.state),
        }
    }
}

/// Whether a condition of the policy may ask for the time. Then the same state need not be followed by the same.
fn reads_clock(workflow: &Workflow) -> bool {
    workflow.conditions().any(|condition| condition.text().contains("now"))
}

/// Simulates an appeal of one of Guardian's policies. Time alone never moves one.
pub fn simulate_appeal(
    machine: &appeal::Machine<'_>,
    start: DateTime<Utc>,
    happenings: &[(TimeDelta, Happening)],
) -> Trace {
    let mut at = start;
    let mut timeline = Vec::new();
    let mut state = AppealState::default();
    let mut step = |state: AppealState, at: DateTime<Utc>, what: Happening| {
        let (state, effects) = machine.step(state, &Event { at, what });
        timeline.extend(effects.into_iter().map(|effect| Occurrence { at, effect }));
        state
    };
    state = step(state, at, Happening::Started);
    for (later, what) in happenings {
        at = at.checked_add_signed(*later).unwrap_or(at);
        state = step(state, at, what.clone());
    }
    let outcome = state.outcome();
    let ending = match state.ended_at {
        Some(at) => Ending::Ends { at },
        None => Ending::WaitsForEver { since: at },
    };
    let idle = Idle { timeline: Vec::new(), ending, outcome: outcome.clone() };
    let task = State { began: Some(start), now: at, ..State::default() };
    Trace { state: task, outcome, post_actions: Vec::new(), timeline, idle, appeal: Some(state) }
}
