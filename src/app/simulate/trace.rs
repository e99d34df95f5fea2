//! A trace as a message.

use crate::pb::countersign::v1 as pb;
use crate::workflow::run::{
    AppealState, Approval, Effect, Ending, Exclusion, Hop, Idle, Occurrence, Outcome, RuleTried, RuleValue,
    StageRecord, Trace,
};
use crate::workflow::{Action, Afterwards};
use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// The whole trace.
pub(super) fn message(trace: Trace) -> pb::Trace {
    let stages = match &trace.appeal {
        Some(appeal) => appeal.approvals.iter().map(|one| approval(appeal, one)).collect(),
        None => trace.state.stages.into_iter().map(stage).collect(),
    };
    pb::Trace {
        route: trace.state.route.into_iter().map(hop).collect(),
        stages,
        outcome: Some(outcome(trace.outcome)),
        post_actions: trace.post_actions.iter().map(post_action).collect(),
        timeline: trace.timeline.into_iter().map(occurrence).collect(),
        idle: Some(idle(trace.idle)),
        appeal: trace.appeal.as_ref().map(appeal),
    }
}

/// Who may decide now.
pub(super) fn short(trace: Trace) -> pb::WhoCanApproveResponse {
    let outcome = Some(outcome(trace.outcome));
    if let Some(appeal) = &trace.appeal {
        let pending = appeal.approvals.iter().filter(|one| one.status.word() == "pending");
        let mut answer = pb::WhoCanApproveResponse { outcome, ..pb::WhoCanApproveResponse::default() };
        for pb::Stage { approvers, excluded, .. } in pending.map(|one| approval(appeal, one)) {
            let may = |one: &pb::Approver| excluded.iter().all(|other| other.user_id != one.user_id);
            answer.approvers.extend(approvers.into_iter().filter(may));
            answer.excluded.extend(excluded);
        }
        return answer;
    }
    let Some(stage) = trace.state.current().cloned().map(stage) else {
        return pb::WhoCanApproveResponse { outcome, ..pb::WhoCanApproveResponse::default() };
    };
    let pb::Stage { approvers, excluded, required, .. } = stage;
    pb::WhoCanApproveResponse { approvers, excluded, required, outcome }
}

fn stamp(at: DateTime<Utc>) -> Option<Timestamp> {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0);
    Some(Timestamp { seconds: at.timestamp(), nanos })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The name of a variant, as serde writes it.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn hop(hop: Hop) -> pb::Hop {
    pb::Hop {
        policy_id: hop.policy,
        revision: hop.revision,
        rules: hop.rules.into_iter().map(rule).collect(),
        by_rule: hop.rule.is_some(),
        rule_index: number(hop.rule.unwrap_or(0)),
        step_key: hop.sequence,
        next_policy_id: hop.next_policy,
    }
}

fn rule(rule: RuleTried) -> pb::RuleTried {
    let (value, error) = match rule.value {
        RuleValue::True => (pb::RuleValue::True, String::new()),
        RuleValue::False => (pb::RuleValue::False, String::new()),
        RuleValue::Error(error) => (pb::RuleValue::Error, error),
        RuleValue::NotReached => (pb::RuleValue::NotReached, String::new()),
    };
    let because = rule.because.into_iter().map(|(expression, value)| pb::Reason { expression, value });
    pb::RuleTried {
        path: rule.place,
        condition: rule.condition,
        value: value.into(),
        error,
        because: because.collect(),
    }
}

fn stage(stage: StageRecord) -> pb::Stage {
    let asks = matches!(stage.kind.as_str(), "approval" | "webhook" | "agent");
    let sources = stage.sources.into_iter().map(|one| pb::SourceTried {
        source: one.source,
        found: number(one.found),
        problem: one.problem,
    });
    let approvers = stage.asked.into_iter().map(|one| pb::Approver {
        user_id: one.user,
        source: one.source,
        delegate_of: one.delegate_of,
    });
    let excluded = stage.excluded.into_iter().map(|one| pb::Excluded {
        why: word(&one.why),
        user_id: one.user,
        source: one.source,
    });
    let required = pb::Required {
        approval_reason: stage.approval_reason_required,
        denial_reason: stage.denial_reason_required,
        reassignment_reason: stage.reassignment_reason_required,
        step_up_provider_id: stage.step_up_provider,
    };
    let escalation = stage.escalates;
    let escalation = escalation.map(|one| pb::Escalation { at: stamp(one.at), to: one.to, done: one.done });
    pb::Stage {
        policy_id: stage.policy,
        step_key: stage.sequence,
        index: number(stage.position),
        path: stage.place,
        name: stage.name,
        kind: stage.kind,
        state: word(&stage.state),
        entered_at: stamp(stage.entered_at),
        left_at: stage.left_at.and_then(stamp),
        sources: sources.collect(),
        approvers: approvers.collect(),
        excluded: excluded.collect(),
        required: asks.then_some(required),
        escalation,
        due_at: stage.due_at.and_then(stamp),
        reassignments: stage.reassignments,
        decided_by: stage.decided_by,
        reason: stage.reason,
        evaluated: Vec::new(),
    }
}

/// Whoever asked may be among the approvers and say no; where the step forbids it they are excluded from saying yes.
fn approval(appeal: &AppealState, approval: &Approval) -> pb::Stage {
    let creator = appeal.appeal.get("created_by").and_then(|by| by.as_str()).unwrap_or_default();
    let of_their_own = |one: &&String| approval.dont_allow_self_approval && one.as_str() == creator;
    let excluded = approval.approvers.iter().filter(of_their_own).map(|email| pb::Excluded {
        user_id: email.clone(),
        source: approval.name.clone(),
        why: word(&Exclusion::Requester),
    });
    let approvers = approval.approvers.iter().map(|email| pb::Approver {
        user_id: email.clone(),
        source: approval.name.clone(),
        delegate_of: String::new(),
    });
    let evaluated = approval.evaluated.iter().map(|one| pb::Reason {
        expression: format!("{}: {}", one.field, one.expression),
        value: one.truthy.to_string(),
    });
    pb::Stage {
        step_key: approval.stage.clone(),
        index: number(approval.index),
        path: approval.place.clone(),
        name: approval.name.clone(),
        kind: if approval.approvers.is_empty() { "automatic" } else { "approval" }.to_owned(),
        state: approval.status.word().to_owned(),
        approvers: approvers.collect(),
        excluded: excluded.collect(),
        decided_by: approval.actor.clone(),
        reason: approval.reason.clone(),
        evaluated: evaluated.collect(),
        ..pb::Stage::default()
    }
}

fn outcome(outcome: Outcome) -> pb::Outcome {
    use pb::OutcomeKind as Kind;
    let of = |kind: Kind| pb::Outcome { kind: kind.into(), ..pb::Outcome::default() };
    match outcome {
        Outcome::Granted => of(Kind::Granted),
        Outcome::Denied { by, why } => pb::Outcome { by, why, ..of(Kind::Denied) },
        Outcome::Cancelled { why } => pb::Outcome { why, ..of(Kind::Cancelled) },
        Outcome::WaitTimedOut => of(Kind::WaitTimedOut),
        Outcome::Failed { why } => pb::Outcome { why, ..of(Kind::Failed) },
        Outcome::Waiting { on, until } => {
            pb::Outcome { waiting_on: on, until: until.and_then(stamp), ..of(Kind::Waiting) }
        }
        Outcome::Blocked { why, until } => {
            pb::Outcome { why, until: until.and_then(stamp), ..of(Kind::Blocked) }
        }
    }
}

fn post_action(action: &Afterwards) -> String {
    match action {
        Afterwards::RemediateImmediately(true) => "revocations of the review take effect at once".to_owned(),
        Afterwards::RemediateImmediately(false) => "revocations of the review wait for its end".to_owned(),
    }
}

fn idle(idle: Idle) -> pb::Idle {
    let (ending, at, again) = match idle.ending {
        Ending::Ends { at } => (pb::Ending::Ends, at, None),
        Ending::WaitsForEver { since } => (pb::Ending::WaitsForEver, since, None),
        Ending::Repeats { from, until } => (pb::Ending::Repeats, from, Some(until)),
        Ending::NotFollowed { until } => (pb::Ending::NotFollowed, until, None),
    };
    pb::Idle {
        timeline: idle.timeline.into_iter().map(occurrence).collect(),
        ending: ending.into(),
        at: stamp(at),
        again_at: again.and_then(stamp),
        outcome: Some(outcome(idle.outcome)),
    }
}

fn occurrence(one: Occurrence) -> pb::Occurrence {
    let (kind, stage, text) = described(one.effect);
    pb::Occurrence { at: stamp(one.at), kind: kind.to_owned(), stage: stage.map(number), text }
}

/// The kind of an effect, the stage that it is about, and a sentence.
fn described(effect: Effect) -> (&'static str, Option<usize>, String) {
    match effect {
        Effect::Routed { policy, sequence } => ("routed", None, format!("policy {policy}, steps {sequence}")),
        Effect::Entered { stage } => ("entered", Some(stage), "the stage begins".to_owned()),
        Effect::Asked { stage, users } => ("asked", Some(stage), format!("asks {}", users.join(", "))),
        Effect::WebhookCalled { stage, webhook } => {
            ("webhook_called", Some(stage), format!("calls webhook {webhook}"))
        }
        Effect::AgentAsked { stage } => ("agent_asked", Some(stage), "asks the agent".to_owned()),
        Effect::FormShown { stage } => ("form_shown", Some(stage), "shows the form".to_owned()),
        Effect::ProvisionStarted { stage, kind } => {
            ("provision_started", Some(stage), format!("brings access about: {}", word(&kind)))
        }
        Effect::ActionStarted { stage, action } => ("action_started", Some(stage), started(&action)),
        Effect::Commented { text } => ("commented", None, text),
        Effect::WakeAt { at } => ("wake_at", None, at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        Effect::Escalated { stage, to } => {
            ("escalated", Some(stage), format!("nobody answered in time: {to}"))
        }
        Effect::Reassigned { stage, by, users } => {
            ("reassigned", Some(stage), format!("{by} hands it to {}", users.join(", ")))
        }
        Effect::Assumed { stage, what } => ("assumed", Some(stage), what),
        Effect::Left { stage, how } => ("left", Some(stage), how),
        Effect::Refused { why } => ("refused", None, why),
        Effect::Blocked { why } => ("blocked", None, why),
        Effect::Ended { outcome } => ("ended", None, outcome),
        Effect::PostAction(action) => ("post_action", None, post_action(&action)),
    }
}

fn started(action: &Action) -> String {
    match action {
        Action::Automation(id) => format!("starts automation {id}"),
        Action::ResourceAction(id) => format!("starts resource action {id}"),
        Action::ClientIdApproval => "starts the approval of a client id".to_owned(),
    }
}

fn appeal(appeal: &AppealState) -> pb::AppealTrace {
    let labels = appeal.labels.iter().map(|(key, label)| pb::Label {
        key: key.clone(),
        value: label.value.clone(),
        derived_from: label.derived_from.clone(),
        source: label.source.clone(),
        category: label.category.clone(),
    });
    let requirements = appeal.requirements.iter().map(|one| pb::RequirementTried {
        path: one.place.clone(),
        fires: one.fires,
        because: one.because.clone(),
        appeals: one.appeals.clone(),
        hooks: one.hooks.clone(),
    });
    let failure = appeal.failure.as_ref();
    pb::AppealTrace {
        status: if failure.is_some() { String::new() } else { appeal.status.word().to_owned() },
        labels: labels.collect(),
        requirements: requirements.collect(),
        notes: appeal.notes.clone(),
        failure_code: failure.map(|one| one.kind.word().to_owned()).unwrap_or_default(),
        failure: failure.map(|one| one.message.clone()).unwrap_or_default(),
    }
}
