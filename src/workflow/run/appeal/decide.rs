//! Decide: one person's answer to one approval (reference: section 4.4).

use super::advance::reject_from;
use super::{AppealState, AppealStatus, ApprovalStatus, Machine, Refused};
use crate::workflow::Work;
use crate::workflow::run::{Decision, Verdict};
use chrono::{DateTime, Utc};

impl Machine<'_> {
    pub(super) fn decide(
        &self,
        state: &mut AppealState,
        decision: &Decision,
        at: DateTime<Utc>,
    ) -> Result<(), Refused> {
        if state.failure.is_some() {
            return Err(Refused::because("there is no appeal"));
        }
        if state.status != AppealStatus::Pending {
            return Err(Refused::because(format!("appeal status already {}", state.status.word())));
        }
        let steps = self.steps();
        let named = |one: &super::Approval| {
            if decision.approval.is_empty() {
                one.status == ApprovalStatus::Pending
                    && one.approvers.iter().any(|approver| approver.eq_ignore_ascii_case(&decision.actor))
            } else {
                one.name == decision.approval
            }
        };
        let Some(place) = state.approvals.iter().position(named) else {
            return Err(Refused::because(if decision.approval.is_empty() {
                format!("no approval waits for {}", decision.actor)
            } else {
                format!("approval not found: {:?}", decision.approval)
            }));
        };
        let Some(approval) = state.approvals.get(place) else { return Ok(()) };
        let index = approval.index;
        let open = state.approvals.iter().find(|one| {
            one.index < index && !matches!(one.status, ApprovalStatus::Approved | ApprovalStatus::Skipped)
        });
        if let Some(open) = open {
            let (name, status) = (&open.name, open.status.word());
            return Err(Refused::because(format!("earlier approval {name:?} is {status}")));
        }
        if approval.status != ApprovalStatus::Pending {
            return Err(Refused::because(format!("approval status is {}", approval.status.word())));
        }
        let actor = decision.actor.to_lowercase();
        if !approval.approvers.iter().any(|approver| approver.to_lowercase() == actor) {
            return Err(Refused::because(format!("{} is not among the approvers", decision.actor)));
        }
        // Of the policy's step; of the approval itself where the policy does not know the step.
        let step = self.step_of(&steps, approval, false);
        let forbids_self = step.map_or(approval.dont_allow_self_approval, |step| match &step.step.work {
            Work::Approval(approval) => !approval.allow_self_approval,
            _ => false,
        });
        let creator = state.appeal.get("created_by").and_then(|by| by.as_str()).unwrap_or_default();
        let is_self = decision.actor == creator;
        match &decision.verdict {
            Verdict::Reassign(_) => return Err(Refused::because("Guardian hands no approval over")),
            Verdict::Approve if forbids_self && is_self => {
                return Err(Refused::because("self approval is not allowed"));
            }
            Verdict::Approve | Verdict::Deny => {}
        }
        let Some(approval) = state.approvals.get_mut(place) else { return Ok(()) };
        approval.actor.clone_from(&decision.actor);
        approval.reason.clone_from(&decision.reason);
        if decision.verdict == Verdict::Deny {
            // `allow_failed` is not asked: a person's no ends the appeal.
            approval.status = ApprovalStatus::Rejected;
            reject_from(state, index);
            return Ok(());
        }
        approval.status = ApprovalStatus::Approved;
        self.advance(state, at, false)?;
        if state.status == AppealStatus::Approved {
            self.look_at_requirements(state, at)?;
        }
        Ok(())
    }
}
