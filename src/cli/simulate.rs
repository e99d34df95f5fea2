//! `countersign simulate`: what a policy would do with a request, in a file without a server or stored on one. Only the reading
//! of the files and the printing are here.

mod print;
mod sentence;

use std::ffi::OsString;
use std::io::{self, Write as _};

use chrono::{DateTime, SubsecRound as _, Utc};
use prost::{Message as _, Name as _};
use prost_types::Timestamp;

use super::check::{self, Origin, Severity};
use super::draw;
use super::simulator::{Found, Refused, Settings, Simulator, Stored};
use super::terminal::printable;
use super::{FAILED, Failure};
use crate::gateway::Style;
use crate::pb;
use crate::pb::countersign::v1::{
    Directory, Happening, OutcomeKind, Request, SimulateRequest, SimulateResponse, Trace,
};
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
    /// A file with the policy: its first one; others in it are those that it may lead to, by their ids. With --server the id of
    /// a stored policy.
    #[arg(value_name = "POLICY")]
    policy: String,
    /// With --server: this revision of it, and of Guardian's policies this version.
    #[arg(long, value_name = "NUMBER", requires = "server", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
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
    #[command(flatten)]
    stored: Stored,
}

/// How the trace is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people; in colours on a terminal.
    Text,
    /// What the service answers, as one line of JSON.
    Json,
    /// The workflow with the way of the request, in Mermaid's text.
    Mermaid,
    /// The same in Graphviz's text.
    Dot,
    /// The same as a picture.
    Svg,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let policy_file = (!args.stored.is_named()).then_some(&args.policy);
    let files = [policy_file, Some(&args.request), args.directory.as_ref(), args.happenings.as_ref()];
    if files.into_iter().flatten().filter(|file| *file == "-").count() > 1 {
        return Err(Failure::usage("only one of the files can be standard input"));
    }
    let mut simulator = Simulator::open(args.settings, args.stored, env)?;
    let policy = simulator.policy(&args.policy, args.revision, Severity::Warning)?;
    let (request_file, request) = check::message::<Request>(&args.request)?;
    let directory = args.directory.as_deref().map(check::message::<Directory>).transpose()?;
    let (directory_file, directory) = directory.unzip();
    let happenings = args.happenings.as_deref();
    let happenings = happenings.map(|file| check::messages::<Happening>(file, "happenings")).transpose()?;
    let (happenings_file, happenings) = happenings.unzip();
    let at = args.at.unwrap_or_else(|| Utc::now().trunc_subsecs(0));
    let simulated = simulator.simulate(SimulateRequest {
        policy: Some(policy.source.clone()),
        request: Some(request.clone()),
        directory,
        at: Some(Timestamp { seconds: at.timestamp(), nanos: nanos(at) }),
        happenings: happenings.unwrap_or_default(),
        wait_for_outside: args.wait_for_outside,
        dry_run: args.dry_run,
    });
    let origins =
        [("request", Some(request_file)), ("directory", directory_file), ("happenings", happenings_file)];
    match simulated {
        Ok(answer) => {
            let format = match args.format {
                Format::Text => return text(&answer.trace.unwrap_or_default(), at),
                Format::Json => return json_line(&answer),
                Format::Mermaid => draw::Format::Mermaid,
                Format::Dot => draw::Format::Dot,
                Format::Svg => draw::Format::Svg,
            };
            drawing(format, args.settings, &policy, &request, &answer.trace.unwrap_or_default())
        }
        Err(Refused::Invalid(violations)) => Err(tell(&origins, violations.into_iter())?),
        Err(Refused::Failed(sentence)) => Err(Failure::failed(sentence)),
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

fn text(trace: &Trace, began: DateTime<Utc>) -> Result<(), Failure> {
    let text = print::trace(trace, began);
    // Takes the colours out again where nobody looks.
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}

fn json_line(answer: &SimulateResponse) -> Result<(), Failure> {
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

fn drawing(
    format: draw::Format,
    settings: Settings,
    policy: &Found,
    request: &Request,
    trace: &Trace,
) -> Result<(), Failure> {
    let subjects = settings.subjects(&policy.documents);
    let outcome = trace.outcome.clone().unwrap_or_default();
    let mut captions = vec![
        format!("Request: {}", sentence::request(request)),
        format!("Outcome: {}", sentence::outcome(&outcome).1),
    ];
    captions.extend(
        trace.idle.iter().map(|idle| format!("If nobody ever does anything: {}", sentence::ending(idle).1)),
    );
    // What has ended is not waited for.
    let ended = !matches!(outcome.kind(), OutcomeKind::Waiting | OutcomeKind::Blocked);
    captions.truncate(if ended { 2 } else { captions.len() });
    let text = draw::draw(&subjects, Some(trace), &captions, format).map_err(Failure::failed)?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}
