//! The results: a table for people, one JSON object, or JUnit's XML for build servers.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::Outcome;
use super::coverage::{Count, Row};
use super::judge::Difference;
use crate::cli::Failure;
use crate::cli::terminal::printable;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A table, failures as expected and actual.
    Text,
    /// One JSON object.
    Json,
    /// JUnit's XML; it has no place for coverage.
    Junit,
}

/// Prints all of it.
pub(super) fn all(format: Format, outcomes: &[Outcome], coverage: &[Row]) -> Result<(), Failure> {
    let text = match format {
        Format::Text => text(outcomes, coverage),
        Format::Json => json!({"cases": outcomes, "coverage": coverage}).to_string() + "\n",
        Format::Junit => junit(outcomes)?,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}

fn text(outcomes: &[Outcome], coverage: &[Row]) -> String {
    let mut page = String::new();
    let mut line = |line: String| {
        // Writing to a string does not fail.
        let _ = writeln!(page, "{}", printable(&line));
    };
    let mut file = "";
    for outcome in outcomes {
        if outcome.file != file {
            file = &outcome.file;
            line(file.to_owned());
        }
        line(format!("  {:4}  {}", if outcome.passed { "ok" } else { "FAIL" }, outcome.name));
        let wide = |of: fn(&Difference) -> &str| {
            outcome.differences.iter().map(|one| of(one).chars().count()).max().unwrap_or(0)
        };
        let (what, expected) = (wide(|one| &one.what), wide(|one| &one.expected));
        for one in &outcome.differences {
            let (is, wanted) = (&one.actual, &one.expected);
            line(format!("          {:what$}  expected {wanted:expected$}  actual {is}", one.what));
        }
    }
    if !coverage.is_empty() {
        line("coverage".to_owned());
    }
    for row in coverage {
        let id = if row.policy_id.is_empty() { String::new() } else { format!(", policy {}", row.policy_id) };
        let parts = [("rules", row.rules), ("sequences", row.sequences), ("stages", row.stages)];
        let parts = parts.iter().filter(|(_, count)| count.all > 0);
        let parts: Vec<String> =
            parts.map(|(name, Count { covered, all })| format!("{name} {covered} of {all}")).collect();
        line(format!("  {}{id}: {}", row.file, parts.join(", ")));
        if !row.missing.is_empty() {
            line(format!("          not covered: {}", row.missing.join(", ")));
        }
    }
    let failed = outcomes.iter().filter(|one| !one.passed).count();
    line(format!("{} passed, {failed} failed", outcomes.len() - failed));
    page
}

fn junit(outcomes: &[Outcome]) -> Result<String, Failure> {
    let mut report = Report::new("countersign");
    for file in outcomes.chunk_by(|one, next| one.file == next.file) {
        let name = file.first().map_or("", |one| &one.file);
        let mut suite = TestSuite::new(name);
        for outcome in file {
            let status = if outcome.passed {
                TestCaseStatus::success()
            } else {
                let all = outcome.differences.iter();
                let all: Vec<String> = all
                    .map(|one| format!("{}: expected {}, actual {}", one.what, one.expected, one.actual))
                    .collect();
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type("unexpected").set_message(all.join("; ")).set_description(all.join("\n"));
                status
            };
            let mut case = TestCase::new(outcome.name.as_str(), status);
            case.set_classname(name);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(Failure::failed)
}
