//! `countersign simulate`: what a policy in a file would do with a request, without a server. The service's own operation on
//! an empty store in memory; only the reading of the files and the printing are here.

mod print;
mod sentence;

use std::io::{self, Write as _};

use chrono::{DateTime, SubsecRound as _, Utc};
use prost::{Message as _, Name as _};
use prost_types::Timestamp;

use super::check::{self, Origin, Severity};
use super::simulator::{Settings, Simulator};
use super::terminal::printable;
use super::{FAILED, Failure};
use crate::app::Error;
use crate::gateway::Style;
use crate::pb;
use crate::pb::countersign::v1::{Directory, Happening, Request, SimulateRequest, SimulateResponse};
use crate::policy::Violation;
use crate::wire::{self, json};

/// The arguments of `simulate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files are JSON or YAML; one of them may be -, standard input. docs/simulate.md says what is in them.\n\n\
                  Exit codes: 0 it was simulated, whatever the outcome, 1 a file has violations, 2 wrong usage or a file \
                  that cannot be read."
)]
pub(super) struct Args {
    /// The policy: the first one of the file. Others in it are those that it may lead to, by their ids.
    #[arg(value_name = "POLICY")]
    policy: String,
    /// The request.
    #[arg(long, value_name = "FILE")]
    request: String,
    /// Everybody and everything that is known; without it, nobody is.
    #[arg(long, value_name = "FILE")]
    directory: Option<String>,
    /// What happens then: a list of happenings.
    #[arg(long, visible_alias = "decisions", value_name = "FILE")]
    happenings: Option<String>,
    /// When it begins, 2026-11-26T08:00:00Z; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// How the trace is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Wait for provisions and actions that no person does, instead of taking them to be done at once.
    #[arg(long)]
    wait_for_outside: bool,
    /// Guardian's policies: only try the appeal, so that steps that nobody will be asked in are skipped at once.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    settings: Settings,
}

/// How the trace is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people; in colours on a terminal.
    Text,
    /// What the service answers, as one line of JSON.
    Json,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let files = [Some(&args.policy), Some(&args.request), args.directory.as_ref(), args.happenings.as_ref()];
    if files.into_iter().flatten().filter(|file| *file == "-").count() > 1 {
        return Err(Failure::usage("only one of the files can be standard input"));
    }
    let policy = args.settings.policy(&args.policy, Severity::Warning)?;
    let (request_file, request) = check::message::<Request>(&args.request)?;
    let directory = args.directory.as_deref().map(check::message::<Directory>).transpose()?;
    let (directory_file, directory) = directory.unzip();
    let happenings = args.happenings.as_deref();
    let happenings = happenings.map(|file| check::messages::<Happening>(file, "happenings")).transpose()?;
    let (happenings_file, happenings) = happenings.unzip();
    let at = args.at.unwrap_or_else(|| Utc::now().trunc_subsecs(0));
    let simulated = Simulator::open(args.settings)?.simulate(SimulateRequest {
        policy: Some(policy),
        request: Some(request),
        directory,
        at: Some(Timestamp { seconds: at.timestamp(), nanos: nanos(at) }),
        happenings: happenings.unwrap_or_default(),
        wait_for_outside: args.wait_for_outside,
        dry_run: args.dry_run,
    });
    let origins =
        [("request", Some(request_file)), ("directory", directory_file), ("happenings", happenings_file)];
    match simulated {
        Ok(answer) => show(args.format, &answer, at),
        Err(Error::Invalid(violations)) => Err(tell(&origins, violations.iter().cloned())?),
        Err(error) => Err(Failure::failed(printable(&error.to_string()))),
    }
}

fn nanos(at: DateTime<Utc>) -> i32 {
    i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0)
}

/// Prints every violation at its place in the file that it is about.
pub(super) fn tell(
    origins: &[(&str, Option<Origin>)],
    violations: impl Iterator<Item = Violation>,
) -> Result<Failure, Failure> {
    let mut violations: Vec<Violation> = violations.collect();
    for (name, origin) in origins {
        let Some(origin) = origin else { continue };
        let within = |path: &str| {
            path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let (own, rest) = violations.into_iter().partition(|one: &Violation| within(&one.path));
        violations = rest;
        let own = own.into_iter().map(|one: Violation| {
            let path = one.path.strip_prefix(name).unwrap_or_default();
            Violation { path: path.strip_prefix('.').unwrap_or(path).to_owned(), ..one }
        });
        origin.tell(own.collect())?;
    }
    for one in violations {
        eprintln!("countersign: {}: {}: {}", printable(&one.path), one.code, printable(&one.message));
    }
    Ok(Failure::said(FAILED))
}

fn show(format: Format, answer: &SimulateResponse, began: DateTime<Utc>) -> Result<(), Failure> {
    match format {
        Format::Text => {
            let text = print::trace(&answer.trace.clone().unwrap_or_default(), began);
            // Takes the colours out again where nobody looks.
            let mut out = anstream::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
        }
        Format::Json => {
            let name = SimulateResponse::full_name();
            let ty = wire::Schema::new(pb::pool()).message(&name);
            let ty = ty.ok_or_else(|| Failure::failed(format!("the protobuf descriptors lack {name}")))?;
            let mut line = Vec::new();
            json::encode(&ty, &answer.encode_to_vec(), &Style::CONDUCTORONE.write, &mut line)
                .map_err(Failure::failed)?;
            line.push(b'\n');
            let mut out = io::stdout().lock();
            out.write_all(&line).and_then(|()| out.flush()).map_err(Failure::output)
        }
    }
}
