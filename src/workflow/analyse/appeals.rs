//! What can be said of Guardian's policies: of steps whose conditions ask for nothing, of stages, and of people who are named
//! everywhere. Conditions that ask about the appeal are not reasoned about; the appeals that are tried say what those compare.

mod tried;

use std::collections::BTreeSet;

use chrono::DateTime;

use super::Witness;
use super::finding::{Code, Finding};
use crate::expr::guardian::{Parameters, outcome};
use crate::workflow::run::{AppealState, AppealStatus, Approval, ApprovalStatus};
use crate::workflow::{Approver, Condition, Sequence, Source, Stage, Work, Workflow};
use tried::tried;

/// The most people of one policy who are tried as the one person.
const PEOPLE_MAX: usize = 12;
/// The most steps of one policy for which an appeal of its own is tried.
const OWN_APPEALS_MAX: usize = 16;
/// Who makes appeals.
const CREATOR: &str = "requester@example.com";

/// Notes what the steps of a policy say.
pub(super) fn analyse(workflow: &Workflow, findings: &mut Vec<Finding>) {
    for sequence in workflow.sequences.values() {
        let before = findings.len();
        if let Some(first) = never_begun(sequence) {
            let message = format!(
                "no step belongs to the first declared stage, so no approval ever begins; {first} is the first that has any"
            );
            findings.push(Finding::new(Code::StageNeverBegun, "stages", message));
        }
        let mut rejected: Option<String> = None;
        for stage in &sequence.stages {
            let steps = side_by_side(stage);
            for step in steps {
                if let Some(place) = &rejected {
                    let message =
                        format!("every appeal is rejected at {place}, so this step is never reached");
                    let finding = Finding::new(Code::StepUnreached, step.place.clone(), message);
                    findings.push(finding.related(vec![place.clone()]));
                }
            }
            if rejected.is_none() {
                let own = steps.iter().filter(|step| says_what_it_does(sequence, step));
                rejected = own.filter_map(|step| one_step(step, findings)).next();
            }
        }
        show(workflow, sequence, findings.get_mut(before..).unwrap_or_default());
        one_person(workflow, sequence, findings);
    }
}

/// The steps of a stage, or what stands alone.
fn side_by_side(stage: &Stage) -> &[Stage] {
    match &stage.work {
        Work::Parallel(steps) => steps,
        _ => std::slice::from_ref(stage),
    }
}

/// All steps of a sequence.
fn steps_of(sequence: &Sequence) -> impl Iterator<Item = &Stage> {
    sequence.stages.iter().flat_map(side_by_side)
}

/// The place of the first stage that has steps, if it is not the first one declared, and cannot be skipped as a whole: what comes
/// after it would begin then.
fn never_begun(sequence: &Sequence) -> Option<&str> {
    let first = sequence.stages.first()?;
    let Work::Parallel(steps) = &first.work else { return None };
    let stays = |step: &Stage| step.when.is_none() && says_what_it_does(sequence, step);
    (first.place != "stages[0]" && steps.iter().any(stays)).then_some(first.place.as_str())
}

/// Whether no earlier step has the same name: of two, the first says what both do.
fn says_what_it_does(sequence: &Sequence, step: &Stage) -> bool {
    let number = |step: &Stage| {
        let digits: String = step.place.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<usize>().unwrap_or(usize::MAX)
    };
    !steps_of(sequence).any(|other| other.name == step.name && number(other) < number(step))
}

/// Notes what one step says; its place if it rejects every appeal.
fn one_step(step: &Stage, findings: &mut Vec<Finding>) -> Option<String> {
    let when = step.when.as_ref().map(constant);
    if when == Some(Some(false)) {
        let path = format!("{}.when", step.place);
        let message = "this condition holds for no appeal, so the step is always skipped";
        findings.push(Finding::new(Code::StepNeverRuns, path, message));
        return None;
    }
    let Work::Automatic { approve_if, .. } = &step.work else { return None };
    if constant(approve_if) != Some(false) || step.may_fail {
        return None;
    }
    let path = format!("{}.approve_if", step.place);
    let always = when.is_none_or(|when| when == Some(true));
    let message = if always {
        "this condition holds for no appeal, so every appeal that comes here is rejected"
    } else {
        "this condition holds for no appeal, so every appeal that this step is for is rejected"
    };
    findings.push(Finding::new(Code::AlwaysRejected, path, message));
    always.then(|| step.place.clone())
}

/// Whether the condition is truthy, if that is the same for every appeal at every time.
pub(in crate::workflow) fn constant(condition: &Condition) -> Option<bool> {
    let Condition::Guardian(expression) = condition else { return None };
    let program = expression.program.as_ref().ok()?;
    if expression.text.contains('$') || expression.text.contains("now") {
        return None;
    }
    let value = program.evaluate(&Parameters::new(DateTime::UNIX_EPOCH)).ok()?;
    outcome::is_truthy(&value).ok()
}

/// Adds the appeal that was seen to stand still, or to be rejected although everybody approves, to findings that say so: one appeal for
/// all of them, and one of its own for a step to which that does not come.
fn show(workflow: &Workflow, sequence: &Sequence, findings: &mut [Finding]) {
    if !findings.iter().any(|one| matches!(one.code, Code::StageNeverBegun | Code::AlwaysRejected)) {
        return;
    }
    let everybody = |one: &Approval| {
        let may = |who: &&String| !one.dont_allow_self_approval || who.as_str() != CREATOR;
        one.approvers.iter().find(may).cloned()
    };
    let is = |one: &Approval, status| one.status == status;
    let rejects = |state: &AppealState, finding: &Finding| {
        state.approvals.iter().any(|one| {
            is(one, ApprovalStatus::Rejected) && finding.path == format!("{}.approve_if", one.place)
        })
    };
    let Some((state, witness)) = tried(workflow, sequence, CREATOR, None, everybody) else { return };
    let begun =
        !witness.happenings.is_empty() || state.approvals.iter().any(|one| is(one, ApprovalStatus::Pending));
    let mut left = OWN_APPEALS_MAX;
    for finding in findings {
        let shown = match finding.code {
            Code::StageNeverBegun => {
                (state.status == AppealStatus::Pending && !begun).then(|| witness.clone())
            }
            Code::AlwaysRejected if rejects(&state, finding) => Some(witness.clone()),
            Code::AlwaysRejected if left > 0 => {
                left -= 1;
                let is_it = |step: &&Stage| finding.path == format!("{}.approve_if", step.place);
                let own = tried(workflow, sequence, CREATOR, steps_of(sequence).find(is_it), everybody);
                own.filter(|(state, _)| rejects(state, finding)).map(|(_, witness)| witness)
            }
            _ => None,
        };
        finding.witness = shown.map(Box::new);
    }
}

/// Somebody who is named in every step that asks people.
fn one_person(workflow: &Workflow, sequence: &Sequence, findings: &mut Vec<Finding>) {
    let mut common: Option<BTreeSet<String>> = None;
    let (mut manual, mut own) = (0, true);
    for step in steps_of(sequence) {
        let Work::Approval(approval) = &step.work else { continue };
        manual += 1;
        own &= approval.allow_self_approval;
        let named = named(&approval.sources);
        common = Some(match common {
            Some(common) => common.intersection(&named).cloned().collect(),
            None => named,
        });
    }
    if !own && manual < 2 {
        return;
    }
    for person in common.unwrap_or_default().into_iter().take(PEOPLE_MAX) {
        let creator = if own { person.as_str() } else { CREATOR };
        let Some(witness) = approved_by(workflow, sequence, &person, creator) else { continue };
        if own {
            let message = format!("{person} can approve every step of an appeal of their own");
            findings.push(Finding::new(Code::SelfApproval, "steps", message).shown_by(witness));
            return;
        }
        // Of several steps all but one may have been skipped.
        if witness.happenings.len() > 1 {
            let message = format!("{person} alone can approve every step");
            findings.push(Finding::new(Code::SingleApprover, "steps", message).shown_by(witness));
            return;
        }
    }
}

fn entries(source: &Source) -> &[Approver] {
    match source {
        Source::All(approvers) => approvers,
        _ => &[],
    }
}

fn named(sources: &[Source]) -> BTreeSet<String> {
    let emails = sources.iter().flat_map(entries).filter_map(|one| match one {
        Approver::Email(email) => Some(email.clone()),
        Approver::Expression(_) => None,
    });
    emails.collect()
}

/// An appeal that this person approves alone, as it was seen to happen.
fn approved_by(workflow: &Workflow, sequence: &Sequence, person: &str, creator: &str) -> Option<Witness> {
    let (state, witness) = tried(workflow, sequence, creator, None, |_| Some(person.to_owned()))?;
    (state.status == AppealStatus::Approved && !witness.happenings.is_empty()).then_some(witness)
}
