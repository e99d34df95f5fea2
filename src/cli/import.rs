//! `countersign import`: creates and updates policies from files. Whatever can be wrong with a file is found before anything
//! is written; what is equal to what the service has is left alone.

mod c1;
mod guardian;
mod order;

pub(super) use c1::list as list_c1;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};

use tonic::Response;

use super::Failure;
use super::check::{Accepted, Dialects, Document, Severity, documents};
use super::per_dialect::PerDialect;
use super::remote;
use super::terminal::printable;
use crate::policy::guardian::Surroundings;
use crate::workflow::Nobody;

/// The arguments of `import`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    dialect: PerDialect<Files>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything is as in the files, 1 a file has violations or the service refused one of \
                        its policies, 2 wrong usage, a file that cannot be read, or a server that cannot be asked."
)]
struct Files {
    /// One policy, a list of them, several documents, or an answer of the API; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: remote::Args,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let (name, files) = args.dialect.split();
    let dialects = Dialects::new(Some(name), Nobody::default(), Surroundings::default(), true);
    let dialects = dialects.map_err(Failure::usage)?;
    let mut all = Vec::new();
    for file in &files.files {
        all.extend(documents(file, &dialects, Severity::Warning)?);
    }
    let (mut c1, mut guardian) = (Vec::new(), Vec::new());
    for Accepted { document, warned } in all {
        match document {
            Document::C1(policy) => c1.push(Given { policy: *policy, warned }),
            Document::Guardian(policy) => guardian.push(Given { policy: *policy, warned }),
        }
    }
    let remote = files.remote.connect(env)?;
    let mut done = Done { dry_run: files.dry_run, ..Done::default() };
    let outcome =
        guardian::import(&remote, &guardian, &mut done).and_then(|()| c1::import(&remote, &c1, &mut done));
    eprintln!("countersign: {done}");
    outcome
}

/// A policy of a file.
struct Given<P> {
    policy: P,
    /// What was said about it when the file was checked, as the metadata of an answer of the service say it.
    warned: Vec<String>,
}

impl<P> Given<P> {
    /// Tells what the service warns of in its answer about the policy of that name, but for what has been said.
    fn tell_warnings<T>(&self, name: &str, answer: &Response<T>) {
        let lines = answer.metadata().get_all("countersign-warning").into_iter();
        for line in lines.filter_map(|line| line.to_str().ok()).filter(|line| !self.has_been_told(line)) {
            eprintln!("countersign: policy {}: warning: {}", printable(name), printable(line));
        }
    }

    fn has_been_told(&self, line: &str) -> bool {
        self.warned.iter().any(|told| told == line)
    }
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Created,
    Updated,
    Unchanged,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Done {
    dry_run: bool,
    created: usize,
    updated: usize,
    unchanged: usize,
}

impl Done {
    /// Tells of one policy, on a line of its own.
    fn tell(&mut self, outcome: Outcome, policy: &str) -> Result<(), Failure> {
        let (count, verb) = match outcome {
            Outcome::Created => (&mut self.created, "created"),
            Outcome::Updated => (&mut self.updated, "updated"),
            Outcome::Unchanged => (&mut self.unchanged, "unchanged"),
        };
        *count += 1;
        let would = if self.dry_run && outcome != Outcome::Unchanged { "would be " } else { "" };
        match writeln!(io::stdout().lock(), "{would}{verb} {}", printable(policy)) {
            // Whoever listens no longer still wants what was asked for.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            told => told.map_err(Failure::output),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { created, updated, unchanged, dry_run } = self;
        let only = if *dry_run { " (nothing was written)" } else { "" };
        write!(f, "{created} created, {updated} updated, {unchanged} unchanged{only}")
    }
}
