//! `countersign token`: static bearer tokens. A token is printed once, when it is made; the file has its digest.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use super::entries::{Existing, New, add};
use crate::auth::StaticToken;

/// The arguments of `token`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The tokens file, as `serve --tokens-file` reads it.
    #[arg(long, global = true, default_value = "countersign-tokens.toml", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, print it, and add its digest to the file, which is made if it is not there.
    Create(New),
    #[command(flatten)]
    Existing(Existing),
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let new = match args.command {
        Command::Create(new) => new,
        Command::Existing(existing) => return existing.run::<StaticToken>(args.file),
    };
    let (created, expires) = new.life()?;
    let (token, secret) = StaticToken::new(&new.name, new.roles).map_err(Failure::failed)?;
    add(&args.file, &StaticToken { created, expires, ..token })?;
    println!("{}", secret.reveal());
    Ok(())
}
