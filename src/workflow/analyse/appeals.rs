//! What can be said of Guardian's policies: of steps whose conditions ask for nothing, of stages, and of people who are named
//! everywhere. Conditions that ask about the appeal are not reasoned about.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use serde_json::{Map, json};

use super::Witness;
use super::candidate::now;
use super::finding::{Code, Finding};
use crate::expr::guardian::{Parameters, outcome};
use crate::workflow::run::{
    AppealMachine, AppealState, AppealStatus, ApprovalStatus, Decision, Event, Happening, PolicyName, Verdict,
};
use crate::workflow::world::{Appeal, Directory, Request};
use crate::workflow::{Approver, Condition, Sequence, Source, Stage, Work, Workflow};

/// Notes what the steps of a policy say.
pub(super) fn analyse(workflow: &Workflow, findings: &mut Vec<Finding>) {
    for sequence in workflow.sequences.values() {
        if let Some(first) = never_begun(sequence) {
            let message = format!(
                "no step belongs to the first declared stage, so no approval ever begins; {first} is the first that has any"
            );
            findings.push(Finding::new(Code::StageNeverBegun, "stages", message));
        }
        let mut rejected: Option<String> = None;
        for stage in &sequence.stages {
            let steps = match &stage.work {
                Work::Parallel(steps) => steps.as_slice(),
                _ => std::slice::from_ref(stage),
            };
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
        one_person(workflow, sequence, findings);
    }
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
    let mut steps = sequence.stages.iter().flat_map(|stage| match &stage.work {
        Work::Parallel(steps) => steps.as_slice(),
        _ => std::slice::from_ref(stage),
    });
    !steps.any(|other| other.name == step.name && number(other) < number(step))
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
    let program = expression.program.as_ref()?;
    if expression.text.contains('$') || expression.text.contains("now") {
        return None;
    }
    let value = program.evaluate(&Parameters::new(DateTime::UNIX_EPOCH)).ok()?;
    outcome::is_truthy(&value).ok()
}

/// Somebody who is named in every step that asks people.
fn one_person(workflow: &Workflow, sequence: &Sequence, findings: &mut Vec<Finding>) {
    let steps = sequence.stages.iter().flat_map(|stage| match &stage.work {
        Work::Parallel(steps) => steps.as_slice(),
        _ => std::slice::from_ref(stage),
    });
    let mut common: Option<BTreeSet<String>> = None;
    let (mut manual, mut own) = (0, true);
    for step in steps {
        let Work::Approval(approval) = &step.work else { continue };
        manual += 1;
        own &= approval.allow_self_approval;
        let named = named(&approval.sources);
        common = Some(match common {
            Some(common) => common.intersection(&named).cloned().collect(),
            None => named,
        });
    }
    for person in common.unwrap_or_default() {
        let creator = if own { person.clone() } else { "requester@example.com".to_owned() };
        let Some(witness) = approved_by(workflow, sequence, &person, &creator) else { continue };
        if own {
            let message = format!("{person} can approve every step of an appeal of their own");
            findings.push(Finding::new(Code::SelfApproval, "steps", message).shown_by(witness));
            return;
        }
        // Of several steps all but one may have been skipped.
        if manual > 1 && witness.happenings.len() > 1 {
            let message = format!("{person} alone can approve every step");
            findings.push(Finding::new(Code::SingleApprover, "steps", message).shown_by(witness));
            return;
        }
    }
}

fn named(sources: &[Source]) -> BTreeSet<String> {
    let entries = sources.iter().flat_map(|source| match source {
        Source::All(approvers) => approvers.as_slice(),
        _ => &[],
    });
    let emails = entries.filter_map(|one| match one {
        Approver::Email(email) => Some(email.clone()),
        Approver::Expression(_) => None,
    });
    emails.collect()
}

/// An appeal that this person approves alone, as it was seen to happen.
fn approved_by(workflow: &Workflow, sequence: &Sequence, person: &str, creator: &str) -> Option<Witness> {
    let declared = sequence.stages.iter().filter_map(|stage| stage.place.strip_prefix("stages["));
    let declared = declared.filter_map(|place| place.trim_end_matches(']').parse::<usize>().ok());
    let stages = declared.max().map_or(0, |last| last + 1);
    let appeal = Appeal { appeal: appeal_of(workflow, creator), ..Appeal::default() };
    let machine = AppealMachine {
        workflow,
        policy: PolicyName::default(),
        stages,
        appeal: &appeal,
        dry_run: false,
        stop: None,
    };
    let at = now();
    let (mut state, _) = machine.step(AppealState::default(), &Event { at, what: Happening::Started });
    let mut happenings = Vec::new();
    while state.status == AppealStatus::Pending && state.failure.is_none() && happenings.len() < 256 {
        let waiting = state.approvals.iter().find(|one| one.status == ApprovalStatus::Pending)?;
        let decision = Decision {
            actor: person.to_owned(),
            verdict: Verdict::Approve,
            approval: waiting.name.clone(),
            ..Decision::default()
        };
        let what = Happening::Decided(decision);
        let before = state.clone();
        (state, _) = machine.step(state, &Event { at, what: what.clone() });
        if state == before {
            return None;
        }
        happenings.push((TimeDelta::zero(), what));
    }
    let approved =
        state.status == AppealStatus::Approved && state.failure.is_none() && !happenings.is_empty();
    let request = Request { appeal: Some(appeal), ..Request::default() };
    approved.then(|| Witness { request, directory: Directory::default(), at, happenings })
}

/// An appeal that keeps to what the policy asks of appeals.
fn appeal_of(workflow: &Workflow, creator: &str) -> Map<String, serde_json::Value> {
    let entry = workflow.entry.as_deref();
    let options = entry.and_then(|entry| entry.lifetime.as_ref()).map(|lifetime| lifetime.options.as_slice());
    let duration = options.and_then(|options| options.first()).map_or("24h", |option| option.value.as_str());
    let questions = entry.map(|entry| entry.questions.as_slice()).unwrap_or_default();
    let answers: Map<String, serde_json::Value> =
        questions.iter().map(|question| (question.key.clone(), json!("yes"))).collect();
    let appeal = json!({
        "account_id": creator, "account_type": "user", "created_by": creator, "role": "viewer",
        "options": {"duration": duration},
        "details": {"__policy_questions": answers},
        "resource": {"provider_type": "example", "provider_urn": "example", "type": "example", "urn": "example:1",
                     "name": "example"},
    });
    match appeal {
        serde_json::Value::Object(appeal) => appeal,
        _ => Map::new(),
    }
}
