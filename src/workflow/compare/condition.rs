//! What one condition is to another, where it is not about rules.

use super::change::{Change, Code, Direction};
use crate::workflow::Condition;
use crate::workflow::analyse::{Conditions, Exists, Relation, Stop, constant};

/// Of a condition that is met by the same requests, but need not fail for the same.
const MAY_FAIL: &str = "is met by the same requests; whether it fails for the same cannot be told";

/// What is to be said if a condition has changed: `sentence` says which, and the relation says how.
pub(super) fn compare(
    code: Code,
    paths: (&str, &str),
    sentence: &str,
    (before, after): (&Condition, &Condition),
    stop: &Stop,
    changes: &mut Vec<Change>,
) {
    if before.text() == after.text() {
        return;
    }
    let (relation, alike) = relate(before, after, stop);
    let (direction, told) = match Direction::of(&relation) {
        Direction::Same if !alike => (Direction::Unknown, MAY_FAIL),
        direction => (direction, told(direction)),
    };
    let message = format!("{sentence} {told}");
    let change =
        Change::new(code, paths, message).towards(direction).with_values(before.text(), after.text());
    changes.push(change.shown_by(relation));
}

/// How the second relates to the first; and whether they also fail for the same requests, where that is not to be unmet: an appeal
/// ends when a condition of its policy fails.
fn relate(before: &Condition, after: &Condition, stop: &Stop) -> (Relation, bool) {
    let mut both = Conditions::of(vec![before, after], stop);
    let decided = both.relate(0, 1);
    let is_guardian = matches!(after, Condition::Guardian(_));
    let alike = !is_guardian || both.fail_alike(0, 1);
    // One of Guardian's may be the same for every appeal although its parts are not understood.
    let known = |one: Exists, yes: Option<bool>, no: Option<bool>| match (yes, no) {
        (Some(false), _) | (_, Some(true)) => Exists::Never,
        _ => one,
    };
    let (before, after) = (constant(before), constant(after));
    let alike = alike || before.is_some() && before == after;
    let gained = known(decided.gained, after, before);
    (Relation { gained, lost: known(decided.lost, before, after) }, alike)
}

/// The relation of a condition to what it was, as the rest of a sentence.
pub(super) fn told(direction: Direction) -> &'static str {
    match direction {
        Direction::Same => "is written otherwise; the same requests meet it",
        Direction::Wider => "is met by all requests that met it, and by more",
        Direction::Narrower => "is met by fewer requests, and by none that did not meet it",
        Direction::Different => {
            "is met by other requests: some that did not meet it, and no longer by some that did"
        }
        Direction::WiderOrSame => "is met by all requests that met it; whether by more cannot be told",
        Direction::NarrowerOrSame => {
            "is met by no request that did not meet it; whether by fewer cannot be told"
        }
        Direction::Unknown => "has changed; by which requests it is met now cannot be told",
    }
}
