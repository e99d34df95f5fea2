//! `countersign serve`: settings, logging, the parts, the server, and its end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::app::SystemClock;
use crate::config::{self, Layer, Settings};
use crate::server;
use crate::store::{Device, Location};
use crate::telemetry::{self, Traces};

/// Work on threads that cannot be interrupted may take so long to end once the server has.
const RUNTIME_END_MS: u64 = 500;

/// When calls in flight have used up the grace, the last spans have so long.
const FLUSH_MIN_MS: u64 = 500;

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
    let outcome = runtime.block_on(serve(&settings));
    runtime.shutdown_timeout(Duration::from_millis(RUNTIME_END_MS));
    outcome
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    // Before anything is opened, so that a signal that comes early is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;

    log_store(&settings.store);
    let traces = Traces::start().map_err(Failure::usage)?;
    let tracer = traces.as_ref().map(Traces::tracer);
    let assembled = server::assemble(settings, Arc::new(SystemClock::default()), Device::default(), tracer)
        .await
        .map_err(Failure::failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let by = Instant::now() + settings.shutdown_delay.duration() + settings.shutdown_grace.duration();
    let close = async {
        let drained = assembled.close().await;
        flush(traces, by).await;
        drained
    };
    let drained = tokio::select! {
        drained = close => drained,
        _ = terminate.recv() => return Err(Failure::failed("left at once, on a second signal")),
        _ = interrupt.recv() => return Err(Failure::failed("left at once, on a second signal")),
    };
    match drained.calls_cut {
        0 => Ok(()),
        cut => Err(Failure::failed(format!("{cut} calls were cut off at shutdown-grace"))),
    }
}

/// Sends the last spans on their way, for as long as calls in flight could have taken.
async fn flush(traces: Option<Traces>, by: Instant) {
    let Some(traces) = traces else { return };
    let left = by.saturating_duration_since(Instant::now()).max(Duration::from_millis(FLUSH_MIN_MS));
    // It blocks, and dropping the last handle does, too.
    let _ = tokio::task::spawn_blocking(move || traces.flush(left)).await;
}

fn log_store(location: &Location) {
    match location {
        Location::Sled(directory) => {
            let path = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
            tracing::info!(data = %path.display(), "store");
        }
        Location::Memory => tracing::warn!("store in memory: nothing is kept after the process ends"),
    }
}
