//! The machine of a task: one step, the way through the policies, and from one stage to the next. What happens inside a stage
//! is in `stage`, `approvers` and `decide`; what time does is in `timers`.

use super::event::{Effect, Event, Happening};
use super::state::{Hop, Outcome, RuleTried, RuleValue, StageRecord, StageState, State};
use crate::expr::{EvalCode, EvalError, Evaluation, Facts};
use crate::workflow::world::{Directory, Request};
use crate::workflow::{Condition, Destination, Stage, Workflow};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many references in a row a request may follow (reference: section 3.2).
pub const CHAIN_MAX: usize = 5;
/// How often other policies may take over one task, by escalation or by what stands in for people. Then it is blocked.
pub const REPLACEMENTS_MAX: u32 = 32;
/// The most stages that one task may enter, restarts included. Then it fails.
pub const STAGES_ENTERED_MAX: usize = 512;

/// A policy as it was when the task began.
#[derive(Clone, Debug)]
pub struct Policy {
    /// 0 for one that is not stored.
    pub revision: u64,
    pub workflow: Arc<Workflow>,
}

/// The policies that a task may come to, as they were when it began.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The id of the one that it begins with.
    pub first: String,
    pub by_id: BTreeMap<String, Policy>,
}

/// What a task runs on. The same machine, or an equal one, must be handed to every step.
#[derive(Debug)]
pub struct Machine<'w> {
    pub(super) policies: &'w Policies,
    pub(super) directory: &'w Directory,
    pub(super) request: &'w Request,
    /// Once this is set, nothing is evaluated any more, and what comes out means nothing.
    pub(super) stop: Option<&'w AtomicBool>,
}

impl<'w> Machine<'w> {
    pub fn new(policies: &'w Policies, directory: &'w Directory, request: &'w Request) -> Machine<'w> {
        Machine { policies, directory, request, stop: None }
    }

    /// The same, for somebody who may lose interest on the way.
    #[must_use]
    pub fn until(self, stop: &'w AtomicBool) -> Machine<'w> {
        Machine { stop: Some(stop), ..self }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// What an event makes of a task. An event that is not allowed leaves the task as it was, but for time that has passed,
    /// and says why.
    pub fn step(&self, state: State, event: &Event) -> (State, Vec<Effect>) {
        let mut run = Run { machine: self, state, effects: Vec::new(), facts: OnceCell::new() };
        run.event(event);
        (run.state, run.effects)
    }
}

/// One step under way.
#[derive(Debug)]
pub(super) struct Run<'m, 'w> {
    pub(super) machine: &'m Machine<'w>,
    pub(super) state: State,
    pub(super) effects: Vec<Effect>,
    /// Made once an expression asks for them; most steps have none.
    facts: OnceCell<Facts>,
}

impl<'w> Run<'_, 'w> {
    fn event(&mut self, event: &Event) {
        if self.state.began.is_none() {
            self.state.now = event.at;
            match event.what {
                Happening::Started => self.start(),
                _ => self.refuse("the task has not begun"),
            }
            return;
        }
        let at = event.at.max(self.state.now);
        self.fire_due(at);
        self.state.now = at;
        if matches!(event.what, Happening::TimePassed) {
            return;
        }
        if self.state.ended.is_some() {
            return self.refuse("the task has ended");
        }
        match &event.what {
            Happening::Started => self.refuse("the task has begun already"),
            Happening::TimePassed => {}
            Happening::Decided(decision) => self.decide(decision),
            Happening::Answered(answer) => self.answer(answer),
            Happening::Rechecked => self.recheck(false),
            Happening::ConditionHeld => self.recheck(true),
            Happening::FormFilled => self.form_filled(),
            Happening::Done { success } => self.outside_done(*success),
            Happening::Skipped { .. } if self.waiting_stage().is_none() => {
                self.refuse("there is no stage to pass over");
            }
            Happening::Restarted { .. } if !self.has_sequence() => {
                self.refuse("there is no sequence to begin again");
            }
            Happening::Skipped { by } => {
                self.leave(StageState::Skipped, by, "passed over by an administrator");
                self.advance();
            }
            Happening::Restarted { by } => {
                self.leave(StageState::Abandoned, by, "restarted by an administrator");
                self.state.approved_by.clear();
                self.begin_sequence();
            }
            Happening::Cancelled { by } => {
                let why = format!("cancelled by {by}");
                self.leave(StageState::Abandoned, by, &why);
                self.end(Outcome::Cancelled { why });
            }
        }
    }

    fn start(&mut self) {
        self.state.began = Some(self.state.now);
        let first = self.machine.policies.first.clone();
        self.enter_policy(&first);
    }

    /// Another policy takes over.
    pub(super) fn replace(&mut self, policy: &str) {
        if self.state.replacements >= REPLACEMENTS_MAX {
            let why = format!("other policies took over {REPLACEMENTS_MAX} times, and nobody decided");
            self.block_task(&why);
            return;
        }
        self.state.replacements += 1;
        self.enter_policy(policy);
    }

    /// Goes through a policy, and through those that it leads to, to a sequence.
    fn enter_policy(&mut self, id: &str) {
        let mut id = id.to_owned();
        for _ in 0..=CHAIN_MAX {
            let policies = self.machine.policies;
            let Some(policy) = policies.by_id.get(&id) else {
                self.block_task(&format!("there is no policy {id}"));
                return;
            };
            let (hop, to) = self.route(&id, policy);
            self.state.route.push(hop);
            match to {
                Destination::Sequence(key) => {
                    self.effects.push(Effect::Routed { policy: id.clone(), sequence: key.clone() });
                    (self.state.policy, self.state.sequence) = (id, key);
                    return self.begin_sequence();
                }
                Destination::Policy(next) => id = next,
                Destination::Nowhere => {
                    self.state.policy = id;
                    return self.block_task("no rule matches, and the policy has no baseline");
                }
            }
        }
        self.block_task(&format!("policies lead to each other more than {CHAIN_MAX} times"));
    }

    /// Tries the rules of one policy.
    fn route(&self, id: &str, policy: &Policy) -> (Hop, Destination) {
        let workflow = &policy.workflow;
        let mut hop = Hop { policy: id.to_owned(), revision: policy.revision, ..Hop::default() };
        let bound = self.evaluation();
        let mut to = &workflow.baseline;
        for (n, route) in workflow.routes.iter().enumerate() {
            let (value, because) = match &bound {
                _ if hop.rule.is_some() || self.machine.is_stopped() => (RuleValue::NotReached, Vec::new()),
                Ok(evaluation) => tried(&route.condition, evaluation),
                Err(error) => (RuleValue::Error(error.to_string()), Vec::new()),
            };
            if value == RuleValue::True {
                (hop.rule, to) = (Some(n), &route.to);
            }
            let (place, condition) = (route.place.clone(), route.condition.text().to_owned());
            hop.rules.push(RuleTried { place, condition, value, because });
        }
        match to {
            Destination::Sequence(key) => hop.sequence.clone_from(key),
            Destination::Policy(next) => hop.next_policy.clone_from(next),
            Destination::Nowhere => {}
        }
        (hop, to.clone())
    }

    /// The facts, bound for expressions at the time of the state.
    pub(super) fn evaluation(&self) -> Result<Evaluation<'_>, EvalError> {
        if self.machine.is_stopped() {
            let message = "nobody waits for this any more".to_owned();
            return Err(EvalError { code: EvalCode::Internal, message });
        }
        let machine = self.machine;
        let began = self.state.began.unwrap_or(self.state.now);
        let facts = self.facts.get_or_init(|| machine.request.facts(machine.directory, began));
        Evaluation::new(facts, machine.directory, self.state.now)
    }

    fn begin_sequence(&mut self) {
        self.state.position = 0;
        self.enter_from_here();
    }

    /// The stage that the task has left is behind it.
    pub(super) fn advance(&mut self) {
        self.state.position += 1;
        self.enter_from_here();
    }

    /// Enters stages until one has to be waited for, or none is left.
    fn enter_from_here(&mut self) {
        while self.state.ended.is_none() {
            let Some(stage) = self.stage_here() else {
                return if self.has_sequence() {
                    self.end(Outcome::Granted)
                } else {
                    self.block_task("the policy does not have the sequence that it leads to")
                };
            };
            if self.state.stages.len() >= STAGES_ENTERED_MAX {
                let why = format!("the task entered more than {STAGES_ENTERED_MAX} stages");
                return self.end(Outcome::Failed { why });
            }
            let number = self.state.stages.len();
            self.state.stages.push(StageRecord {
                policy: self.state.policy.clone(),
                sequence: self.state.sequence.clone(),
                position: self.state.position,
                place: stage.place.clone(),
                name: stage.name.clone(),
                entered_at: self.state.now,
                ..StageRecord::default()
            });
            self.effects.push(Effect::Entered { stage: number });
            self.work(stage);
            let left = self.state.stages.get(number).is_some_and(|stage| stage.left_at.is_some());
            // Whoever took over has entered its own stages by now.
            if !left || self.state.stages.len() > number + 1 {
                return;
            }
            self.state.position += 1;
        }
    }

    /// The stage at the place where the task is.
    pub(super) fn stage_here(&self) -> Option<&'w Stage> {
        let policies = self.machine.policies;
        let policy = policies.by_id.get(&self.state.policy)?;
        policy.workflow.sequences.get(&self.state.sequence)?.stages.get(self.state.position)
    }

    fn has_sequence(&self) -> bool {
        let policy = self.machine.policies.by_id.get(&self.state.policy);
        policy.is_some_and(|policy| policy.workflow.sequences.contains_key(&self.state.sequence))
    }

    /// The record of the stage that the task is in.
    pub(super) fn record(&mut self) -> Option<&mut StageRecord> {
        self.state.stages.last_mut()
    }

    /// The number of the stage that the task is in.
    pub(super) fn number(&self) -> usize {
        self.state.stages.len().saturating_sub(1)
    }

    /// Ends the stage that the task is in.
    pub(super) fn leave(&mut self, how: StageState, by: &str, reason: &str) {
        let (now, stage) = (self.state.now, self.number());
        let Some(record) = self.record().filter(|record| record.left_at.is_none()) else { return };
        record.state = how;
        record.left_at = Some(now);
        by.clone_into(&mut record.decided_by);
        reason.clone_into(&mut record.reason);
        let how = match how {
            StageState::Passed => "passed",
            StageState::Skipped => "skipped",
            StageState::Denied => "denied",
            StageState::TimedOut => "timed out",
            StageState::Failed => "failed",
            StageState::Abandoned | StageState::Waiting | StageState::Blocked => "abandoned",
        };
        self.effects.push(Effect::Left { stage, how: how.to_owned() });
    }

    /// Ends the task.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if self.state.ended.is_some() {
            return;
        }
        self.effects.push(Effect::Ended { outcome: outcome.word().to_owned() });
        if matches!(outcome, Outcome::Granted | Outcome::Denied { .. }) {
            let policy = self.machine.policies.by_id.get(&self.state.policy);
            let afterwards = policy.map(|policy| policy.workflow.afterwards.clone()).unwrap_or_default();
            self.effects.extend(afterwards.into_iter().map(Effect::PostAction));
        }
        self.state.ended = Some(outcome);
        self.state.ended_at = Some(self.state.now);
    }

    /// The task cannot go on, whatever anybody does: it is at a stage of its own that nothing ends but an administrator.
    fn block_task(&mut self, why: &str) {
        let now = self.state.now;
        self.state.stages.push(StageRecord {
            policy: self.state.policy.clone(),
            sequence: self.state.sequence.clone(),
            position: self.state.position,
            kind: "blocked".to_owned(),
            state: StageState::Blocked,
            entered_at: now,
            reason: why.to_owned(),
            ..StageRecord::default()
        });
        self.effects.push(Effect::Blocked { why: why.to_owned() });
    }

    pub(super) fn refuse(&mut self, why: impl Into<String>) {
        self.effects.push(Effect::Refused { why: why.into() });
    }

    pub(super) fn comment(&mut self, text: &str) {
        if !text.is_empty() {
            self.effects.push(Effect::Commented { text: text.to_owned() });
        }
    }
}

/// What a condition comes to, and the operands that decided it.
fn tried(condition: &Condition, evaluation: &Evaluation<'_>) -> (RuleValue, Vec<(String, String)>) {
    // No dialect but that of CEL has routes.
    let Condition::Cel(program) = condition else {
        return (RuleValue::Error("a rule of this dialect is not supported".to_owned()), Vec::new());
    };
    let value = match program.is_met(evaluation) {
        Ok(true) => RuleValue::True,
        Ok(false) => RuleValue::False,
        Err(error) => RuleValue::Error(error.to_string()),
    };
    let reasons = program.reasons(evaluation).into_iter();
    let because = reasons
        .map(|reason| (reason.text, reason.value.map_or_else(|error| error, |value| value.to_string())));
    (value, because.collect())
}
