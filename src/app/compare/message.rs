//! A comparison as a message.

use super::{CHANGES_MAX, witness};
use crate::pb::countersign::v1 as pb;
use crate::workflow::compare::{Change, Direction, Effect, Fate, FateKind, Hop};

/// The whole answer.
pub(super) fn answer(
    names: [pb::ComparedPolicy; 2],
    changes: &[(String, Change)],
    effects: Option<pb::Effects>,
) -> pb::CompareResponse {
    let [before, after] = names;
    pb::CompareResponse {
        before: Some(before),
        after: Some(after),
        changes: changes.iter().take(CHANGES_MAX).map(|(policy, one)| change(policy, one)).collect(),
        changes_left_out: number(changes.len().saturating_sub(CHANGES_MAX)),
        effects,
    }
}

pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn change(policy: &str, change: &Change) -> pb::Change {
    let direction = change.direction.map_or(pb::ChangeDirection::Unspecified, direction);
    pb::Change {
        code: change.code.as_str(),
        direction: direction.into(),
        before_path: change.before_path.clone(),
        after_path: change.after_path.clone(),
        message: change.message.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
        gained: change.gained.as_deref().map(witness::message),
        lost: change.lost.as_deref().map(witness::message),
        policy_id: policy.to_owned(),
    }
}

fn direction(direction: Direction) -> pb::ChangeDirection {
    match direction {
        Direction::Same => pb::ChangeDirection::Same,
        Direction::Wider => pb::ChangeDirection::Wider,
        Direction::Narrower => pb::ChangeDirection::Narrower,
        Direction::Different => pb::ChangeDirection::Different,
        Direction::WiderOrSame => pb::ChangeDirection::WiderOrSame,
        Direction::NarrowerOrSame => pb::ChangeDirection::NarrowerOrSame,
        Direction::Unknown => pb::ChangeDirection::Unknown,
    }
}

pub(super) fn effect(effect: Effect) -> pb::EffectKind {
    match effect {
        Effect::RouteChanged => pb::EffectKind::RouteChanged,
        Effect::NewlyAutoApproved => pb::EffectKind::NewlyAutoApproved,
        Effect::NoLongerAutoApproved => pb::EffectKind::NoLongerAutoApproved,
        Effect::NewlyDenied => pb::EffectKind::NewlyDenied,
        Effect::NoLongerDenied => pb::EffectKind::NoLongerDenied,
        Effect::LostLastApprover => pb::EffectKind::LostLastApprover,
        Effect::GainedApprover => pb::EffectKind::GainedApprover,
        Effect::ApproversChanged => pb::EffectKind::ApproversChanged,
        Effect::CannotRun => pb::EffectKind::CannotRun,
    }
}

pub(super) fn fate(fate: &Fate) -> pb::Fate {
    let kind = match fate.kind {
        FateKind::Automatic => pb::FateKind::Automatic,
        FateKind::ByPeople => pb::FateKind::ByPeople,
        FateKind::Denied => pb::FateKind::Denied,
        FateKind::Nobody => pb::FateKind::Nobody,
        FateKind::Outside => pb::FateKind::Outside,
        FateKind::CannotRun => pb::FateKind::CannotRun,
    };
    let asked = fate.asked.iter();
    let asked = asked.map(|one| pb::StepAsked { path: one.place.clone(), user_ids: one.users.clone() });
    pb::Fate {
        kind: kind.into(),
        route: fate.route.iter().map(hop).chain(fate.steps.iter().cloned()).collect(),
        asked: asked.collect(),
        why: fate.why.clone(),
    }
}

/// `rules[0]: steps grant`; policies beside the first one are named.
fn hop(hop: &Hop) -> String {
    let rule = if hop.rule.is_empty() { "baseline" } else { &hop.rule };
    let to = match (hop.sequence.as_str(), hop.next_policy.as_str()) {
        ("", "") => "nowhere".to_owned(),
        ("", policy) => format!("policy {policy}"),
        (steps, _) => format!("steps {steps}"),
    };
    match hop.policy.as_str() {
        "" => format!("{rule}: {to}"),
        policy => format!("policy {policy}, {rule}: {to}"),
    }
}
