//! What people decide, and what webhooks and agents answer. A decision that the policy does not allow changes nothing.

use super::event::{Answer, Decision, Effect, Verdict};
use super::machine::Run;
use super::state::{Outcome, StageState};
use crate::workflow::{AgentFailure, AgentMode, Approval, Source, Work};

/// How often one stage may be handed over; then whoever has it must decide.
pub const REASSIGNMENTS_MAX: u32 = 10;
/// The most users that one stage may be handed to at a time (reference: section 3.7, webhook).
pub const REASSIGNEES_MAX: usize = 32;

impl<'w> Run<'_, 'w> {
    /// The approval that the task waits in.
    fn approval_here(&self) -> Option<&'w Approval> {
        match &self.waiting_stage()?.work {
            Work::Approval(approval) => Some(approval),
            _ => None,
        }
    }

    pub(super) fn decide(&mut self, decision: &Decision) {
        let Some(approval) = self.approval_here() else {
            return self.refuse("the task does not wait for an approval");
        };
        let asked = self
            .state
            .current()
            .is_some_and(|record| record.asked.iter().any(|one| one.user == decision.actor));
        if !asked {
            return self.refuse(format!("{} is not asked", decision.actor));
        }
        if approval.step_up_provider.is_some() && !decision.stepped_up {
            return self.refuse("who decides must prove who they are once more");
        }
        match &decision.verdict {
            Verdict::Approve if approval.require_approval_reason && decision.reason.is_empty() => {
                self.refuse("an approval needs a reason");
            }
            Verdict::Deny if approval.require_denial_reason && decision.reason.is_empty() => {
                self.refuse("a denial needs a reason");
            }
            Verdict::Approve => self.approve(&decision.actor, &decision.reason),
            Verdict::Deny => self.deny(&decision.actor, &decision.reason),
            Verdict::Reassign(to) => self.reassign(approval, decision, to),
        }
    }

    fn approve(&mut self, by: &str, reason: &str) {
        if !by.is_empty() && !self.state.approved_by.iter().any(|one| one == by) {
            self.state.approved_by.push(by.to_owned());
        }
        self.leave(StageState::Passed, by, reason);
        self.advance();
    }

    fn deny(&mut self, by: &str, reason: &str) {
        self.leave(StageState::Denied, by, reason);
        self.end(Outcome::Denied { by: by.to_owned(), why: reason.to_owned() });
    }

    fn reassign(&mut self, approval: &Approval, decision: &Decision, to: &[String]) {
        let rules = &approval.reassignment;
        if !rules.allowed {
            return self.refuse("the approval may not be handed over");
        }
        if rules.require_reason && decision.reason.is_empty() {
            return self.refuse("handing over needs a reason");
        }
        let stranger = to.iter().find(|user| !rules.to.is_empty() && !rules.to.contains(user));
        if let Some(user) = stranger {
            return self.refuse(format!("the approval may not be handed to {user}"));
        }
        self.hand_over(approval, &decision.actor, to);
    }

    /// Lets others decide in the place of whoever hands over; everybody else who is asked stays so.
    fn hand_over(&mut self, approval: &Approval, by: &str, to: &[String]) {
        if to.is_empty() || to.len() > REASSIGNEES_MAX {
            return self.refuse(format!("an approval is handed to 1 to {REASSIGNEES_MAX} users"));
        }
        if self.state.current().is_some_and(|record| record.reassignments >= REASSIGNMENTS_MAX) {
            return self.refuse(format!("the approval was handed over {REASSIGNMENTS_MAX} times already"));
        }
        if let Some((user, why)) = to.iter().find_map(|user| Some((user, self.exclusion(approval, user)?))) {
            let why = format!("{why:?}").to_lowercase();
            return self.refuse(format!("{user} may not decide: {why}"));
        }
        let Some(record) = self.record() else { return };
        record.reassignments += 1;
        let kept: Vec<_> = record
            .asked
            .drain(..)
            .filter(|one| one.user != by && one.delegate_of != by && !to.contains(&one.user))
            .collect();
        self.ask_instead(approval, &format!("reassigned by {by}"), to);
        if let Some(record) = self.record() {
            record.asked.extend(kept);
        }
        self.waits_again();
        let (stage, by, users) = (self.number(), by.to_owned(), to.to_vec());
        self.effects.push(Effect::Reassigned { stage, by, users });
    }

    /// Asks others, since nobody answered.
    pub(super) fn escalate_to(&mut self, users: &[String]) {
        let Some(approval) = self.approval_here() else { return };
        let found = self.ask_instead(approval, "escalation", users);
        let (stage, by, users) = (self.number(), "escalation".to_owned(), users.to_vec());
        self.effects.push(Effect::Reassigned { stage, by, users });
        self.waits_again();
        if found { self.tell_asked() } else { self.nobody_left(approval) }
    }

    /// Others are asked; whatever kept the stage from going on is no more.
    fn waits_again(&mut self) {
        if let Some(record) = self.record() {
            record.state = StageState::Waiting;
            record.reason.clear();
        }
    }

    /// Whoever was to decide is not there.
    fn nobody_left(&mut self, approval: &Approval) {
        self.nobody(approval.nobody, false);
        if self.state.ended.is_none() && self.state.stages.last().is_some_and(|stage| stage.left_at.is_some())
        {
            self.advance();
        }
    }

    pub(super) fn answer(&mut self, answer: &Answer) {
        let Some(approval) = self.approval_here() else {
            return self.refuse("the task does not wait for a webhook or an agent");
        };
        let people = self.state.current().is_some_and(|record| !record.asked.is_empty());
        match approval.sources.first() {
            _ if people => self.refuse("people are asked by now"),
            Some(Source::Webhook(id)) => self.webhook_answer(approval, &format!("webhook {id}"), answer),
            Some(Source::Agent(agent)) => {
                let allowed = match answer {
                    Answer::Comment(_) | Answer::Fail => true,
                    Answer::ChangePolicy(policy) => {
                        agent.mode != AgentMode::CommentOnly
                            && (agent.policies.is_empty() || agent.policies.contains(policy))
                    }
                    _ => agent.mode == AgentMode::FullControl,
                };
                if !allowed {
                    return self.refuse("the agent may not do that");
                }
                match answer {
                    Answer::Fail => return self.agent_failed(approval, &agent.on_failure),
                    Answer::Comment(text) if agent.mode != AgentMode::FullControl => {
                        return self.agent_commented(approval, text);
                    }
                    _ => {}
                }
                self.webhook_answer(approval, "agent", answer);
            }
            _ => self.refuse("the task does not wait for a webhook or an agent"),
        }
    }

    fn webhook_answer(&mut self, approval: &Approval, by: &str, answer: &Answer) {
        match answer {
            Answer::Approve => {
                self.leave(StageState::Passed, by, "");
                self.advance();
            }
            Answer::Deny => self.deny(by, ""),
            Answer::Comment(text) => self.comment(text),
            Answer::Reassign(users) => {
                self.hand_over(approval, by, users);
                if self.record().is_some_and(|record| !record.asked.is_empty()) {
                    self.tell_asked();
                }
            }
            Answer::ChangePolicy(policy) => {
                self.leave(StageState::Abandoned, by, "another policy took over");
                self.replace(policy);
            }
            // After a failure the policy goes on (reference: section 3.7).
            Answer::Fail => {
                self.leave(StageState::Skipped, by, "the webhook gave no answer");
                self.advance();
            }
        }
    }

    /// The decision is not the agent's own. So that a comment alone never grants anything, people decide now.
    fn agent_commented(&mut self, approval: &Approval, text: &str) {
        self.comment(text);
        self.ask_administrators(approval, "administrators, since the agent may not decide");
        let found = self.record().is_some_and(|record| !record.asked.is_empty());
        self.waits_again();
        if found { self.tell_asked() } else { self.nobody_left(approval) }
    }

    fn agent_failed(&mut self, approval: &Approval, action: &AgentFailure) {
        let found = match action {
            AgentFailure::SkipStage => {
                self.leave(StageState::Skipped, "agent", "the agent failed");
                return self.advance();
            }
            AgentFailure::Reassign(users) => self.ask_instead(approval, "agent failed", users),
            AgentFailure::ReassignToAdministrators => {
                self.ask_administrators(approval, "administrators, since the agent failed");
                self.record().is_some_and(|record| !record.asked.is_empty())
            }
        };
        self.waits_again();
        if found { self.tell_asked() } else { self.nobody_left(approval) }
    }
}
