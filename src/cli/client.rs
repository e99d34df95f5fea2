//! `countersign client`: makes credentials for programs that fetch their tokens at `/auth/v1/token`. The secret is printed
//! once; the file has the public half of its key.

use std::path::PathBuf;

use clap::Subcommand;

use super::Failure;
use crate::auth::{Client, Clients, Role, append};

/// The arguments of `client`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a client, print its id and secret as ConductorOne's SDKs take them, and add it to the clients file.
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The first part of its id.
    #[arg(long)]
    name: String,
    /// What it may do: viewer, editor, admin or auditor. May be given more than once.
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<Role>,
    /// Where the service is reached, and the port if it is not 443: the SDKs call this when they are told no server.
    #[arg(long, value_name = "HOST[:PORT]")]
    host: String,
    /// The clients file, as `serve --clients-file` reads it. Made if it is not there.
    #[arg(long, default_value = "countersign-clients.toml", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Command::Create(Create { name, roles, host, file }) = args.command;
    let (client, secret) = Client::new(&name, &host, roles).map_err(Failure::usage)?;
    append(&file, "client", &client, Clients::parse).map_err(Failure::failed)?;
    println!("CONDUCTORONE_CLIENT_ID={}", client.id);
    println!("CONDUCTORONE_CLIENT_SECRET={}", secret.reveal());
    Ok(())
}
