//! An appeal that is tried: made as the policy asks, with people who approve, and what becomes of it.

use chrono::TimeDelta;
use serde_json::{Map, json};

use super::{Witness, entries, steps_of};
use crate::workflow::analyse::candidate::now;
use crate::workflow::run::{
    AppealMachine, AppealState, AppealStatus, Approval, ApprovalStatus, Decision, Effect, Event, Happening,
    PolicyName, Verdict,
};
use crate::workflow::world::{Appeal, Directory, Request};
use crate::workflow::{Approver, Sequence, Work, Workflow};

/// The most decisions about one appeal.
const DECISIONS_MAX: usize = 256;
/// Who is asked where the policy leaves it to the appeal.
const APPROVER: &str = "approver@example.com";

/// What becomes of an appeal whose approvals are given by whom `who` says, until nobody can; `None` if it fails.
pub(super) fn tried(
    workflow: &Workflow,
    sequence: &Sequence,
    creator: &str,
    who: impl Fn(&Approval) -> Option<String>,
) -> Option<(AppealState, Witness)> {
    let declared = sequence.stages.iter().filter_map(|stage| stage.place.strip_prefix("stages["));
    let declared = declared.filter_map(|place| place.trim_end_matches(']').parse::<usize>().ok());
    let stages = declared.max().map_or(0, |last| last + 1);
    let appeal = Appeal { appeal: appeal_of(workflow, sequence, creator), ..Appeal::default() };
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

/// An appeal that keeps to what the policy asks of appeals, and says whom to ask where the policy leaves it to the appeal.
fn appeal_of(workflow: &Workflow, sequence: &Sequence, creator: &str) -> Map<String, serde_json::Value> {
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
    if entry.is_some_and(|entry| entry.creator.is_some()) {
        fill(&mut appeal, "creator.email", creator);
    }
    let asked = steps_of(sequence).filter_map(|step| match &step.work {
        Work::Approval(approval) => Some(&approval.sources),
        _ => None,
    });
    for approver in asked.flatten().flat_map(entries) {
        if let Approver::Expression(expression) = approver
            && let Some(path) = expression.text().strip_prefix("$appeal.")
        {
            fill(&mut appeal, path, APPROVER);
        }
    }
    appeal
}

/// Says something at a path where nothing is said; a text that is no path says nothing.
fn fill(appeal: &mut Map<String, serde_json::Value>, path: &str, text: &str) {
    let is_key = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !key.is_empty();
    let keys: Vec<&str> = path.split('.').collect();
    let Some((last, above)) = keys.split_last().filter(|_| keys.iter().all(|key| is_key(key))) else {
        return;
    };
    let mut at = appeal;
    for key in above {
        let below = at.entry(*key).or_insert_with(|| json!({}));
        let Some(below) = below.as_object_mut() else { return };
        at = below;
    }
    at.entry(*last).or_insert_with(|| json!(text));
}
