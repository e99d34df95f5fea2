//! `countersign serve`: settings, logging, the parts, the server, and its end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tonic::service::Routes;

use super::Failure;
use crate::config::{self, Layer, Settings};
use crate::gateway::{Gateway, Style, Styles};
use crate::pb;
use crate::server::{self, Parts};
use crate::store::{self, Engine, Location, OnGroup, Options};
use crate::telemetry::{self, Metrics};

/// Work on threads that cannot be interrupted may take so long to end once the server has.
const RUNTIME_END_MS: u64 = 500;

/// The arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A TOML file with settings; its keys are the flags below without their dashes [env: COUNTERSIGN_CONFIG].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings in force, with where each comes from, and exit.
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Layer,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let settings = config::resolve(args.settings, args.config, env).map_err(Failure::usage)?;
    if args.print_config {
        print!("{}", settings.to_toml());
        return Ok(());
    }
    let _flush = telemetry::init(settings.log_format, settings.log_level);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let metrics = Arc::new(Metrics::default());
    let engine = open(&settings, &metrics)?;
    let outcome = runtime.block_on(serve(&settings, &engine, metrics));
    runtime.shutdown_timeout(Duration::from_millis(RUNTIME_END_MS));
    outcome
}

async fn serve(settings: &Settings, engine: &Arc<dyn Engine>, metrics: Arc<Metrics>) -> Result<(), Failure> {
    // Before anything is answered, so that a signal that comes early is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;

    let parts = parts(engine, metrics)?;
    let running = server::start(settings, parts).await.map_err(Failure::failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop();
    let end = async {
        let drained = running.ended().await;
        engine.close().await;
        drained
    };
    let drained = tokio::select! {
        drained = end => drained,
        _ = terminate.recv() => return Err(Failure::failed("left at once, on a second signal")),
        _ = interrupt.recv() => return Err(Failure::failed("left at once, on a second signal")),
    };
    store.close().await;
    match drained.calls_cut {
        0 => Ok(()),
        cut => Err(Failure::failed(format!("{cut} calls were cut off at shutdown-grace"))),
    }
}

/// Opens the store, which reports to the metrics.
fn open(settings: &Settings, metrics: &Metrics) -> Result<Arc<dyn Engine>, Failure> {
    match &settings.store.0 {
        Location::Sled(directory) => {
            let path = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
            tracing::info!(data = %path.display(), "opening the store");
        }
        Location::Memory => tracing::warn!("the store is in memory: nothing is kept after the process ends"),
    }
    let reports = metrics.store();
    let on_group: OnGroup = Arc::new(move |group| {
        reports.commit_batch(group.commits);
        reports.fsync(group.fsync);
    });
    let options = Options { on_group: Some(on_group), ..Options::new(settings.store.0.clone()) };
    store::open(options).map_err(Failure::failed)
}

/// What the server is built around: the services over this store.
fn parts(engine: &Arc<dyn Engine>, metrics: Arc<Metrics>) -> Result<Parts, Failure> {
    Ok(Parts {
        services: Routes::default(),
        descriptors: pb::DESCRIPTORS,
        gateway: Gateway::new(pb::pool(), &Styles::all(Style::CONDUCTORONE)).map_err(Failure::failed)?,
        metrics,
        health: engine.health(),
    })
}
