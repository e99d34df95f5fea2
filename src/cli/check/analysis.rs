//! `check --analyze`: what a policy in a file does for every request. Policies that it leads to are not looked up.

use std::fs;
use std::sync::Arc;

use super::finding::{Reported, Severity};
use crate::app::INVARIANTS_MAX;
use crate::expr::{Environment, compile};
use crate::workflow::Workflow;
use crate::workflow::analyse::{self, Finding, Invariant, analyse, analyse_appeals};
use crate::workflow::run::{Policies, Policy};

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

/// What is found in one policy.
pub(super) fn of(id: &str, workflow: Workflow, invariants: &[Invariant]) -> Vec<Reported> {
    let policy = Policy { revision: 0, workflow: Arc::new(workflow) };
    let policies = Policies { first: id.to_owned(), by_id: [(id.to_owned(), policy)].into() };
    analyse(&policies, invariants).into_iter().map(Reported::from).collect()
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
