//! How much of a policy is drawn: all of a usual one. Of a large one, the middles of long sequences and then whole sequences
//! are drawn as one box each, but never what a request came to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Subject;
use crate::pb::countersign::v1::Trace;
use crate::workflow::{Stage, Work};

/// The most steps that are drawn, those of the way of a request left aside.
const STEPS_SHOWN_MAX: usize = 120;
/// The longest sequence that is drawn whole.
const SEQUENCE_SHOWN_MAX: usize = 12;
/// How many steps of a longer one are drawn at each end.
const ENDS_SHOWN: usize = 4;
/// The most policies that are drawn, those of the way of a request left aside.
pub(super) const POLICIES_SHOWN_MAX: usize = 8;

/// Where a request came.
#[derive(Debug, Default)]
pub(super) struct Visited {
    pub(super) policies: BTreeSet<String>,
    sequences: BTreeSet<(String, String)>,
    /// Ids of policies and paths of steps that a reader wants to see: where something else happened than that it was passed.
    notable: BTreeSet<(String, String)>,
}

impl Visited {
    pub(super) fn by(trace: &Trace) -> Visited {
        let mut visited = Visited::default();
        for hop in &trace.route {
            visited.policies.insert(hop.policy_id.clone());
            visited.sequences.insert((hop.policy_id.clone(), hop.step_key.clone()));
        }
        for (n, stage) in trace.stages.iter().enumerate() {
            let last = n + 1 == trace.stages.len();
            let escalated = stage.escalation.as_ref().is_some_and(|one| one.done);
            if last || escalated || !matches!(stage.state.as_str(), "passed" | "approved" | "blocked") {
                visited.notable.insert((stage.policy_id.clone(), stage.path.clone()));
            }
        }
        visited
    }
}

/// A part of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The step at this place.
    One(usize),
    /// Steps that are drawn as one.
    Several(Range<usize>),
}

/// What is drawn of each sequence, by policy and key; one that is not here is drawn as one box.
#[derive(Debug, Default)]
pub(super) struct Plan {
    sequences: BTreeMap<(usize, String), Vec<Part>>,
}

impl Plan {
    pub(super) fn of(subjects: &[&Subject], visited: &Visited) -> Plan {
        let mut plan = Plan::default();
        let mut left = STEPS_SHOWN_MAX;
        for way in [true, false] {
            for (n, subject) in subjects.iter().enumerate() {
                for (key, sequence) in &subject.workflow.sequences {
                    let visited_here = visited.sequences.contains(&(subject.id.clone(), key.clone()));
                    if visited_here != way {
                        continue;
                    }
                    let notable =
                        |stage: &Stage| visited.notable.contains(&(subject.id.clone(), stage.place.clone()));
                    let parts = parts(&sequence.stages, notable);
                    let size: usize = sequence.stages.iter().map(size).sum();
                    let size = size.min(parts.len().max(size.saturating_sub(sequence.stages.len())));
                    if way || size <= left {
                        left = left.saturating_sub(size);
                        plan.sequences.insert((n, key.clone()), parts);
                    }
                }
            }
        }
        plan
    }

    /// What is drawn of a sequence; `None` if it is one box.
    pub(super) fn parts(&self, subject: usize, key: &str) -> Option<&[Part]> {
        self.sequences.get(&(subject, key.to_owned())).map(Vec::as_slice)
    }
}

fn size(stage: &Stage) -> usize {
    match &stage.work {
        Work::Parallel(stages) => 1 + stages.len(),
        _ => 1,
    }
}

fn parts(stages: &[Stage], notable: impl Fn(&Stage) -> bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    for (n, stage) in stages.iter().enumerate() {
        let end = n < ENDS_SHOWN || n + ENDS_SHOWN >= stages.len();
        if end || stages.len() <= SEQUENCE_SHOWN_MAX || notable(stage) {
            parts.extend(open.take().map(|from| Part::Several(from..n)));
            parts.push(Part::One(n));
        } else {
            open.get_or_insert(n);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_a_long_sequence_is_left_out() {
        let stage = |n: usize| Stage {
            name: String::new(),
            when: None,
            may_fail: false,
            work: Work::Form,
            place: format!("{n}"),
        };
        let stages: Vec<Stage> = (0..100).map(stage).collect();
        let shown = parts(&stages, |one| one.place == "50");
        assert_eq!(
            shown[3..8],
            [Part::One(3), Part::Several(4..50), Part::One(50), Part::Several(51..96), Part::One(96)]
        );
        assert!(
            parts(&stages[..SEQUENCE_SHOWN_MAX], |_| false).iter().all(|one| matches!(one, Part::One(_)))
        );
    }
}
