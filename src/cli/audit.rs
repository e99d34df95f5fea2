//! `countersign audit`: reads the audit trail, and says whether it is whole.

mod tail;
mod verify;

use std::ffi::OsString;

use clap::Subcommand;

use super::Failure;

/// The arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the newest entries, oldest of them first, and with --follow those to come.
    Tail(tail::Args),
    /// Say whether an entry was changed, removed, put in or moved, and print the end of the trail.
    Verify(verify::Args),
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    match args.command {
        Command::Tail(args) => tail::run(args, env),
        Command::Verify(args) => verify::run(args, env),
    }
}
