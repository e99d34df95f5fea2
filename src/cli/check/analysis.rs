//! `check --analyze`: what a policy in a file does for every request. Policies that it leads to are found in the file, and not
//! looked up elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::finding::{Reported, Severity};
use crate::app::INVARIANTS_MAX;
use crate::expr::{Environment, compile};
use crate::workflow::Workflow;
use crate::workflow::analyse::{self, Finding, Invariant, analyse, analyse_appeals};
use crate::workflow::run::{Policies, Policy};

/// The most policies of a file that are looked at for one of them, as the service does.
const POLICIES_MAX: usize = 256;
/// The id of a policy that has none.
const INLINE: &str = "inline";
/// The largest file of invariants, in bytes.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    invariant: Vec<Stated>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    name: String,
    expression: String,
}

/// The invariants in a file.
///
/// # Errors
/// A sentence: the file cannot be read, or one of them is none.
pub(super) fn read(name: &str) -> Result<Vec<Invariant>, String> {
    let length = fs::metadata(name).map_err(|error| format!("{name}: {error}"))?.len();
    if length > FILE_MAX_BYTES {
        return Err(format!("{name}: {length} bytes; at most {FILE_MAX_BYTES}"));
    }
    let text = fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    if file.invariant.len() > INVARIANTS_MAX {
        return Err(format!("{name}: {} invariants; at most {INVARIANTS_MAX}", file.invariant.len()));
    }
    let each = file.invariant.into_iter().map(|Stated { name: invariant, expression }| {
        let program = compile(Environment::Invariant, &expression).map_err(|faults| {
            let why = faults.first().map(ToString::to_string).unwrap_or_default();
            format!("{name}: the invariant {invariant}: {why}")
        })?;
        Ok(Invariant { name: invariant, program })
    });
    each.collect()
}

/// The policies of one file that compiled, each with its id, which may be empty.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    all: Vec<(String, Arc<Workflow>)>,
}

impl Compiled {
    pub(super) fn push(&mut self, id: String, workflow: Arc<Workflow>) {
        self.all.push((id, workflow));
    }

    /// What is found in each, in their order.
    pub(super) fn analysed(&self, invariants: &[Invariant]) -> impl Iterator<Item = Vec<Reported>> {
        let mut by_id: BTreeMap<&str, &Arc<Workflow>> = BTreeMap::new();
        for (id, workflow) in self.all.iter().filter(|(id, _)| !id.is_empty()) {
            by_id.entry(id).or_insert(workflow);
        }
        self.all.iter().map(move |(id, workflow)| {
            let policies = with_all_led_to(id, workflow, &by_id);
            analyse(&policies, invariants).into_iter().map(Reported::from).collect()
        })
    }
}

/// A policy, and those of its file that it may lead to.
fn with_all_led_to(id: &str, workflow: &Arc<Workflow>, file: &BTreeMap<&str, &Arc<Workflow>>) -> Policies {
    let snapshot = |workflow: &Arc<Workflow>| Policy { revision: 0, workflow: Arc::clone(workflow) };
    let first = if id.is_empty() { INLINE } else { id };
    let mut policies =
        Policies { first: first.to_owned(), by_id: [(first.to_owned(), snapshot(workflow))].into() };
    let mut open = workflow.leads_to();
    while let Some(id) = open.pop() {
        if policies.by_id.contains_key(&id) || policies.by_id.len() >= POLICIES_MAX {
            continue;
        }
        if let Some(workflow) = file.get(id.as_str()) {
            open.extend(workflow.leads_to());
            policies.by_id.insert(id, snapshot(workflow));
        }
    }
    policies
}

/// What is found in one of Guardian's policies.
pub(super) fn of_appeals(workflow: &Workflow) -> Vec<Reported> {
    analyse_appeals(workflow).into_iter().map(Reported::from).collect()
}

impl From<Finding> for Reported {
    fn from(finding: Finding) -> Self {
        let severity = match finding.code.severity() {
            analyse::Severity::Error => Severity::Violation,
            analyse::Severity::Warning => Severity::Warning,
            analyse::Severity::Info => Severity::Note,
        };
        let Finding { code, path, message, .. } = finding;
        Reported { severity, code: code.as_str(), path, message, span: None }
    }
}
