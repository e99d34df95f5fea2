//! `countersign test`: runs the tests that are kept beside policies, on files without a server or on what one has stored, and says
//! what of the policies they cover.

mod coverage;
mod find;
mod judge;
mod print;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use super::check::{self, Origin, Severity};
use super::simulator::{Found, INLINE, Refused, Settings, Simulator, Stored};
use super::terminal::printable;
use super::{FAILED, Failure};
use crate::pb::countersign::v1::policy_source::Policy;
use crate::pb::countersign::v1::{Directory, Expectation, PolicyTestCase, PolicyTests, SimulateRequest};
use crate::policy::Violation;
use coverage::Coverage;
use judge::Difference;

/// When cases begin that do not say: 2026-01-01T00:00:00Z.
const BEGIN_SECONDS: i64 = 1_767_225_600;
/// The most cases of one file.
const CASES_MAX: usize = 1000;

/// The arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tests are files whose names end in .test.yaml, .test.yml or .test.json; docs/test.md says what is in them.\n\n\
                        Exit codes: 0 every case passed, 1 a case failed or a file has violations, 2 wrong usage, or a \
                        directory or file that cannot be read."
)]
pub(super) struct Args {
    /// The directory with the tests, or one file of them.
    #[arg(value_name = "DIR")]
    start: PathBuf,
    /// How results are printed.
    #[arg(long, value_enum, default_value = "text")]
    format: print::Format,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    stored: Stored,
}

/// What became of one case.
#[derive(Debug, serde::Serialize)]
struct Outcome {
    file: String,
    name: String,
    passed: bool,
    differences: Vec<Difference>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let files = find::files(&args.start).map_err(|sentence| Failure::usage(printable(&sentence)))?;
    let simulator = Simulator::open(args.settings, args.stored, env)?;
    let mut run =
        Run { simulator, settings: args.settings, outcomes: Vec::new(), coverage: Coverage::default() };
    let mut broken = None;
    for file in &files {
        // What is wrong with one file is said, and the others are still run.
        if let Err(failure) = run.file(file) {
            let code = failure.code;
            let _ = failure.report();
            broken = broken.max(Some(code));
        }
    }
    print::all(args.format, &run.outcomes, &run.coverage.rows())?;
    match broken {
        Some(code) => Err(Failure::said(code)),
        None if run.outcomes.iter().any(|one| !one.passed) => Err(Failure::said(FAILED)),
        None => Ok(()),
    }
}

/// One invocation.
struct Run {
    simulator: Simulator,
    settings: Settings,
    outcomes: Vec<Outcome>,
    coverage: Coverage,
}

impl Run {
    /// Runs the cases of one file.
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let (origin, tests) = check::message::<PolicyTests>(&name)?;
        let violations = faults(&tests, self.simulator.is_remote());
        if !violations.is_empty() {
            origin.tell(violations)?;
            return Err(Failure::said(FAILED));
        }
        let beside = |file: &str| path.parent().unwrap_or(Path::new("")).join(file).display().to_string();
        let (directory_file, directory) = match &tests.directory {
            None if tests.directory_file.is_empty() => (None, Directory::default()),
            None => {
                let (file, directory) = check::message::<Directory>(&beside(&tests.directory_file))?;
                (Some(file), directory)
            }
            Some(directory) => (None, directory.clone()),
        };
        let (policy_name, policy) = self.policy(&origin, &tests, beside)?;
        self.coverage.add(&policy_name, &policy.documents);
        let file = File { name, origin, directory_file, directory, policy, policy_name };
        let mut sound = true;
        for (n, case) in tests.cases.iter().enumerate() {
            sound &= self.case(&file, n, case, case.at.or(tests.at))?;
        }
        if sound { Ok(()) } else { Err(Failure::said(FAILED)) }
    }

    /// The policy that is tested, and what it is called in the table: that of the file, or with a service the stored one.
    fn policy(
        &mut self,
        origin: &Origin,
        tests: &PolicyTests,
        beside: impl Fn(&str) -> String,
    ) -> Result<(String, Found), Failure> {
        // Whoever wants to see warnings checks the policy.
        let shown = Severity::Violation;
        if !self.simulator.is_remote() {
            let file = beside(&tests.policy);
            let found = self.simulator.policy(&file, None, shown)?;
            return Ok((file, found));
        }
        let id = match tests.policy_id.is_empty() {
            false => tests.policy_id.clone(),
            true => match self.settings.policy(&beside(&tests.policy), shown)?.policy {
                Some(Policy::Inline(policy)) => policy.id,
                Some(Policy::GuardianInline(policy)) => policy.id,
                _ => String::new(),
            },
        };
        if id.is_empty() {
            let message = "the policy of the file has no id; say which stored policy is tested";
            origin.tell(vec![violation("policyId".into(), "POLICY_ID_REQUIRED", message)])?;
            return Err(Failure::said(FAILED));
        }
        let found = self.simulator.policy(&id, None, shown)?;
        Ok((format!("policy {id}"), found))
    }

    /// Runs one case; false if it has violations, which are printed.
    fn case(
        &mut self,
        file: &File,
        n: usize,
        case: &PolicyTestCase,
        at: Option<Timestamp>,
    ) -> Result<bool, Failure> {
        let at = at.unwrap_or(Timestamp { seconds: BEGIN_SECONDS, nanos: 0 });
        let answer = self.simulator.simulate(SimulateRequest {
            policy: Some(file.policy.source.clone()),
            request: Some(case.request.clone().unwrap_or_default()),
            directory: Some(file.directory.clone()),
            at: Some(at),
            happenings: case.happenings.clone(),
            wait_for_outside: case.wait_for_outside,
            dry_run: case.dry_run,
        });
        let trace = match answer {
            Ok(answer) => answer.trace.unwrap_or_default(),
            Err(Refused::Invalid(violations)) => {
                file.tell(n, violations.into_iter())?;
                return Ok(false);
            }
            Err(Refused::Failed(sentence)) => return Err(Failure::failed(sentence)),
        };
        let began: DateTime<Utc> =
            DateTime::from_timestamp(at.seconds, u32::try_from(at.nanos).unwrap_or(0)).unwrap_or_default();
        let expect = file.expected(case);
        let differences = judge::differences(&expect, &trace, began);
        self.coverage.mark(&file.policy_name, &trace);
        let (file, name, passed) = (file.name.clone(), case.name.clone(), differences.is_empty());
        self.outcomes.push(Outcome { file, name, passed, differences });
        Ok(true)
    }
}

/// A file of tests with all that it names.
struct File {
    name: String,
    origin: Origin,
    directory_file: Option<Origin>,
    directory: Directory,
    policy: Found,
    policy_name: String,
}

impl File {
    /// What a case expects. A policy without an id is called inline, which a stored one is not.
    fn expected(&self, case: &PolicyTestCase) -> Expectation {
        let mut expect = case.expect.clone().unwrap_or_default();
        if let Some(Policy::Id(id)) = &self.policy.source.policy {
            expect
                .route
                .iter_mut()
                .filter(|hop| hop.policy_id == INLINE)
                .for_each(|hop| hop.policy_id.clone_from(id));
        }
        expect
    }

    /// Prints what the simulation says about a case, at its places in the files.
    fn tell(&self, n: usize, violations: impl Iterator<Item = Violation>) -> Result<(), Failure> {
        let is_directory = |one: &Violation| one.path == "directory" || one.path.starts_with("directory.");
        let (directory, own): (Vec<_>, Vec<_>) = violations.partition(is_directory);
        match &self.directory_file {
            Some(file) => {
                let below = |one: Violation| {
                    let path = one.path.strip_prefix("directory.").unwrap_or_default().to_owned();
                    Violation { path, ..one }
                };
                file.tell(directory.into_iter().map(below).collect())?;
            }
            None => self.origin.tell(directory)?,
        }
        let own = own.into_iter().map(|one| Violation { path: format!("cases[{n}].{}", one.path), ..one });
        self.origin.tell(own.collect())
    }
}

/// What is wrong with a file of tests before anything is run.
fn faults(tests: &PolicyTests, remote: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut refuse =
        |path: String, code: &'static str, message: &str| found.push(violation(path, code, message));
    if tests.policy.is_empty() && (!remote || tests.policy_id.is_empty()) {
        refuse("policy".into(), "POLICY_REQUIRED", "say in which file the policy is");
    }
    if tests.directory.is_some() && !tests.directory_file.is_empty() {
        refuse("directoryFile".into(), "DIRECTORY_TWICE", "there is a directory in this file as well");
    }
    if tests.cases.is_empty() || tests.cases.len() > CASES_MAX {
        refuse("cases".into(), "CASES_COUNT", &format!("a file has 1 to {CASES_MAX} cases"));
    }
    let mut names = BTreeSet::new();
    for (n, case) in tests.cases.iter().enumerate() {
        if case.name.is_empty() {
            refuse(format!("cases[{n}].name"), "NAME_REQUIRED", "a case has a name");
        } else if !names.insert(&case.name) {
            refuse(format!("cases[{n}].name"), "NAME_TWICE", "another case has the same name");
        }
        if case.expect.as_ref().is_none_or(judge::is_empty) {
            refuse(
                format!("cases[{n}].expect"),
                "EXPECTATION_REQUIRED",
                "a case that expects nothing cannot fail",
            );
        }
    }
    found
}

fn violation(path: String, code: &'static str, message: &str) -> Violation {
    Violation { path, span: None, code, message: message.to_owned() }
}
