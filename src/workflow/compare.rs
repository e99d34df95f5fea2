//! What is different between two workflows of one dialect, in meaning and not as text.
//!
//! In reading order: `change` is what is said; `align` finds what belongs together in two lists; `sequences` which sequence has
//! become which, `rules` what has become of the rules, `steps` and `approval` of what is in a sequence, `entry` of the rest.
//! `fate` says what becomes of one request, to be held against what becomes of it on the other side.
//!
//! Pure: no clock, no randomness, no I/O. What is claimed of conditions was decided by `analyse`; nothing is guessed here.

mod align;
mod approval;
mod change;
mod condition;
mod entry;
mod fate;
mod rules;
mod sequences;
mod steps;
mod words;

pub use change::{Change, Code, Direction};
pub use fate::{Asked, Effect, Fate, FateKind, Hop, appeal_fate, effects, task_fate};
pub use sequences::Renamed;

use super::Workflow;
use super::analyse::Stop;
use sequences::Matched;

/// Everything that is different, rules first; and which sequence has become which.
#[must_use]
pub fn compare(before: &Workflow, after: &Workflow) -> (Vec<Change>, Renamed) {
    compare_until(before, after, &Stop::default())
}

/// As [`compare`], for as long as somebody wants to know: once they do not, it ends soon and says nothing.
#[must_use]
pub fn compare_until(before: &Workflow, after: &Workflow, stop: &Stop) -> (Vec<Change>, Renamed) {
    let mut changes = Vec::new();
    let matched = Matched::of(before, after);
    rules::compare(before, after, &matched, stop, &mut changes);
    sequences::compare(before, after, &matched, stop, &mut changes);
    entry::compare(before, after, &mut changes);
    // Of what was not decided any more it would say that it cannot be told.
    if stop.is_set() { (Vec::new(), Renamed::default()) } else { (changes, matched.renamed()) }
}
