//! Which sequence has become which, and what has become of each.
//!
//! A sequence has become the one of the same key. Of those that are left, one has become that which is equal to it but for its key;
//! and then that to which the same conditions lead, if they lead to no other.

use std::collections::BTreeMap;

use super::change::{Change, Code};
use super::steps;
use crate::workflow::analyse::{Stop, sequence_path};
use crate::workflow::{Destination, Sequence, Workflow};

/// Under which keys sequences go on, for those that have changed it.
#[derive(Clone, Debug, Default)]
pub struct Renamed(BTreeMap<String, String>);

impl Renamed {
    /// The key under which a sequence goes on.
    #[must_use]
    pub fn now<'k>(&'k self, key: &'k str) -> &'k str {
        self.0.get(key).map_or(key, String::as_str)
    }
}

/// Where a request was led, in terms of what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Led<'w> {
    To(&'w Destination),
    /// To the sequence of this key now.
    Renamed(&'w str),
    /// To a sequence that is no more. Whatever has its key now is another.
    Gone(&'w str),
}

/// Which sequence has become which.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// By the key as it was.
    to: BTreeMap<String, String>,
}

impl Led<'_> {
    /// Whether that is this destination of the second workflow.
    pub fn is(&self, other: &Destination) -> bool {
        match (self, other) {
            (Led::To(to), other) => *to == other,
            (Led::Renamed(key), Destination::Sequence(other)) => key == other,
            _ => false,
        }
    }
}

impl Matched {
    pub fn of(before: &Workflow, after: &Workflow) -> Matched {
        let mut matched = Matched::default();
        for key in before.sequences.keys().filter(|key| after.sequences.contains_key(*key)) {
            matched.to.insert(key.clone(), key.clone());
        }
        matched.equal(before, after);
        matched.led_to_alike(before, after);
        matched
    }

    pub fn renamed(&self) -> Renamed {
        let renamed = self.to.iter().filter(|(before, after)| before != after);
        Renamed(renamed.map(|(before, after)| (before.clone(), after.clone())).collect())
    }

    /// Where a destination of the first workflow is now.
    pub fn now<'w>(&'w self, to: &'w Destination) -> Led<'w> {
        let Destination::Sequence(key) = to else { return Led::To(to) };
        match self.to.get(key) {
            Some(now) if now == key => Led::To(to),
            Some(now) => Led::Renamed(now),
            None => Led::Gone(key),
        }
    }

    fn left<'w>(&self, before: &'w Workflow, after: &'w Workflow) -> (Vec<&'w String>, Vec<&'w String>) {
        let gone = before.sequences.keys().filter(|key| !self.to.contains_key(*key));
        let come = after.sequences.keys().filter(|key| !self.to.values().any(|taken| taken == *key));
        (gone.collect(), come.collect())
    }

    fn equal(&mut self, before: &Workflow, after: &Workflow) {
        let (gone, come) = self.left(before, after);
        let mut come: Vec<(&String, String)> =
            come.into_iter().filter_map(|key| Some((key, content(after.sequences.get(key)?)))).collect();
        for key in gone {
            let Some(own) = before.sequences.get(key).map(content) else { continue };
            if let Some(n) = come.iter().position(|(_, other)| *other == own) {
                let (now, _) = come.remove(n);
                self.to.insert(key.clone(), now.clone());
            }
        }
    }

    fn led_to_alike(&mut self, before: &Workflow, after: &Workflow) {
        let (gone, come) = self.left(before, after);
        let mut alike: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
        let mut taken: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
        for (old, new) in same_conditions(before, after) {
            let (Destination::Sequence(old), Destination::Sequence(new)) = (old, new) else { continue };
            if gone.contains(&old) && come.contains(&new) {
                alike.entry(old).or_default().push(new);
                taken.entry(new).or_default().push(old);
            }
        }
        for (old, new) in alike {
            let only = |all: &[&String]| all.windows(2).all(|two| matches!(two, [a, b] if a == b));
            if let Some(first) =
                new.first().filter(|first| only(&new) && taken.get(**first).is_some_and(|all| only(all)))
            {
                self.to.insert(old.clone(), (*first).clone());
            }
        }
    }
}

/// Where the same conditions led and lead, and where everything else did and does.
fn same_conditions<'w>(before: &'w Workflow, after: &'w Workflow) -> Vec<(&'w Destination, &'w Destination)> {
    let mut found = vec![(&before.baseline, &after.baseline)];
    for old in &before.routes {
        let same = after.routes.iter().filter(|new| new.condition.text() == old.condition.text());
        found.extend(same.map(|new| (&old.to, &new.to)));
    }
    found
}

/// All that is in a sequence, but for the places.
fn content(sequence: &Sequence) -> String {
    let stages: Vec<String> = sequence.stages.iter().map(steps::content).collect();
    stages.join("\n")
}

/// What has become of each sequence.
pub(super) fn compare(
    before: &Workflow,
    after: &Workflow,
    matched: &Matched,
    stop: &Stop,
    changes: &mut Vec<Change>,
) {
    for (key, old) in &before.sequences {
        let path = sequence_path(before, key);
        let now = matched.to.get(key);
        let Some((now, new)) = now.and_then(|now| Some((now, after.sequences.get(now)?))) else {
            let message = format!("the steps {key} are no more");
            let change = Change::new(Code::SequenceRemoved, (&path, ""), message);
            changes.push(change.with_values(steps::listed(&old.stages), ""));
            continue;
        };
        if key != now {
            let message = format!("the steps {key} are called {now} now");
            let change = Change::new(Code::SequenceRenamed, (&path, &sequence_path(after, now)), message);
            changes.push(change.towards(super::Direction::Same).with_values(key, now));
        }
        steps::compare(&old.stages, &new.stages, stop, changes);
    }
    let (_, come) = matched.left(before, after);
    for key in come {
        let Some(new) = after.sequences.get(key) else { continue };
        let message = format!("the steps {key} are new");
        let change = Change::new(Code::SequenceAdded, ("", &sequence_path(after, key)), message);
        changes.push(change.with_values("", steps::listed(&new.stages)));
    }
}
