//! `countersign client`: credentials for programs that fetch their tokens at `/auth/v1/token`. A secret is printed once, when
//! it is made; the file has the public half of its key.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use super::entries::{Existing, New, add};
use crate::auth::Client;

/// The arguments of `client`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The clients file, as `serve --clients-file` reads it.
    #[arg(long, global = true, default_value = "countersign-clients.toml", value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a client, print its id and secret as ConductorOne's SDKs take them, and add it to the file, which is made if it
    /// is not there. Its name is the first part of its id.
    Create(Create),
    #[command(flatten)]
    Existing(Existing),
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    new: New,
    /// Where the service is reached, and the port if it is not 443: the SDKs call this when they are told no server.
    #[arg(long, value_name = "HOST[:PORT]")]
    host: String,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Create { new, host } = match args.command {
        Command::Create(create) => create,
        Command::Existing(existing) => return existing.run::<Client>(args.file),
    };
    let (created, expires) = new.life()?;
    let (client, secret) = Client::new(&new.name, &host, new.roles).map_err(Failure::usage)?;
    let client = Client { created, expires, ..client };
    add(&args.file, &client)?;
    println!("CONDUCTORONE_CLIENT_ID={}", client.id);
    println!("CONDUCTORONE_CLIENT_SECRET={}", secret.reveal());
    Ok(())
}
