//! Apply: the approvals of an appeal, made from the steps of its policy (reference: section 4.4).

use super::facts::evaluate;
use super::{AppealState, Approval, ApprovalStatus, Failure, FailureKind, Machine, Refused};
use crate::expr::guardian::{Parameters, outcome};
use crate::workflow::{self, Approver, Source, Stage, Work};
use chrono::{DateTime, Utc};

/// The key of the only sequence of one of Guardian's policies.
const SEQUENCE: &str = "approval";

/// One step of the policy, with the stage that it belongs to.
#[derive(Debug)]
pub(super) struct Step<'w> {
    pub(super) step: &'w Stage,
    /// Its place among the steps of the document.
    pub(super) number: usize,
    /// The name of its stage; empty without stages.
    stage: &'w str,
    /// The place of its stage, or its own.
    index: usize,
}

impl<'w> Machine<'w> {
    /// The steps, in the order of the document, those of custom steps last.
    pub(super) fn steps(&self) -> Vec<Step<'w>> {
        let stages = self.workflow.sequences.get(SEQUENCE).map(|sequence| sequence.stages.as_slice());
        let mut steps = Vec::new();
        for stage in stages.unwrap_or_default() {
            match &stage.work {
                Work::Parallel(inner) => {
                    let index = number_in(&stage.place);
                    let each = inner.iter().map(|step| (step, stage.name.as_str(), index));
                    steps.extend(each.map(|(step, stage, index)| Step {
                        step,
                        number: number_in(&step.place),
                        stage,
                        index,
                    }));
                }
                _ => {
                    let number = number_in(&stage.place);
                    steps.push(Step { step: stage, number, stage: "", index: number });
                }
            }
        }
        steps.sort_by_key(|step| step.number);
        steps
    }

    pub(super) fn apply(&self, state: &mut AppealState, at: DateTime<Utc>) -> Result<(), Refused> {
        let facts = self.early(state, at)?;
        for Step { step, number, stage, index } in self.steps() {
            self.go_on()?;
            let (approvers, dont_allow_self_approval) = match &step.work {
                Work::Approval(approval) => {
                    let approvers = approvers(approval, &facts).map_err(|error| {
                        let message = format!("unable to set approvers for {:?}: {error}", step.name);
                        Failure::new(FailureKind::FailedPrecondition, message)
                    })?;
                    (approvers, !approval.allow_self_approval)
                }
                _ => (Vec::new(), false),
            };
            state.approvals.push(Approval {
                name: step.name.clone(),
                stage: stage.to_owned(),
                index,
                place: step.place.clone(),
                approvers,
                status: if index == 0 { ApprovalStatus::Pending } else { ApprovalStatus::Blocked },
                allow_failed: step.may_fail,
                dont_allow_self_approval,
                custom: self.appeal.own_steps.is_some_and(|own| number >= own),
                ..Approval::default()
            });
        }
        Ok(())
    }
}

/// The number in a place such as `steps[3]`.
fn number_in(place: &str) -> usize {
    let number = place.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The e-mail addresses of those who are asked, each once, in order.
fn approvers(approval: &workflow::Approval, facts: &Parameters) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for source in &approval.sources {
        let Source::All(approvers) = source else { continue };
        for approver in approvers {
            match approver {
                Approver::Email(email) => found.push(email.clone()),
                Approver::Expression(condition) => {
                    let value = evaluate(condition, facts)?;
                    found.extend(outcome::approvers(&value)?.iter().map(|one| one.to_string()));
                }
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|one| seen.insert(one.clone()));
    match found.iter().find(|one| !workflow::is_email(one)) {
        Some(stranger) => Err(format!("approver value is not a valid email: {stranger:?}")),
        None => Ok(found),
    }
}
