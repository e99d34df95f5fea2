//! The service's own simulations and comparisons, on an empty store in memory.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::{Refused, Settings};
use crate::app::{App, Error, Guardian, SystemClock};
use crate::cli::Failure;
use crate::cli::terminal::printable;
use crate::pb::countersign::v1::{CompareRequest, CompareResponse, SimulateRequest, SimulateResponse};
use crate::store::{self, Location, Options};

/// The operations, and what they run on.
#[derive(Debug)]
pub(in crate::cli) struct Local {
    runtime: Runtime,
    app: App,
}

impl Local {
    /// # Errors
    /// If the system gives no threads or no randomness.
    pub(in crate::cli) fn open(settings: Settings) -> Result<Local, Failure> {
        let store = store::open(Options::new(Location::Memory)).map_err(Failure::failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        let clock = Arc::new(SystemClock::default());
        let app = runtime.block_on(App::open(store, clock, settings.empty_approvers));
        let guardian = Guardian { compat: settings.guardian_compat, ..Guardian::default() };
        let app = app.map_err(Failure::failed)?.with_guardian(guardian);
        Ok(Local { runtime, app })
    }

    /// What the service would answer.
    ///
    /// # Errors
    /// As [`App::simulate`].
    pub(super) fn simulate(&self, request: SimulateRequest) -> Result<SimulateResponse, Refused> {
        match self.runtime.block_on(self.app.simulate(request)) {
            Ok(answer) => Ok(answer.message),
            Err(Error::Invalid(violations)) => Err(Refused::Invalid(violations.iter().cloned().collect())),
            Err(error) => Err(Refused::Failed(printable(&error.to_string()))),
        }
    }

    /// What the service would answer.
    ///
    /// # Errors
    /// As [`App::compare`].
    pub(in crate::cli) fn compare(&self, request: CompareRequest) -> Result<CompareResponse, Error> {
        self.runtime.block_on(self.app.compare(request)).map(|answer| answer.message)
    }
}
