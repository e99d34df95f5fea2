//! What has become of the steps of a sequence.
//!
//! A step has become the one of the same name. Of those that are left, and of all where steps have no names, one has become that which
//! is equal to it, in order as far as can be, and then one of the same kind, the more alike the rather; what stands alone between the
//! same neighbours on both sides has changed its kind. The rest was removed or added.

use super::align::Pairing;
use super::change::{Change, Code, Direction};
use super::words::{self, Words};
use super::{approval, condition};
use crate::workflow::analyse::Stop;
use crate::workflow::{Condition, Source, Stage, Template, Until, Wait, Work};

/// A step, with the stage that it belongs to in a dialect that has such.
struct Step<'w> {
    stage: &'w Stage,
    /// The name of what it stands side by side in; empty if it stands alone.
    group: &'w str,
    /// All that is in it, but for the places.
    content: String,
    words: Words,
}

/// Notes what is different.
pub(super) fn compare(before: &[Stage], after: &[Stage], stop: &Stop, changes: &mut Vec<Change>) {
    let (was, is) = (begins(before), begins(after));
    if was != is {
        let message = if is {
            "steps belong to the first declared stage now, so that approvals begin"
        } else {
            "no step belongs to the first declared stage any more, so that no approval ever begins"
        };
        let change = Change::new(Code::StagesChanged, ("stages", "stages"), message);
        changes.push(change.towards(Direction::of_flag(was, is)));
    }
    let (before, after) = (flat(before), flat(after));
    let pairing = pair(&before, &after);
    let kept = pairing.kept_in_order();
    for (n, old) in before.iter().enumerate() {
        let Some((m, new)) = pairing.after_of(n).and_then(|m| Some((m, after.get(m)?))) else {
            let message = format!("the {} is no more", words::kind(&old.stage.work));
            let change = Change::new(Code::StepRemoved, (&old.stage.place, ""), message);
            changes.push(change.with_values(words::step(old.stage), ""));
            continue;
        };
        let paths = (old.stage.place.as_str(), new.stage.place.as_str());
        if old.group != new.group {
            let message = format!("the step belongs to the stage {} instead of {}", new.group, old.group);
            let change = Change::new(Code::StepMoved, paths, message);
            changes.push(change.with_values(old.group, new.group));
        } else if !kept.contains(&(n, m)) {
            let message = "the step has another place in the order";
            let change = Change::new(Code::StepMoved, paths, message);
            changes.push(change.with_values((n + 1).to_string(), (m + 1).to_string()));
        }
        if old.content != new.content || old.stage.name != new.stage.name {
            step(old.stage, new.stage, stop, changes);
        }
    }
    for new in pairing.added(after.len()).into_iter().filter_map(|m| after.get(m)) {
        let message = format!("the {} is new", words::kind(&new.stage.work));
        let change = Change::new(Code::StepAdded, ("", &new.stage.place), message);
        changes.push(change.with_values("", words::step(new.stage)));
    }
}

/// Whether steps belong to the first declared stage; approvals begin there or not at all.
fn begins(stages: &[Stage]) -> bool {
    stages.first().is_none_or(|first| !matches!(first.work, Work::Parallel(_)) || first.place == "stages[0]")
}

/// The steps in a few words.
pub(super) fn listed(stages: &[Stage]) -> String {
    stages.iter().map(words::step).collect::<Vec<_>>().join(", then ")
}

/// All that is in a stage, but for the places.
pub(super) fn content(stage: &Stage) -> String {
    let Ok(mut value) = serde_json::to_value(stage) else { return stage.place.clone() };
    without_places(&mut value);
    value.to_string()
}

fn without_places(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            // Only stages have a kind of work, and only their `place` is one.
            if fields.contains_key("work") {
                fields.remove("place");
            }
            fields.values_mut().for_each(without_places);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

fn flat(stages: &[Stage]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for stage in stages {
        let (group, inner) = match &stage.work {
            Work::Parallel(inner) => (stage.name.as_str(), inner.as_slice()),
            _ => ("", std::slice::from_ref(stage)),
        };
        steps.extend(inner.iter().map(|stage| {
            let content = content(stage);
            Step { stage, group, words: Words::of(&content), content }
        }));
    }
    steps
}

fn pair(before: &[Step<'_>], after: &[Step<'_>]) -> Pairing {
    let mut pairing = Pairing::default();
    let names = |steps: &[Step<'_>]| {
        let name = |step: &Step<'_>| Some(step.stage.name.clone()).filter(|name| !name.is_empty());
        steps.iter().map(name).collect::<Vec<_>>()
    };
    pairing.pair_by_key(&names(before), &names(after));
    let counts = (before.len(), after.len());
    let both = |n: usize, m: usize| before.get(n).zip(after.get(m));
    pairing.pair_in_order(counts, |n, m| {
        u32::from(both(n, m).is_some_and(|(old, new)| essence(old) == essence(new)))
    });
    let essences = |steps: &[Step<'_>]| steps.iter().map(|step| Some(essence(step))).collect::<Vec<_>>();
    pairing.pair_by_key(&essences(before), &essences(after));
    pairing.pair_in_order(counts, |n, m| both(n, m).map_or(0, |(old, new)| alike(old, new)));
    pair_between(&mut pairing, counts);
    pairing
}

/// All that is in a step but its name.
fn essence(step: &Step<'_>) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&step.content).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("name");
    }
    value.to_string()
}

/// How much alike two steps are; 0 if they are of two kinds.
fn alike(old: &Step<'_>, new: &Step<'_>) -> u32 {
    if words::kind(&old.stage.work) != words::kind(&new.stage.work) {
        return 0;
    }
    let same_source = match (&old.stage.work, &new.stage.work) {
        (Work::Approval(old), Work::Approval(new)) => {
            old.sources.first().map(std::mem::discriminant) == new.sources.first().map(std::mem::discriminant)
        }
        _ => false,
    };
    1 + old.words.alike(&new.words) + if same_source { 200 } else { 0 }
}

/// Pairs what stands between the same neighbours on both sides.
fn pair_between(pairing: &mut Pairing, counts: (usize, usize)) {
    let mut bounds = pairing.kept_in_order();
    bounds.push(counts);
    let mut start = (0, 0);
    let (gone, come) = (pairing.removed(counts.0), pairing.added(counts.1));
    for end in bounds {
        let old = gone.iter().filter(|n| (start.0..end.0).contains(*n));
        let new = come.iter().filter(|m| (start.1..end.1).contains(*m));
        let between: Vec<(usize, usize)> = old.zip(new).map(|(n, m)| (*n, *m)).collect();
        for (n, m) in between {
            pairing.pair(n, m);
        }
        start = (end.0 + 1, end.1 + 1);
    }
}

/// What has become of one step.
fn step(old: &Stage, new: &Stage, stop: &Stop, changes: &mut Vec<Change>) {
    let Stage { name, when, may_fail, work, place } = old;
    let paths = (place.as_str(), new.place.as_str());
    if *name != new.name {
        let message = format!("the step {name} is called {} now", new.name);
        let change = Change::new(Code::StepRenamed, paths, message);
        changes.push(change.with_values(name, &new.name));
    }
    step_when(when.as_ref(), new.when.as_ref(), paths, stop, changes);
    if *may_fail != new.may_fail {
        let message = if new.may_fail {
            "the steps go on when this one fails or says no by itself"
        } else {
            "the steps no longer go on when this one fails or says no by itself"
        };
        let change = Change::new(Code::AllowFailedChanged, paths, message);
        let direction = Direction::of_flag(*may_fail, new.may_fail);
        changes.push(change.towards(direction).with_values(may_fail.to_string(), new.may_fail.to_string()));
    }
    works(work, &new.work, paths, stop, changes);
}

/// A step without `when` takes part in every request.
fn step_when(
    old: Option<&Condition>,
    new: Option<&Condition>,
    paths: (&str, &str),
    stop: &Stop,
    changes: &mut Vec<Change>,
) {
    let below = |path: &str| format!("{path}.when");
    let (from, to) = (below(paths.0), below(paths.1));
    match (old, new) {
        (None, None) => {}
        (Some(old), Some(new)) => {
            let sentence = "the condition under which the step takes part";
            condition::compare(Code::WhenChanged, (&from, &to), sentence, (old, new), stop, changes);
        }
        (None, Some(new)) => {
            let message = "the step takes part only if a condition holds";
            let change = Change::new(Code::WhenChanged, (paths.0, &to), message);
            changes.push(change.towards(Direction::NarrowerOrSame).with_values("", new.text()));
        }
        (Some(old), None) => {
            let message = "the step always takes part, whatever was its condition before";
            let change = Change::new(Code::WhenChanged, (&from, paths.1), message);
            changes.push(change.towards(Direction::WiderOrSame).with_values(old.text(), ""));
        }
    }
}

fn works(old: &Work, new: &Work, paths: (&str, &str), stop: &Stop, changes: &mut Vec<Change>) {
    let mut note = |code, message: &str, from: &str, to: &str| {
        if from != to {
            changes.push(Change::new(code, paths, message).with_values(from, to));
        }
    };
    match (old, new) {
        (Work::Approval(old), Work::Approval(new)) if same_kind(&old.sources, &new.sources) => {
            approval::compare(old, new, paths, changes);
        }
        (
            Work::Automatic { approve_if, rejection_reason },
            Work::Automatic { approve_if: new, rejection_reason: new_reason },
        ) => automatic((approve_if, rejection_reason), (new, new_reason), paths, stop, changes),
        (Work::Wait(old), Work::Wait(new)) => wait(old, new, paths, stop, changes),
        (Work::Provision(old), Work::Provision(new)) => {
            let (from, to) = (words::provision(*old), words::provision(*new));
            note(Code::ProvisionChanged, "access is brought about in another way", from, to);
        }
        (Work::Action(old), Work::Action(new)) => {
            let (from, to) = (words::action(old), words::action(new));
            note(Code::ActionChanged, "something else is started", &from, &to);
        }
        (Work::Accept { message: old }, Work::Accept { message: new })
        | (Work::Reject { message: old }, Work::Reject { message: new }) => {
            note(Code::MessageChanged, "another message is posted", old, new);
        }
        (Work::Form, Work::Form) => {}
        _ => {
            let (from, to) = (words::kind(old), words::kind(new));
            let message = format!("where there was a step of the kind {from}, there is one of the kind {to}");
            note(Code::StepKindChanged, &message, from, to);
        }
    }
}

/// People are asked on both sides, or the same kind of stand-in for them.
fn same_kind(old: &[Source], new: &[Source]) -> bool {
    let stands_in = |sources: &[Source]| match sources.first() {
        Some(Source::Webhook(_)) => 1,
        Some(Source::Agent(_)) => 2,
        _ => 0,
    };
    stands_in(old) == stands_in(new)
}

fn automatic(
    old: (&Condition, &Template),
    new: (&Condition, &Template),
    paths: (&str, &str),
    stop: &Stop,
    changes: &mut Vec<Change>,
) {
    let below = |field: &str| (format!("{}.{field}", paths.0), format!("{}.{field}", paths.1));
    let (from, to) = below("approve_if");
    let sentence = "the condition that approves";
    condition::compare(Code::ApproveIfChanged, (&from, &to), sentence, (old.0, new.0), stop, changes);
    let (was, is) = (words::template(old.1), words::template(new.1));
    if was != is {
        let (from, to) = below("rejection_reason");
        let message = "the requester is told another reason";
        changes.push(Change::new(Code::RejectionReasonChanged, (&from, &to), message).with_values(was, is));
    }
}

fn wait(old: &Wait, new: &Wait, paths: (&str, &str), stop: &Stop, changes: &mut Vec<Change>) {
    let Wait { until, name, comment_on_first_wait, comment_on_timeout } = old;
    match (until, &new.until) {
        (
            Until::Condition { condition: was, timeout },
            Until::Condition { condition: is, timeout: new_timeout },
        ) => {
            let sentence = "the condition that is waited for";
            condition::compare(Code::WaitConditionChanged, paths, sentence, (was, is), stop, changes);
            if timeout != new_timeout {
                let (from, to) = (words::limit(*timeout), words::limit(*new_timeout));
                let message = format!("the step waits {to} instead of {from}");
                changes.push(Change::new(Code::TimeoutChanged, paths, message).with_values(from, to));
            }
        }
        _ => {
            let (from, to) = (words::wait(old), words::wait(new));
            if from != to {
                let message = "the step waits for something else";
                changes.push(Change::new(Code::WaitChanged, paths, message).with_values(from, to));
            }
        }
    }
    if *name != new.name {
        let message = "the step is called otherwise";
        changes.push(Change::new(Code::StepRenamed, paths, message).with_values(name, &new.name));
    }
    let comments =
        [(comment_on_first_wait, &new.comment_on_first_wait), (comment_on_timeout, &new.comment_on_timeout)];
    for (was, is) in comments.into_iter().filter(|(was, is)| was != is) {
        let message = "another comment is posted";
        changes.push(Change::new(Code::MessageChanged, paths, message).with_values(was, is));
    }
}
