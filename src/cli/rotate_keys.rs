//! `countersign rotate-keys`: encrypts every secret in the store with the first key.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use super::terminal::printable;
use crate::app::{App, Guardian, Rotated, SystemClock};
use crate::config::{self, KeySource, Layer, Settings};
use crate::server;
use crate::store::{self, Location};

/// The arguments of `rotate-keys`: those settings of `serve` that say where the store and the keys are. The environment
/// and the file count as they do there.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The service must not be running on the same store. Put the new key first and keep the old \
                        ones behind it; once this has ended well, only the new one is needed."
)]
pub(super) struct Args {
    /// A TOML file with settings, as for serve.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where policies are kept: sled:DIRECTORY.
    #[arg(long)]
    store: Option<Location>,
    /// Where the keys are: file:PATH or env:VARIABLE.
    #[arg(long)]
    secrets_keys: Option<KeySource>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let layer = Layer { store: args.store, secrets_keys: args.secrets_keys, ..Layer::default() };
    let settings = config::resolve(layer, args.config, env).map_err(Failure::usage)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let Rotated { versions, secrets } = runtime.block_on(rotate(&settings))?;
    println!("{secrets} secrets encrypted anew; {versions} versions of policies looked at");
    Ok(())
}

async fn rotate(settings: &Settings) -> Result<Rotated, Failure> {
    let keys = server::keys(&settings.secrets_keys).map_err(Failure::usage)?;
    // One that is made here has nothing to encrypt, and the right one would still need the old key.
    if !settings.store.is_store() {
        let at = printable(&settings.store.to_string());
        return Err(Failure::usage(format!("there is no store at {at}")));
    }
    let options = store::Options::new(settings.store.clone());
    let store = store::open(options).map_err(Failure::failed)?;
    let app = App::open(Arc::clone(&store), Arc::new(SystemClock::default()), settings.empty_approvers);
    let app = app.await.map_err(Failure::failed)?;
    let rotated = app.with_guardian(Guardian { keys, ..Guardian::default() }).guardian_rotate_keys().await;
    store.close().await;
    rotated.map_err(Failure::failed)
}
