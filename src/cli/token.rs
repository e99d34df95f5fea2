//! `countersign token`: makes static bearer tokens. The token is printed once; the file has its digest.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use crate::auth::{Digest, Role, Secret, StaticToken, Tokens, append};

/// The arguments of `token`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, print it, and add its digest to the tokens file.
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Whose it is. Logs and revisions name its holder `token:NAME`.
    #[arg(long)]
    name: String,
    /// What its holder may do: viewer, editor, admin or auditor. May be given more than once.
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<Role>,
    /// The tokens file, as `serve --tokens-file` reads it. Made if it is not there.
    #[arg(long, default_value = "countersign-tokens.toml", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Command::Create(Create { name, roles, file }) = args.command;
    let token = Secret::random(Tokens::PREFIX).map_err(Failure::failed)?;
    let entry = StaticToken { name, roles, sha256: Digest::of(token.reveal()) };
    append(&file, "token", &entry, Tokens::parse).map_err(Failure::failed)?;
    println!("{}", token.reveal());
    Ok(())
}
