//! What of the policies the cases have come to: rules that decided, steps that were begun, and stages of them that were entered.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::simulator::INLINE;
use crate::pb::countersign::v1::{PolicySource, Trace, policy_source::Policy};

/// Parts of policies, by their names for people. In the order of their names.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// By the file of the policy and its id.
    policies: BTreeMap<(String, String), Parts>,
}

/// The parts of one policy, each with whether some case came to it.
#[derive(Debug, Default)]
struct Parts {
    rules: BTreeMap<Part, bool>,
    sequences: BTreeMap<Part, bool>,
    stages: BTreeMap<Part, bool>,
}

/// A key and a place: rules have no key, sequences no place.
type Part = (String, usize);

/// One row of the table.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) file: String,
    pub(super) policy_id: String,
    pub(super) rules: Count,
    pub(super) sequences: Count,
    pub(super) stages: Count,
    /// Names of what no case came to.
    pub(super) missing: Vec<String>,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Count {
    pub(super) covered: usize,
    pub(super) all: usize,
}

impl Coverage {
    /// Takes in every part of the policies of a file.
    pub(super) fn add(&mut self, file: &str, source: &PolicySource) {
        let first = match &source.policy {
            Some(Policy::Inline(policy)) => Some(policy),
            Some(Policy::GuardianInline(policy)) => {
                let parts = self.parts(file, "");
                for n in 0..policy.steps.len() {
                    parts.stages.entry((String::new(), n)).or_insert(false);
                }
                None
            }
            _ => None,
        };
        for policy in first.into_iter().chain(&source.others) {
            let id = if policy.id.is_empty() { INLINE } else { &policy.id };
            let parts = self.parts(file, id);
            for n in 0..policy.rules.len() {
                parts.rules.entry((String::new(), n)).or_insert(false);
            }
            for (key, steps) in &policy.policy_steps {
                parts.sequences.entry((key.clone(), 0)).or_insert(false);
                for n in 0..steps.steps.len() {
                    parts.stages.entry((key.clone(), n)).or_insert(false);
                }
            }
        }
    }

    fn parts(&mut self, file: &str, id: &str) -> &mut Parts {
        self.policies.entry((file.to_owned(), id.to_owned())).or_default()
    }

    /// Marks what a case came to.
    pub(super) fn mark(&mut self, file: &str, trace: &Trace) {
        for hop in &trace.route {
            let parts = self.parts(file, &hop.policy_id);
            let rule = usize::try_from(hop.rule_index).unwrap_or(usize::MAX);
            if hop.by_rule
                && let Some(covered) = parts.rules.get_mut(&(String::new(), rule))
            {
                *covered = true;
            }
            if let Some(covered) = parts.sequences.get_mut(&(hop.step_key.clone(), 0)) {
                *covered = true;
            }
        }
        let appeal = trace.appeal.is_some();
        for stage in &trace.stages {
            // Guardian's approvals are there before anybody comes to them.
            if appeal && matches!(stage.state.as_str(), "blocked" | "skipped") {
                continue;
            }
            let (id, part) = if appeal {
                let Some(n) = guardian_step(&stage.path) else { continue };
                ("", (String::new(), n))
            } else {
                let index = usize::try_from(stage.index).unwrap_or(usize::MAX);
                (stage.policy_id.as_str(), (stage.step_key.clone(), index))
            };
            if let Some(covered) = self.parts(file, id).stages.get_mut(&part) {
                *covered = true;
            }
        }
    }

    /// One row for each policy.
    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = self.policies.iter().map(|((file, id), parts)| {
            let mut missing = Vec::new();
            missing.extend(uncovered(&parts.rules).map(|(_, n)| format!("rules[{n}]")));
            missing.extend(uncovered(&parts.sequences).map(|(key, _)| format!("steps {key}")));
            // The stages of steps that are missing as a whole go without saying.
            let reached = |key: &str| !matches!(parts.sequences.get(&(key.to_owned(), 0)), Some(false));
            let stages = uncovered(&parts.stages).filter(|(key, _)| reached(key));
            missing.extend(stages.map(|(key, n)| match key.is_empty() {
                true => format!("steps[{n}]"),
                false => format!("stage {} of steps {key}", n + 1),
            }));
            let (file, policy_id) = (file.clone(), id.clone());
            let [rules, sequences, stages] = [&parts.rules, &parts.sequences, &parts.stages].map(count);
            Row { file, policy_id, rules, sequences, stages, missing }
        });
        rows.collect()
    }
}

/// The place of a step in a policy of Guardian's, from its field path.
fn guardian_step(path: &str) -> Option<usize> {
    path.strip_prefix("steps[")?.strip_suffix(']')?.parse().ok()
}

fn uncovered(parts: &BTreeMap<Part, bool>) -> impl Iterator<Item = &Part> {
    parts.iter().filter(|(_, covered)| !**covered).map(|(part, _)| part)
}

fn count(parts: &BTreeMap<Part, bool>) -> Count {
    let missing: BTreeSet<&Part> = uncovered(parts).collect();
    Count { covered: parts.len() - missing.len(), all: parts.len() }
}
