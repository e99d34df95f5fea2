//! `countersign draw`: a policy as a picture, without a request. Only its arguments and its output are here.

use std::ffi::OsString;
use std::io::{self, Write as _};

use super::Failure;
use super::check::Severity;
use super::draw::{self, Format};
use super::simulator::{Settings, Simulator, Stored};

/// The arguments of `draw`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "To draw the way of a request as well: countersign simulate --format svg. docs/simulate.md has both.\n\n\
                  Exit codes: 0 it was drawn, 1 the policy has violations, 2 wrong usage or a file that cannot be read."
)]
pub(super) struct Args {
    /// A file with the policy: its first one; others in it are those that it may lead to, by their ids. With --server the id of
    /// a stored policy.
    #[arg(value_name = "POLICY")]
    policy: String,
    /// With --server: this revision of it, and of Guardian's policies this version.
    #[arg(long, value_name = "NUMBER", requires = "server", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
    /// What is written.
    #[arg(long, value_enum, default_value = "svg")]
    format: Format,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    stored: Stored,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let mut simulator = Simulator::open(args.settings, args.stored, env)?;
    let policy = simulator.policy(&args.policy, args.revision, Severity::Warning)?;
    let subjects = args.settings.subjects(&policy.documents);
    let text = draw::draw(&subjects, None, &[], args.format).map_err(Failure::failed)?;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::output)
}
