//! `countersign compare`: what is different between two policies, and what becomes of requests; a gate for changes.

mod print;
mod side;

use std::ffi::OsString;
use std::io::{self, Write as _};

use chrono::{DateTime, SubsecRound, Utc};
use prost::{Message, Name};
use prost_types::Timestamp;

use super::check::{self, Origin};
use super::remote::{self, ANSWER_MAX_BYTES, Remote, refusal};
use super::simulate::tell;
use super::simulator::{Local, Settings};
use super::terminal::printable;
use super::{FAILED, Failure, USAGE};
use crate::app::Error;
use crate::gateway::Style;
use crate::pb;
use crate::pb::countersign::v1::comparer_client::ComparerClient;
use crate::pb::countersign::v1::{
    Change, ChangeDirection, CompareRequest, CompareResponse, Directory, EffectKind, Population, Request,
    TaskType,
};
use crate::wire::{self, json};

/// The arguments of `compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A and B are files, JSON or YAML; with --server they are ids of stored policies, ID or ID@REVISION, unless they \
                  have a / in them, end in .json, .yaml or .yml, or are -. docs/compare.md says what is found.\n\n\
                  Exit codes: 0 they were compared, 1 something happens that --fail-on names, 2 wrong usage, a file that cannot \
                  be read or has violations, or a server that cannot be asked."
)]
pub(super) struct Args {
    /// The policy as it was: the first one of the file. Others in it are those that it may lead to, by their ids.
    #[arg(value_name = "A")]
    before: String,
    /// The policy as it is to be.
    #[arg(value_name = "B")]
    after: String,
    /// Requests that are tried on both: a list.
    #[arg(long, value_name = "FILE")]
    requests: Option<String>,
    /// Try every enabled user of the directory, asking for every entitlement, on both.
    #[arg(long, requires = "directory")]
    population: bool,
    /// With --population: as which type of task; without it, as that of the policy. May be given more than once.
    #[arg(long = "task-type", value_enum, value_name = "TYPE", requires = "population")]
    task_types: Vec<Task>,
    /// Everybody and everything that is known; without it, nobody is.
    #[arg(long, value_name = "FILE")]
    directory: Option<String>,
    /// When the requests are made, 2026-11-26T08:00:00Z; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// How many requests are shown of each kind of effect.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..=100))]
    examples: i32,
    /// End with 1 if any of these happens, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    fail_on: Vec<Gate>,
    /// How the comparison is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Let this service compare, http://HOST:PORT or https://HOST:PORT, and take A and B from it.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    credentials: remote::Credentials,
    #[command(flatten)]
    settings: Settings,
}

/// How the comparison is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people; in colours on a terminal.
    Text,
    /// What the service answers, as one line of JSON.
    Json,
}

/// A type of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Task {
    Grant,
    Revoke,
    Certify,
}

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Gate {
    /// Anything is different that is not proved to make no difference.
    Changed,
    /// A request is decided by other policies or steps.
    RouteChanged,
    /// A request is granted with no person having decided.
    NewlyAutoApproved,
    /// A request is no longer granted without a person.
    NoLongerAutoApproved,
    /// A request is denied even if everybody approves.
    NewlyDenied,
    /// A request is no longer denied.
    NoLongerDenied,
    /// Nobody is there any more who could approve a request.
    LostLastApprover,
    /// Somebody is there now who can.
    GainedApprover,
    /// Other people are asked.
    ApproversChanged,
    /// One of the two policies cannot run a request.
    CannotRun,
}

impl Gate {
    /// The effect that it is about, if it is about requests.
    fn effect(self) -> Option<EffectKind> {
        Some(match self {
            Gate::Changed => return None,
            Gate::RouteChanged => EffectKind::RouteChanged,
            Gate::NewlyAutoApproved => EffectKind::NewlyAutoApproved,
            Gate::NoLongerAutoApproved => EffectKind::NoLongerAutoApproved,
            Gate::NewlyDenied => EffectKind::NewlyDenied,
            Gate::NoLongerDenied => EffectKind::NoLongerDenied,
            Gate::LostLastApprover => EffectKind::LostLastApprover,
            Gate::GainedApprover => EffectKind::GainedApprover,
            Gate::ApproversChanged => EffectKind::ApproversChanged,
            Gate::CannotRun => EffectKind::CannotRun,
        })
    }

    /// How often it happens.
    fn count(self, answer: &CompareResponse) -> i32 {
        let Some(kind) = self.effect() else {
            // What all changes in the rules come to is no change by itself.
            let differs =
                |one: &&Change| one.direction() != ChangeDirection::Same && !one.code.starts_with("ROUTING_");
            let counted = answer.changes.iter().filter(differs).count();
            return i32::try_from(counted).unwrap_or(i32::MAX).saturating_add(answer.changes_left_out);
        };
        let effects = answer.effects.iter().flat_map(|effects| &effects.effects);
        effects.filter(|one| one.kind() == kind).map(|one| one.count).sum()
    }
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    // One is no success and no gate: whatever keeps policies from being compared is bad input.
    let (answer, args) = compare(args, env).map_err(|failure| Failure { code: USAGE, ..failure })?;
    show(&args, &answer)?;
    let happened =
        args.fail_on.iter().map(|gate| (*gate, gate.count(&answer))).filter(|(_, count)| *count > 0);
    let mut failed = false;
    for (gate, count) in happened {
        failed = true;
        let name = clap::ValueEnum::to_possible_value(&gate);
        let name = name.as_ref().map_or("", |value| value.get_name());
        eprintln!("countersign: --fail-on {name}: {count}");
    }
    if failed { Err(Failure::said(FAILED)) } else { Ok(()) }
}

fn compare(
    args: Args,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(CompareResponse, Args), Failure> {
    check_usage(&args)?;
    let remote = args.server.clone().map(|url| Remote::connect(url, args.credentials.clone(), env));
    let remote = remote.transpose()?;
    let before = side::source(&args.before, args.settings, remote.as_ref())?;
    let after = side::source(&args.after, args.settings, remote.as_ref())?;
    let requests = args.requests.as_deref().map(|file| check::messages::<Request>(file, "requests"));
    let (requests_file, requests) = requests.transpose()?.unzip();
    let directory = args.directory.as_deref().map(check::message::<Directory>).transpose()?;
    let (directory_file, directory) = directory.unzip();
    let at = args.at.unwrap_or_else(|| Utc::now().trunc_subsecs(0));
    let population = args.population.then(|| Population {
        task_types: args.task_types.iter().map(|one| task_type(*one).into()).collect(),
        ..Population::default()
    });
    let request = CompareRequest {
        before: Some(before),
        after: Some(after),
        requests: requests.unwrap_or_default(),
        population,
        directory,
        at: Some(Timestamp { seconds: at.timestamp(), nanos: 0 }),
        examples_max: args.examples,
    };
    let origins = [("requests", requests_file), ("directory", directory_file)];
    let answer = match remote {
        Some(remote) => asked(&remote, request),
        None => here(args.settings, request, &origins),
    };
    Ok((answer?, args))
}

fn check_usage(args: &Args) -> Result<(), Failure> {
    let files = [Some(&args.before), Some(&args.after), args.requests.as_ref(), args.directory.as_ref()];
    if files.into_iter().flatten().filter(|file| *file == "-").count() > 1 {
        return Err(Failure::usage("only one of the files can be standard input"));
    }
    let about_requests = args.fail_on.iter().any(|gate| gate.effect().is_some());
    if about_requests && args.requests.is_none() && !args.population {
        let sentence =
            "--fail-on names what becomes of requests, and there are none: --requests or --population";
        return Err(Failure::usage(sentence));
    }
    Ok(())
}

fn task_type(task: Task) -> TaskType {
    match task {
        Task::Grant => TaskType::Grant,
        Task::Revoke => TaskType::Revoke,
        Task::Certify => TaskType::Certify,
    }
}

/// What a service says.
fn asked(remote: &Remote, request: CompareRequest) -> Result<CompareResponse, Failure> {
    let client = ComparerClient::new(remote.service());
    let mut client = client.max_decoding_message_size(ANSWER_MAX_BYTES);
    remote.call(client.compare(request)).map_err(|status| Failure::failed(refusal(&status)))
}

/// What a service would say.
fn here(
    settings: Settings,
    request: CompareRequest,
    origins: &[(&str, Option<Origin>)],
) -> Result<CompareResponse, Failure> {
    match Local::open(settings)?.compare(request) {
        Ok(answer) => Ok(answer),
        Err(Error::Invalid(violations)) => Err(tell(origins, violations.iter().cloned())?),
        Err(error) => Err(Failure::failed(printable(&error.to_string()))),
    }
}

fn show(args: &Args, answer: &CompareResponse) -> Result<(), Failure> {
    match args.format {
        Format::Text => {
            let text = print::comparison(answer, [&args.before, &args.after]);
            // Takes the colours out again where nobody looks.
            let mut out = anstream::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
        }
        Format::Json => {
            let mut line = as_json(answer)?;
            line.push(b'\n');
            let mut out = io::stdout().lock();
            out.write_all(&line).and_then(|()| out.flush()).map_err(Failure::output)
        }
    }
}

/// A message as the service answers it over REST.
fn as_json<M: Message + Name>(message: &M) -> Result<Vec<u8>, Failure> {
    let name = M::full_name();
    let ty = wire::Schema::new(pb::pool()).message(&name);
    let ty = ty.ok_or_else(|| Failure::failed(format!("the protobuf descriptors lack {name}")))?;
    let mut out = Vec::new();
    json::encode(&ty, &message.encode_to_vec(), &Style::CONDUCTORONE.write, &mut out)
        .map_err(Failure::failed)?;
    Ok(out)
}

/// A message on one line, without what it does not say.
fn said<M: Message + Name>(message: &M) -> String {
    let Ok(json) = as_json(message) else { return String::new() };
    let value = serde_json::from_slice(&json).unwrap_or_default();
    without_nothing(value).to_string()
}

fn without_nothing(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, without_nothing(value)));
            fields.filter(|(_, value)| !is_nothing(value)).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nothing).collect(),
        other => other,
    }
}
