//! An appeal that is tried: made as the policy asks, with people who approve, and what becomes of it.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Map, json};

use super::{Witness, entries, steps_of};
use crate::expr::guardian::Program;
use crate::workflow::analyse::candidate::now;
use crate::workflow::run::{
    AppealMachine, AppealState, AppealStatus, Approval, ApprovalStatus, Decision, Effect, Event, Happening,
    PolicyName, Verdict,
};
use crate::workflow::world::{Appeal, Directory, Request};
use crate::workflow::{Approver, Condition, Sequence, Stage, Work, Workflow};

/// The most decisions about one appeal.
const DECISIONS_MAX: usize = 256;
/// Who is asked where the policy leaves it to the appeal.
const APPROVER: &str = "approver@example.com";

/// What becomes of an appeal whose approvals are given by whom `who` says, until nobody can; `None` if it fails. It says what may let
/// it come to `step`, if one is given, and through the steps that decide by themselves.
pub(super) fn tried(
    workflow: &Workflow,
    sequence: &Sequence,
    creator: &str,
    step: Option<&Stage>,
    who: impl Fn(&Approval) -> Option<String>,
) -> Option<(AppealState, Witness)> {
    let declared = sequence.stages.iter().filter_map(|stage| stage.place.strip_prefix("stages["));
    let declared = declared.filter_map(|place| place.trim_end_matches(']').parse::<usize>().ok());
    let stages = declared.max().map_or(0, |last| last + 1);
    let appeal = Appeal { appeal: appeal_of(workflow, sequence, creator, step), ..Appeal::default() };
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
    while state.status == AppealStatus::Pending && state.failure.is_none() && happenings.len() < DECISIONS_MAX
    {
        let mut waiting = state.approvals.iter().filter(|one| one.status == ApprovalStatus::Pending);
        let next = waiting.find_map(|one| Some((one.name.clone(), who(one)?)));
        let Some((approval, actor)) = next else { break };
        let decision = Decision { actor, verdict: Verdict::Approve, approval, ..Decision::default() };
        let what = Happening::Decided(decision);
        let (moved, effects) = machine.step(state, &Event { at, what: what.clone() });
        state = moved;
        if effects.iter().any(|one| matches!(one, Effect::Refused { .. })) {
            break;
        }
        happenings.push((TimeDelta::zero(), what));
    }
    let request = Request { appeal: Some(appeal), ..Request::default() };
    let witness = Witness { request, directory: Directory::default(), at, happenings };
    state.failure.is_none().then_some((state, witness))
}

/// An appeal that keeps to what the policy asks of appeals, and says what may help where the policy leaves it to the appeal.
fn appeal_of(
    workflow: &Workflow,
    sequence: &Sequence,
    creator: &str,
    step: Option<&Stage>,
) -> Map<String, serde_json::Value> {
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
    let mut appeal = match appeal {
        serde_json::Value::Object(appeal) => appeal,
        _ => Map::new(),
    };
    let mut said: BTreeSet<Vec<String>> = BTreeSet::new();
    for (path, value) in helpful(sequence, step) {
        // Who makes it is not for the policy to say.
        let may = !matches!(path.first().map(String::as_str), Some("account_id" | "created_by"));
        if may && said.insert(path.clone()) {
            put(&mut appeal, &path, value, true);
        }
    }
    if entry.is_some_and(|entry| entry.creator.is_some()) {
        put(&mut appeal, &["creator".to_owned(), "email".to_owned()], json!(creator), false);
    }
    for path in named_by_the_appeal(sequence) {
        put(&mut appeal, &path, json!(APPROVER), false);
    }
    appeal
}

/// What may let an appeal come to a step and through those that decide by themselves, by path.
fn helpful(sequence: &Sequence, step: Option<&Stage>) -> Vec<(Vec<String>, serde_json::Value)> {
    let automatic = steps_of(sequence).filter_map(|step| match &step.work {
        Work::Automatic { approve_if, .. } => Some(approve_if),
        _ => None,
    });
    let conditions = step.and_then(|step| step.when.as_ref()).into_iter().chain(automatic);
    let programs = conditions.filter_map(|condition| match condition {
        Condition::Guardian(expression) => expression.program.as_ref().ok(),
        Condition::Cel(_) => None,
    });
    programs.flat_map(Program::helpful).filter_map(of_the_appeal).collect()
}

/// Where the appeal says whom to ask.
fn named_by_the_appeal(sequence: &Sequence) -> Vec<Vec<String>> {
    let asked = steps_of(sequence).filter_map(|step| match &step.work {
        Work::Approval(approval) => Some(&approval.sources),
        _ => None,
    });
    let expressions = asked.flatten().flat_map(entries).filter_map(|approver| match approver {
        Approver::Expression(Condition::Guardian(expression)) => expression.program.as_ref().ok(),
        _ => None,
    });
    let facts = expressions.flat_map(Program::helpful).filter_map(of_the_appeal);
    facts.map(|(path, _)| path).collect()
}

/// Without the name of the appeal; `None` for a fact that is not of it.
fn of_the_appeal<T>((mut path, value): (Vec<String>, T)) -> Option<(Vec<String>, T)> {
    (path.len() > 1 && path.first().is_some_and(|first| first == "$appeal")).then(|| {
        path.remove(0);
        (path, value)
    })
}

/// Says something at a path; in the place of what is said there, or only where nothing is.
fn put(
    appeal: &mut Map<String, serde_json::Value>,
    path: &[String],
    value: serde_json::Value,
    in_its_place: bool,
) {
    let Some((last, above)) = path.split_last() else { return };
    let mut at = appeal;
    for key in above {
        let below = at.entry(key).or_insert_with(|| json!({}));
        let Some(below) = below.as_object_mut() else { return };
        at = below;
    }
    if in_its_place || !at.contains_key(last) {
        at.insert(last.clone(), value);
    }
}
