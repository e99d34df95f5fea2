//! What happens when a task enters a stage, by its kind, and what ends the kinds that are no approvals.

use super::event::Effect;
use super::machine::Run;
use super::state::{Escalates, Outcome, StageState};
use super::timers;
use crate::workflow::{
    Approval, Condition, EscalationTarget, Nobody, Provision, Source, Stage, Template, Until, Wait, Work,
};

/// What the record of a stage calls its kind.
pub(in crate::workflow) fn kind(work: &Work) -> &'static str {
    match work {
        Work::Approval(approval) => match approval.sources.first() {
            Some(Source::Webhook(_)) => "webhook",
            Some(Source::Agent(_)) => "agent",
            _ => "approval",
        },
        Work::Automatic { .. } => "automatic",
        Work::Wait(_) => "wait",
        Work::Provision(_) => "provision",
        Work::Form => "form",
        Work::Action(_) => "action",
        Work::Accept { .. } => "accept",
        Work::Reject { .. } => "reject",
        Work::Parallel(_) => "parallel",
    }
}

impl<'w> Run<'_, 'w> {
    /// Enters the stage that was just put down.
    pub(super) fn work(&mut self, stage: &Stage) {
        if let Some(record) = self.record() {
            kind(&stage.work).clone_into(&mut record.kind);
        }
        let number = self.number();
        match &stage.work {
            Work::Approval(approval) => self.approval(approval),
            Work::Automatic { approve_if, rejection_reason } => {
                self.automatic(approve_if, rejection_reason, stage.may_fail);
            }
            Work::Wait(wait) => self.wait(wait),
            Work::Provision(kind) => {
                self.effects.push(Effect::ProvisionStarted { stage: number, kind: *kind });
                if *kind == Provision::Unconfigured {
                    self.block("the policy does not say how access is brought about");
                }
            }
            Work::Form => self.effects.push(Effect::FormShown { stage: number }),
            Work::Action(action) => {
                self.effects.push(Effect::ActionStarted { stage: number, action: action.clone() });
            }
            Work::Accept { message } => {
                self.comment(message);
                self.leave(StageState::Passed, "", "");
                self.end(Outcome::Granted);
            }
            Work::Reject { message } => {
                self.comment(message);
                self.leave(StageState::Denied, "", message);
                self.end(Outcome::Denied { by: String::new(), why: message.clone() });
            }
            // Only Guardian's documents have them, and those are run by the other machine.
            Work::Parallel(_) => {
                let why = "stages side by side are not run as a task".to_owned();
                self.leave(StageState::Failed, "", &why);
                self.end(Outcome::Failed { why });
            }
        }
    }

    fn approval(&mut self, approval: &Approval) {
        let (now, number) = (self.state.now, self.number());
        let escalates = approval.escalation.as_ref().and_then(|escalation| {
            let after = chrono::TimeDelta::from_std(escalation.after).ok()?;
            let at = now.checked_add_signed(after)?;
            Some(Escalates { at, to: target(&escalation.to), done: false })
        });
        if let Some(record) = self.record() {
            record.approval_reason_required = approval.require_approval_reason;
            record.denial_reason_required = approval.require_denial_reason;
            record.reassignment_reason_required = approval.reassignment.require_reason;
            record.step_up_provider = approval.step_up_provider.clone().unwrap_or_default();
            record.escalates.clone_from(&escalates);
        }
        match approval.sources.first() {
            Some(Source::Webhook(webhook)) => {
                self.effects.push(Effect::WebhookCalled { stage: number, webhook: webhook.clone() });
            }
            Some(Source::Agent(_)) => self.effects.push(Effect::AgentAsked { stage: number }),
            _ => {
                let found = self.find_approvers(approval);
                if !found {
                    return self.nobody(approval.nobody, escalates.is_some());
                }
                self.tell_asked();
            }
        }
        self.wake();
    }

    /// Tells those who are asked.
    pub(super) fn tell_asked(&mut self) {
        let stage = self.number();
        let asked = self.record().map(|record| record.asked.iter().map(|one| one.user.clone()).collect());
        self.effects.push(Effect::Asked { stage, users: asked.unwrap_or_default() });
    }

    /// Nobody is there to ask.
    pub(super) fn nobody(&mut self, nobody: Nobody, escalates: bool) {
        let why = "nobody was found to ask";
        match nobody {
            Nobody::Block => {
                self.block(why);
                if escalates {
                    self.wake();
                }
            }
            Nobody::Skip => self.leave(StageState::Skipped, "", why),
            Nobody::Deny => {
                self.leave(StageState::Denied, "", why);
                self.end(Outcome::Denied { by: String::new(), why: why.to_owned() });
            }
            Nobody::Fail => {
                self.leave(StageState::Failed, "", why);
                self.end(Outcome::Failed { why: why.to_owned() });
            }
        }
    }

    pub(super) fn block(&mut self, why: &str) {
        if let Some(record) = self.record() {
            record.state = StageState::Blocked;
            why.clone_into(&mut record.reason);
        }
        self.effects.push(Effect::Blocked { why: why.to_owned() });
    }

    pub(super) fn wake(&mut self) {
        if let Some(at) = self.state.due() {
            self.effects.push(Effect::WakeAt { at });
        }
    }

    /// A condition decides at once. A condition that fails is a no.
    fn automatic(&mut self, approve_if: &Condition, rejection_reason: &Template, may_fail: bool) {
        let (holds, error) = self.holds(approve_if);
        if holds {
            return self.leave(StageState::Passed, "", "the condition holds");
        }
        let why = match (error, rejection_reason) {
            (Some(error), _) => error,
            (None, Template::Text(text)) => text.clone(),
            (None, Template::Expression(condition)) => condition.text().to_owned(),
        };
        if may_fail {
            return self.leave(StageState::Skipped, "", &why);
        }
        self.leave(StageState::Denied, "", &why);
        self.end(Outcome::Denied { by: String::new(), why });
    }

    /// Whether a condition holds now, and why it failed if it did.
    fn holds(&self, condition: &Condition) -> (bool, Option<String>) {
        let Condition::Cel(program) = condition else {
            return (false, Some("a condition of this dialect is not supported".to_owned()));
        };
        let met = self.evaluation().and_then(|evaluation| program.is_met(&evaluation));
        met.map_or_else(|error| (false, Some(error.to_string())), |met| (met, None))
    }

    fn wait(&mut self, wait: &Wait) {
        let now = self.state.now;
        let due = match &wait.until {
            Until::Duration(lasting) => timers::after(now, *lasting),
            Until::TimeOfDay { hour, minute, zone } => timers::next_time_of_day(now, *hour, *minute, *zone),
            Until::Condition { condition, timeout } => {
                let (holds, error) = self.holds(condition);
                if holds {
                    return self.leave(StageState::Passed, "", "the condition holds");
                }
                if let (Some(record), Some(error)) = (self.record(), error) {
                    record.reason = error;
                }
                self.comment(&wait.comment_on_first_wait);
                timeout.and_then(|timeout| timers::after(now, timeout))
            }
        };
        if let Some(record) = self.record() {
            record.due_at = due;
        }
        self.wake();
    }

    /// The condition of a wait is looked at again, or is taken to hold.
    pub(super) fn recheck(&mut self, forced: bool) {
        let Some(Stage { work: Work::Wait(Wait { until: Until::Condition { condition, .. }, .. }), .. }) =
            self.waiting_stage()
        else {
            return self.refuse("the task does not wait for a condition");
        };
        let (holds, error) = self.holds(condition);
        if forced || holds {
            let why = if holds { "the condition holds" } else { "the condition was said to hold" };
            self.leave(StageState::Passed, "", why);
            return self.advance();
        }
        if let Some(record) = self.record() {
            record.reason = error.unwrap_or_default();
        }
    }

    /// The time of a wait is up.
    pub(super) fn wait_is_over(&mut self, wait: &Wait) {
        if let Until::Condition { condition, .. } = &wait.until {
            let (holds, _) = self.holds(condition);
            if !holds {
                self.comment(&wait.comment_on_timeout);
                self.leave(StageState::TimedOut, "", "the condition did not come to hold in time");
                return self.end(Outcome::WaitTimedOut);
            }
        }
        self.leave(StageState::Passed, "", "");
        self.advance();
    }

    pub(super) fn form_filled(&mut self) {
        match self.waiting_stage().map(|stage| &stage.work) {
            Some(Work::Form) => {
                self.leave(StageState::Passed, "", "");
                self.advance();
            }
            _ => self.refuse("the task does not wait for a form"),
        }
    }

    /// What was started outside ended.
    pub(super) fn outside_done(&mut self, success: bool) {
        if !matches!(
            self.waiting_stage().map(|stage| &stage.work),
            Some(Work::Provision(_) | Work::Action(_))
        ) {
            return self.refuse("the task waits for nothing outside");
        }
        if success {
            self.leave(StageState::Passed, "", "");
            return self.advance();
        }
        self.leave(StageState::Failed, "", "it failed outside");
        self.end(Outcome::Failed { why: "what was started outside failed".to_owned() });
    }

    /// The stage that the task waits in; `None` for one that is no stage of a policy.
    pub(super) fn waiting_stage(&self) -> Option<&'w Stage> {
        let record = self.state.current()?;
        if record.left_at.is_some() || record.kind == "blocked" { None } else { self.stage_here() }
    }
}

/// Where an escalation goes, in words.
fn target(target: &EscalationTarget) -> String {
    match target {
        EscalationTarget::ReplacePolicy(id) => format!("policy {id}"),
        EscalationTarget::Reassign(users) => format!("users {}", users.join(", ")),
        EscalationTarget::CancelTask => "cancel".to_owned(),
        EscalationTarget::SkipStage => "skip".to_owned(),
    }
}
