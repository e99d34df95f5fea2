//! The service's own simulation for commands that need no service: on an empty store in memory, with policies from files.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use super::Failure;
use super::check::{self, Dialects, Document, Severity};
use super::terminal::printable;
use crate::app::{App, Error, Guardian, SystemClock};
use crate::pb::countersign::v1::{
    CompareRequest, CompareResponse, PolicyDialect, PolicySource, SimulateRequest, SimulateResponse,
    policy_source::Policy,
};
use crate::policy::guardian::{Compat, Surroundings};
use crate::store::{self, Location, Options};
use crate::workflow::Nobody;

/// What the service is set to.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Settings {
    /// The shape of the policies; without it, each is looked at: what has only fields of Guardian's is Guardian's.
    #[arg(long, value_enum)]
    dialect: Option<check::Name>,
    /// What an approval does that finds nobody and does not say: block, skip or deny, as the service is set.
    #[arg(long, value_name = "WHAT", default_value_t = Nobody::default())]
    empty_approvers: Nobody,
    /// Guardian's faults, as the service is set: default, or strict to copy them.
    #[arg(long, value_name = "WHAT", default_value_t = Compat::default())]
    guardian_compat: Compat,
}

impl Settings {
    /// Whose policies ids are looked up among, if it is said.
    pub(super) fn dialect(self) -> Option<PolicyDialect> {
        Some(match self.dialect? {
            check::Name::C1 => PolicyDialect::C1,
            check::Name::Guardian => PolicyDialect::Guardian,
        })
    }

    /// The policies of a file, as a simulation takes them: the first, and those that it may lead to. What is found in them
    /// and is at least as bad as `shown` is printed.
    ///
    /// # Errors
    /// If there are violations, or none of it can be read.
    pub(super) fn policy(self, file: &str, shown: Severity) -> Result<PolicySource, Failure> {
        let around = Surroundings { compat: self.guardian_compat, ..Surroundings::default() };
        // A secret is never used here, so that an exported policy will do.
        let dialects =
            Dialects::new(self.dialect, self.empty_approvers, around, true).map_err(Failure::failed)?;
        let mut all = check::documents(file, &dialects, shown)?.into_iter();
        let first = match all.next() {
            Some(Document::C1(policy)) => Policy::Inline(*policy),
            Some(Document::Guardian(policy)) => Policy::GuardianInline(*policy),
            None => return Err(Failure::usage(format!("{}: there is no policy in it", printable(file)))),
        };
        let mut others = Vec::new();
        for other in all {
            match (&first, other) {
                (Policy::Inline(_), Document::C1(policy)) => others.push(*policy),
                _ => {
                    let sentence =
                        "beside the first policy of this file there are some that it cannot lead to";
                    return Err(Failure::usage(format!("{}: {sentence}", printable(file))));
                }
            }
        }
        Ok(PolicySource { policy: Some(first), others, ..PolicySource::default() })
    }
}

/// The operations, and what they run on.
#[derive(Debug)]
pub(super) struct Simulator {
    runtime: Runtime,
    app: App,
}

impl Simulator {
    /// # Errors
    /// If the system gives no threads or no randomness.
    pub(super) fn open(settings: Settings) -> Result<Simulator, Failure> {
        let store = store::open(Options::new(Location::Memory)).map_err(Failure::failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        let clock = Arc::new(SystemClock::default());
        let app = runtime.block_on(App::open(store, clock, settings.empty_approvers));
        let guardian = Guardian { compat: settings.guardian_compat, ..Guardian::default() };
        let app = app.map_err(Failure::failed)?.with_guardian(guardian);
        Ok(Simulator { runtime, app })
    }

    /// What the service would answer.
    ///
    /// # Errors
    /// As [`App::simulate`].
    pub(super) fn simulate(&self, request: SimulateRequest) -> Result<SimulateResponse, Error> {
        self.runtime.block_on(self.app.simulate(request)).map(|answer| answer.message)
    }

    /// What the service would answer.
    ///
    /// # Errors
    /// As [`App::compare`].
    pub(super) fn compare(&self, request: CompareRequest) -> Result<CompareResponse, Error> {
        self.runtime.block_on(self.app.compare(request)).map(|answer| answer.message)
    }
}
