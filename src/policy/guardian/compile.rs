//! From a document to a [`Workflow`]: one sequence, whose stages are the steps or, with `stages`, groups of them.

use super::super::Path;
use super::findings::Findings;
use super::{approver, entry, expression, requirement};
use crate::expr::guardian::Place;
use crate::pb::gotocompany::guardian::v1beta1::{Policy, policy::ApprovalStep};
use crate::workflow::{
    Approval, Approver, Destination, Nobody, Reassignment, Sequence, Source, Stage, Work, Workflow, is_email,
};
use std::collections::BTreeMap;

/// The key of the only sequence.
const SEQUENCE: &str = "approval";

pub(super) fn compile(findings: &mut Findings, policy: &Policy) -> Workflow {
    let mut groups: BTreeMap<usize, Vec<Stage>> = BTreeMap::new();
    let root = Path::ROOT;
    let path = root.field("steps");
    for (n, step) in policy.steps.iter().enumerate() {
        // A stage that is named twice counts where it is named last.
        let position = policy.stages.iter().rposition(|stage| *stage == step.stage);
        let place = if policy.stages.is_empty() { n } else { position.unwrap_or(policy.stages.len()) };
        groups.entry(place).or_default().push(compile_step(findings, &path.index(n), step));
    }
    let stages = groups.into_iter().map(|(place, steps)| group(policy, place, steps)).collect();
    let requirements = requirement::compile(findings, policy);
    Workflow {
        baseline: Destination::Sequence(SEQUENCE.to_owned()),
        sequences: [(SEQUENCE.to_owned(), Sequence { stages })].into(),
        entry: entry::compile(findings, policy),
        requirements,
        ..Workflow::default()
    }
}

/// The steps of one stage, side by side. Without stages, each step is one of its own.
fn group(policy: &Policy, place: usize, mut steps: Vec<Stage>) -> Stage {
    if policy.stages.is_empty()
        && let Some(only) = steps.pop()
    {
        return only;
    }
    Stage {
        name: policy.stages.get(place).cloned().unwrap_or_default(),
        when: None,
        may_fail: false,
        work: Work::Parallel(steps),
        place: format!("stages[{place}]"),
    }
}

fn compile_step(findings: &mut Findings, at: &Path<'_>, step: &ApprovalStep) -> Stage {
    let when = expression::compile_optional(findings, &at.field("when"), Place::When, &step.when);
    let automatic = step.strategy == "auto";
    let work = if automatic {
        Work::Automatic {
            approve_if: expression::compile(
                findings,
                &at.field("approve_if"),
                Place::ApproveIf,
                &step.approve_if,
            ),
            rejection_reason: expression::compile_template(
                findings,
                &at.field("rejection_reason"),
                Place::RejectionReason,
                &step.rejection_reason,
            ),
        }
    } else {
        Work::Approval(Box::new(compile_approval(findings, at, step)))
    };
    // Of a step that asks people, too: its approval carries the flag, though a person's no ends the appeal whatever it says.
    Stage { name: step.name.clone(), when, may_fail: step.allow_failed, work, place: at.to_string() }
}

/// Everybody who is named is asked; the first answer settles it, and nobody at all fails the appeal.
fn compile_approval(findings: &mut Findings, at: &Path<'_>, step: &ApprovalStep) -> Approval {
    let path = at.field("approvers");
    let family = findings.around().family;
    let mut approvers = Vec::new();
    for (n, text) in step.approvers.iter().enumerate() {
        approvers.push(if is_email(text) {
            Approver::Email(text.clone())
        } else {
            let early = approver::is_early(family, text);
            Approver::Expression(expression::compile_approver(findings, &path.index(n), text, early))
        });
    }
    Approval {
        sources: vec![Source::All(approvers)],
        nobody: Nobody::Fail,
        allow_self_approval: !step.dont_allow_self_approval,
        require_distinct_approvers: false,
        reassignment: Reassignment::default(),
        allow_delegation: false,
        require_approval_reason: false,
        require_denial_reason: false,
        step_up_provider: None,
        escalation: None,
    }
}
