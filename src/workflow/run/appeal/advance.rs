//! Advance: what moves by itself, after the appeal was made and after each approval (reference: section 4.4).

use super::apply::Step;
use super::facts::{is_truthy, text};
use super::{AppealState, AppealStatus, Approval, ApprovalStatus, Evaluated, Machine, Refused};
use crate::expr::guardian::Parameters;
use crate::workflow::{Condition, Stage, Work};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

impl<'w> Machine<'w> {
    /// The step of an approval: the first of its name, or without stages and name the one at its place. Steps that came as an
    /// answer to custom steps are known only while the appeal is made.
    pub(super) fn step_of<'s>(
        &self,
        steps: &'s [Step<'w>],
        approval: &Approval,
        making: bool,
    ) -> Option<&'s Step<'w>> {
        let own = self.appeal.own_steps.filter(|_| !making).unwrap_or(usize::MAX);
        let mut known = steps.iter().filter(|step| step.number < own);
        let by_name = known.clone().find(|step| !approval.name.is_empty() && step.step.name == approval.name);
        by_name.or_else(|| known.find(|step| self.stages == 0 && step.number == approval.index))
    }

    /// `making` = the appeal is being made.
    pub(super) fn advance(
        &self,
        state: &mut AppealState,
        at: DateTime<Utc>,
        making: bool,
    ) -> Result<(), Refused> {
        // Built once: what changes on the way is not seen.
        let facts = self.facts(state, at)?;
        let steps = self.steps();
        for approval in state.approvals.iter_mut().filter(|one| one.status == ApprovalStatus::Blocked) {
            self.go_on()?;
            let step = self.step_of(&steps, approval, making);
            if let Some(step) = step
                && !holds(approval, step.step, &facts)?
            {
                approval.status = ApprovalStatus::Skipped;
            }
        }
        let indices: BTreeSet<usize> = state.approvals.iter().map(|one| one.index).collect();
        for index in &indices {
            for approval in state.approvals.iter_mut() {
                if approval.index == *index && approval.status == ApprovalStatus::Pending {
                    self.go_on()?;
                    let step = self.step_of(&steps, approval, making);
                    if let Some(step) = step {
                        settle(approval, step.step, &facts)?;
                    }
                }
            }
            let group = || state.approvals.iter().filter(|one| one.index == *index);
            if group().any(|one| one.status == ApprovalStatus::Rejected && !one.allow_failed) {
                reject_from(state, *index);
                return Ok(());
            }
            let passed = |one: &Approval| match one.status {
                ApprovalStatus::Approved | ApprovalStatus::Skipped => true,
                ApprovalStatus::Rejected => one.allow_failed,
                ApprovalStatus::Pending | ApprovalStatus::Blocked => false,
            };
            if !group().all(passed) {
                return Ok(());
            }
            let Some(next) = indices.range(index + 1..).next() else {
                state.status = AppealStatus::Approved;
                return Ok(());
            };
            let blocked = state.approvals.iter_mut().filter(|one| one.index == *next);
            for approval in blocked.filter(|one| one.status == ApprovalStatus::Blocked) {
                approval.status = ApprovalStatus::Pending;
            }
        }
        Ok(())
    }

    /// What DryRunAdvance does beside: whatever nobody will be asked is skipped; the status of the appeal stays.
    pub(super) fn skip_what_nobody_is_asked(
        &self,
        state: &mut AppealState,
        at: DateTime<Utc>,
    ) -> Result<(), Refused> {
        let facts = self.facts(state, at)?;
        let steps = self.steps();
        let open = |one: &&mut Approval| {
            matches!(one.status, ApprovalStatus::Blocked | ApprovalStatus::Pending) && !one.name.is_empty()
        };
        for approval in state.approvals.iter_mut().filter(open) {
            self.go_on()?;
            let step = steps.iter().find(|step| step.step.name == approval.name);
            if let Some(step) = step
                && !holds(approval, step.step, &facts)?
            {
                approval.status = ApprovalStatus::Skipped;
            }
        }
        Ok(())
    }
}

/// Whether a step's `when`, if it has one, is truthy.
fn holds(approval: &mut Approval, step: &Stage, facts: &Parameters) -> Result<bool, Refused> {
    let Some(when) = &step.when else { return Ok(true) };
    truth(approval, step, "when", when, facts)
}

/// What an expression of a step says; it is put down with the approval.
fn truth(
    approval: &mut Approval,
    step: &Stage,
    field: &str,
    condition: &Condition,
    facts: &Parameters,
) -> Result<bool, Refused> {
    let failed = |error| Refused::internal(format!("evaluating {field} of {:?}: {error}", step.name));
    let truthy = is_truthy(condition, facts).map_err(failed)?;
    approval.evaluated.retain(|one| one.field != field);
    let (field, expression) = (field.to_owned(), condition.text().to_owned());
    approval.evaluated.push(Evaluated { field, expression, truthy });
    Ok(truthy)
}

/// What a pending approval comes to by itself.
fn settle(approval: &mut Approval, step: &Stage, facts: &Parameters) -> Result<(), Refused> {
    if !holds(approval, step, facts)? {
        approval.status = ApprovalStatus::Skipped;
        return Ok(());
    }
    let Work::Automatic { approve_if, rejection_reason } = &step.work else { return Ok(()) };
    if truth(approval, step, "approve_if", approve_if, facts)? {
        approval.status = ApprovalStatus::Approved;
    } else if step.may_fail {
        approval.status = ApprovalStatus::Skipped;
    } else {
        approval.status = ApprovalStatus::Rejected;
        approval.reason = text(rejection_reason, facts).map_err(|error| {
            Refused::internal(format!("evaluating rejection_reason of {:?}: {error}", step.name))
        })?;
    }
    Ok(())
}

/// The appeal is rejected at this index: what comes later is skipped, whatever it was, and what is pending beside, too.
pub(super) fn reject_from(state: &mut AppealState, index: usize) {
    state.status = AppealStatus::Rejected;
    for approval in &mut state.approvals {
        let beside = approval.index == index && approval.status == ApprovalStatus::Pending;
        if approval.index > index || beside {
            approval.status = ApprovalStatus::Skipped;
        }
    }
}
