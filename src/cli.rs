//! The command line: which command, its arguments, and how it ends. The only module that may print.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod check;
mod client;
mod compare;
mod descriptors;
mod dev_cert;
mod draw;
mod drawing;
mod entries;
mod export;
mod healthcheck;
mod import;
mod page;
mod per_dialect;
mod remote;
mod revisions;
mod rotate_keys;
mod serve;
mod simulate;
mod simulator;
mod terminal;
mod test;
mod token;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config;

/// The command itself failed.
const FAILED: u8 = 1;
/// The command was not understood, or its settings cannot be.
const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in the life of the program")]
enum Command {
    /// Read the audit trail, and say whether it is whole.
    Audit(audit::Args),
    /// Compile policies in files without a server, and say what is wrong with them and where.
    Check(check::Args),
    /// Make, list and revoke credentials for programs that fetch their tokens at /auth/v1/token.
    Client(client::Args),
    /// Say what is different between two policies, and what becomes of requests, without a server or with one.
    Compare(compare::Args),
    /// Write the protos of this build as a descriptor set.
    Descriptors(descriptors::Args),
    /// Make a local authority and a certificate for this machine's own addresses, to try TLS with.
    DevCert(dev_cert::Args),
    /// Draw a policy: its rules, steps and ends.
    Draw(drawing::Args),
    /// Write policies of a service into files that import takes.
    Export(export::Args),
    /// Ask the admin port whether the service is ready.
    Healthcheck(healthcheck::Args),
    /// Create and update policies of a service from files.
    Import(import::Args),
    /// List what a policy was, show one of its revisions, or write one again.
    Revisions(revisions::Args),
    /// Encrypt every secret in the store with the first of the keys.
    RotateKeys(rotate_keys::Args),
    /// Run the service.
    Serve(serve::Args),
    /// Say what a policy would do with a request.
    Simulate(simulate::Args),
    /// Run the tests that are kept beside policies.
    Test(test::Args),
    /// Make, list and revoke static bearer tokens.
    Token(token::Args),
}

/// Why a command ended badly.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    kind: FailureKind,
}

#[derive(Debug)]
enum FailureKind {
    /// A sentence for the person at the terminal.
    Sentence(String),
    /// Everything has been said.
    Said,
    /// clap writes its own, in colour; help and version come this way too.
    Clap(clap::Error),
}

impl Failure {
    /// What was asked for was tried and did not work.
    fn failed(error: impl std::fmt::Display) -> Self {
        Self { code: FAILED, kind: FailureKind::Sentence(error.to_string()) }
    }

    /// What was asked for makes no sense.
    fn usage(error: impl std::fmt::Display) -> Self {
        Self { code: USAGE, kind: FailureKind::Sentence(error.to_string()) }
    }

    /// What is wrong has been printed.
    fn said(code: u8) -> Self {
        Self { code, kind: FailureKind::Said }
    }

    /// Standard output takes no more. Whoever closed it has read enough.
    fn output(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::said(FAILED),
            _ => Self::failed(format!("standard output: {error}")),
        }
    }

    /// Tells the person, and turns into the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        match self.kind {
            FailureKind::Sentence(sentence) => eprintln!("countersign: {sentence}"),
            FailureKind::Said => {}
            FailureKind::Clap(error) => {
                let _ = error.print();
            }
        }
        ExitCode::from(self.code)
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        // Asking for help is no failure.
        let code = if error.use_stderr() { USAGE } else { 0 };
        Self { code, kind: FailureKind::Clap(error) }
    }
}

/// Runs the command that `args` name (the program's own name first), in the environment `env`.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), Failure> {
    let command = Cli::command().mut_subcommand("serve", with_variables);
    let matches = command.try_get_matches_from(args)?;
    match Cli::from_arg_matches(&matches)?.command {
        Command::Audit(args) => audit::run(args, env),
        Command::Check(args) => check::run(args, env),
        Command::Client(args) => client::run(args),
        Command::Compare(args) => compare::run(args, env),
        Command::Descriptors(args) => descriptors::run(args),
        Command::DevCert(args) => dev_cert::run(&args),
        Command::Draw(args) => drawing::run(args, env),
        Command::Export(args) => export::run(args, env),
        Command::Healthcheck(args) => healthcheck::run(args, env),
        Command::Import(args) => import::run(args, env),
        Command::Revisions(args) => revisions::run(args, env),
        Command::RotateKeys(args) => rotate_keys::run(args, env),
        Command::Serve(args) => serve::run(args, env),
        Command::Simulate(args) => simulate::run(args, env),
        Command::Test(args) => test::run(args, env),
        Command::Token(args) => token::run(args),
    }
}

/// Adds to the help of every setting its environment variable and its default.
fn with_variables(serve: clap::Command) -> clap::Command {
    config::TABLE.iter().fold(serve, |serve, setting| {
        serve.mut_arg(setting.field, |arg| {
            // A switch that is named is on.
            let arg = match setting.default {
                "false" => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
                _ => arg,
            };
            arg.help(format!(
                "{} [env: {}] [default: {}]",
                setting.help.trim(),
                setting.variable(),
                setting.default
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().mut_subcommand("serve", with_variables).debug_assert();
    }

    #[test]
    fn flags_are_the_keys_of_the_table() {
        let cli = Cli::command();
        let serve = cli.find_subcommand("serve").unwrap();
        let mut flags: Vec<_> = serve.get_arguments().filter_map(|arg| arg.get_long()).collect();
        flags.sort_unstable();
        let mut keys: Vec<_> = config::TABLE.iter().map(config::Setting::key).collect();
        keys.extend(["config".to_owned(), "print-config".to_owned()]);
        keys.sort_unstable();
        assert_eq!(flags, keys);
    }
}
