//! Parts of a trace in words, without colours and without an indent.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use prost_types::Timestamp;

use crate::cli::page::Tone;
use crate::pb::countersign::v1::{
    Approver, Ending, Excluded, Hop, Idle, Outcome, OutcomeKind, Request, Required, SourceTried,
};
use crate::pb::json::{Kind, Struct};

/// A point in time; empty if there is none.
pub(super) fn time(at: Option<&Timestamp>) -> String {
    moment(at).map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
}

/// How long after the beginning, as in `+1h 30m`.
pub(super) fn elapsed(began: DateTime<Utc>, at: Option<&Timestamp>) -> String {
    let since = moment(at).map_or(TimeDelta::zero(), |at| at - began);
    format!("+{}", humantime::format_duration(since.to_std().unwrap_or_default()))
}

fn moment(at: Option<&Timestamp>) -> Option<DateTime<Utc>> {
    let at = at?;
    DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or(0))
}

/// What a hop led to, and by what.
pub(super) fn decided(hop: &Hop) -> String {
    let by = match (hop.by_rule, hop.rules.is_empty()) {
        (true, _) => format!("rules[{}] decides", hop.rule_index),
        (false, true) => "there are no rules".to_owned(),
        (false, false) => "no rule matches".to_owned(),
    };
    match (hop.next_policy_id.is_empty(), hop.step_key.is_empty()) {
        (false, _) => format!("{by}: on to policy {}", hop.next_policy_id),
        (true, false) => format!("{by}: steps {}", hop.step_key),
        (true, true) => by,
    }
}

pub(super) fn source(source: &SourceTried) -> String {
    match source.problem.is_empty() {
        true => format!("{}: found {}", source.source, source.found),
        false => format!("{}: {}", source.source, source.problem),
    }
}

/// Who, by which source, and in whose place.
pub(super) fn approver(approver: &Approver) -> String {
    let Approver { user_id, source, delegate_of } = approver;
    match delegate_of.is_empty() {
        true => format!("{user_id} ({source})"),
        false => format!("{user_id} ({source}, in the place of {delegate_of})"),
    }
}

/// Who, by which source, and why not.
pub(super) fn excluded(excluded: &Excluded) -> String {
    let Excluded { user_id, source, why } = excluded;
    let why = match why.as_str() {
        "subject" => "it is about them",
        "requester" => "they asked for it",
        "approved_earlier" => "they approved an earlier step",
        "disabled" => "disabled",
        "deleted" => "deleted",
        "unknown" => "not in the directory",
        other => other,
    };
    format!("{user_id} ({source}): {why}")
}

/// What is required of who decides; empty if nothing is.
pub(super) fn required(required: &Required) -> String {
    let reasons = [
        (required.approval_reason, "approve"),
        (required.denial_reason, "deny"),
        (required.reassignment_reason, "hand over"),
    ];
    let mut all: Vec<String> =
        reasons.iter().filter(|(is, _)| *is).map(|(_, to)| format!("a reason to {to}")).collect();
    if !required.step_up_provider_id.is_empty() {
        all.push(format!("proof of who they are, with {}", required.step_up_provider_id));
    }
    all.join(", ")
}

/// How the task stands, and how good that is.
pub(super) fn outcome(outcome: &Outcome) -> (Tone, String) {
    let with = |word: &str, why: &str| match why.is_empty() {
        true => word.to_owned(),
        false => format!("{word}: {why}"),
    };
    let until = match &outcome.until {
        Some(at) => format!(", until {}", time(Some(at))),
        None => String::new(),
    };
    match outcome.kind() {
        OutcomeKind::Granted => (Tone::Good, "granted".to_owned()),
        OutcomeKind::Denied if outcome.by.is_empty() => (Tone::Bad, with("denied", &outcome.why)),
        OutcomeKind::Denied => (Tone::Bad, with(&format!("denied by {}", outcome.by), &outcome.why)),
        OutcomeKind::Cancelled => (Tone::Bad, with("cancelled", &outcome.why)),
        OutcomeKind::WaitTimedOut => (Tone::Bad, "the condition of a wait did not hold in time".to_owned()),
        OutcomeKind::Failed => (Tone::Bad, with("failed", &outcome.why)),
        OutcomeKind::Waiting => (Tone::Care, format!("waits for {}{until}", outcome.waiting_on.join(", "))),
        OutcomeKind::Blocked => (Tone::Bad, format!("{}{until}", with("blocked", &outcome.why))),
        OutcomeKind::Unspecified => (Tone::Care, "unknown".to_owned()),
    }
}

/// Who asks for what.
pub(super) fn request(request: &Request) -> String {
    if let Some(appeal) = request.appeal.as_ref().and_then(|one| one.appeal.as_ref()) {
        let kind = |object: &Struct, key: &str| {
            object.fields.iter().find(|one| one.key == key).and_then(|one| one.value.clone()?.kind)
        };
        let text = |object: &Struct, key: &str| match kind(object, key) {
            Some(Kind::StringValue(text)) => text,
            _ => String::new(),
        };
        let urn = match kind(appeal, "resource") {
            Some(Kind::StructValue(resource)) => text(&resource, "urn"),
            _ => String::new(),
        };
        let what = if urn.is_empty() { String::new() } else { format!(" on {urn}") };
        let account = text(appeal, "account_id");
        return format!("{}, role {}{what}", or(&account, "somebody"), or(&text(appeal, "role"), "unknown"));
    }
    let who = match request.requester_id.as_str() {
        "" => or(&request.subject_id, "somebody"),
        requester if requester == request.subject_id => requester.to_owned(),
        requester => format!("{requester}, for {}", or(&request.subject_id, "somebody")),
    };
    let what = match (request.app_id.as_str(), request.entitlement_id.as_str()) {
        ("", "") => String::new(),
        (app, "") => format!(", app {app}"),
        ("", entitlement) => format!(", entitlement {entitlement}"),
        (app, entitlement) => format!(", app {app}, entitlement {entitlement}"),
    };
    format!("{who}{what}")
}

fn or(text: &str, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text.to_owned() }
}

/// What comes of it if nobody ever does anything.
pub(super) fn ending(idle: &Idle) -> (Tone, String) {
    let at = time(idle.at.as_ref());
    let (tone, stands) = outcome(&idle.outcome.clone().unwrap_or_default());
    match idle.ending() {
        Ending::Ends => (tone, format!("ended at {at}: {stands}")),
        Ending::WaitsForEver => (Tone::Bad, format!("for ever, since {at}: {stands}")),
        Ending::Repeats => {
            let again = time(idle.again_at.as_ref());
            (Tone::Bad, format!("without end: what was at {at} is again at {again}: {stands}"))
        }
        Ending::NotFollowed | Ending::Unspecified => {
            (Tone::Care, format!("followed until {at}, and no further: {stands}"))
        }
    }
}
