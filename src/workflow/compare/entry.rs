//! What has become of the rest: what is done afterwards; and of Guardian's policies what an appeal may and must say, what is found out
//! about it, and what else happens once it was approved.

use serde::Serialize;

use super::align::Pairing;
use super::change::{Change, Code, Direction};
use crate::workflow::{Entry, LabelRule, Lifetime, Requirement, Workflow};

/// Notes what is different.
pub(super) fn compare(before: &Workflow, after: &Workflow, changes: &mut Vec<Change>) {
    let message = "something else is done once the task has ended";
    differ(
        Code::PostActionsChanged,
        "postActions",
        message,
        (&before.afterwards, &after.afterwards),
        changes,
    );
    let (none, other) = (Entry::default(), Entry::default());
    entry(before.entry.as_deref().unwrap_or(&none), after.entry.as_deref().unwrap_or(&other), changes);
    requirements(&before.requirements, &after.requirements, changes);
}

/// Notes a difference of two values, as they are written.
fn differ<T: Serialize>(code: Code, path: &str, message: &str, values: (&T, &T), changes: &mut Vec<Change>) {
    let (was, is) = (written(values.0), written(values.1));
    if was != is {
        changes.push(Change::new(code, (path, path), message).with_values(was, is));
    }
}

/// As JSON; nothing for what is not there.
fn written<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value).unwrap_or_default() {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(items) if items.is_empty() => String::new(),
        serde_json::Value::Object(fields) if fields.is_empty() => String::new(),
        other => other.to_string(),
    }
}

/// Without their places.
fn labels(rules: &[LabelRule]) -> Vec<LabelRule> {
    rules.iter().map(|rule| LabelRule { place: String::new(), ..rule.clone() }).collect()
}

fn entry(old: &Entry, new: &Entry, changes: &mut Vec<Change>) {
    let Entry { lifetime, questions, creator, metadata, more_steps, labels, user_labels } = old;
    let (none, other) = (Lifetime::default(), Lifetime::default());
    lifetimes(lifetime.as_ref().unwrap_or(&none), new.lifetime.as_ref().unwrap_or(&other), changes);
    let message = "other questions are asked";
    differ(Code::QuestionsChanged, "appeal.questions", message, (questions, &new.questions), changes);
    let message = "something else is found out about who asks";
    differ(Code::CreatorChanged, "iam", message, (creator, &new.creator), changes);
    let message = "something else is found out about the request";
    differ(Code::MetadataChanged, "appeal.metadata_sources", message, (metadata, &new.metadata), changes);
    if *more_steps != new.more_steps {
        let message = if new.more_steps {
            "more steps come from elsewhere"
        } else {
            "no more steps come from elsewhere"
        };
        let change = Change::new(Code::CustomStepsChanged, ("custom_steps", "custom_steps"), message);
        changes.push(change.with_values(more_steps.to_string(), new.more_steps.to_string()));
    }
    let message = "requests get other labels";
    let values = (self::labels(labels), self::labels(&new.labels));
    differ(Code::LabelsChanged, "appeal.labeling_rules", message, (&values.0, &values.1), changes);
    let message = "requests may bring other labels with them";
    let values = (user_labels, &new.user_labels);
    differ(Code::UserLabelsChanged, "appeal.user_label_config", message, values, changes);
}

fn lifetimes(old: &Lifetime, new: &Lifetime, changes: &mut Vec<Change>) {
    let Lifetime { options, allow_permanent, allow_on_behalf, extension_within } = old;
    let message = "access may be asked for other lengths of time";
    let path = "appeal.duration_options";
    let before = changes.len();
    differ(Code::DurationsChanged, path, message, (options, &new.options), changes);
    for change in changes.iter_mut().skip(before) {
        change.direction = Some(match (options.is_empty(), new.options.is_empty()) {
            // Without options any length may be asked for.
            (true, _) => Direction::Narrower,
            (_, true) => Direction::Wider,
            _ => {
                let values = |all: &[crate::workflow::DurationOption]| {
                    all.iter().map(|option| option.value.clone()).collect::<Vec<_>>()
                };
                Direction::of_set(&values(options), &values(&new.options))
            }
        });
    }
    let flags = [
        (
            Code::PermanentAccessChanged,
            "appeal.allow_permanent_access",
            *allow_permanent,
            new.allow_permanent,
        ),
        (Code::OnBehalfChanged, "appeal.allow_on_behalf", *allow_on_behalf, new.allow_on_behalf),
    ];
    for (code, path, was, is) in flags.into_iter().filter(|(_, _, was, is)| was != is) {
        let message = match (code, is) {
            (Code::PermanentAccessChanged, true) => "access may be asked for without an end",
            (Code::PermanentAccessChanged, false) => "access may no longer be asked for without an end",
            (_, true) => "somebody may ask for another user",
            (_, false) => "nobody may ask for another user any more",
        };
        let change = Change::new(code, (path, path), message).towards(Direction::of_flag(was, is));
        changes.push(change.with_values(was.to_string(), is.to_string()));
    }
    let message = "access may be asked for again at another time before its end";
    let path = "appeal.allow_active_access_extension_in";
    differ(Code::ExtensionChanged, path, message, (extension_within, &new.extension_within), changes);
}

/// Without its place.
fn requirement(one: &Requirement) -> String {
    written(&Requirement { place: String::new(), ..one.clone() })
}

/// A requirement has become the one that is equal to it, and of those that are left the one at the same place among them.
fn requirements(old: &[Requirement], new: &[Requirement], changes: &mut Vec<Change>) {
    let mut pairing = Pairing::default();
    let contents = |all: &[Requirement]| all.iter().map(|one| Some(requirement(one))).collect::<Vec<_>>();
    let (was, is) = (contents(old), contents(new));
    pairing.pair_by_key(&was, &is);
    pairing.pair_in_order((old.len(), new.len()), |_, _| 1);
    let text = |all: &[Option<String>], n: usize| all.get(n).cloned().flatten().unwrap_or_default();
    for (n, one) in old.iter().enumerate() {
        let Some((m, other)) = pairing.after_of(n).and_then(|m| Some((m, new.get(m)?))) else {
            let message = "what else happens once a request was approved is no more";
            let change = Change::new(Code::RequirementRemoved, (&one.place, ""), message);
            changes.push(change.with_values(text(&was, n), ""));
            continue;
        };
        if text(&was, n) != text(&is, m) {
            let message = "something else happens once a request was approved, or in other cases";
            let change = Change::new(Code::RequirementChanged, (&one.place, &other.place), message);
            changes.push(change.with_values(text(&was, n), text(&is, m)));
        }
    }
    for m in pairing.added(new.len()) {
        let Some(one) = new.get(m) else { continue };
        let message = "something else happens, too, once a request was approved";
        let change = Change::new(Code::RequirementAdded, ("", &one.place), message);
        changes.push(change.with_values("", text(&is, m)));
    }
}
