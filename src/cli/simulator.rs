//! The simulation for commands: by default the service's own operation on an empty store in memory, with policies from files;
//! with `--server` that of a running service, with the policies that it has stored.

mod local;
mod server;

use std::ffi::OsString;

use super::Failure;
use super::check::{self, Dialects, Document, Severity};
use super::draw::Subject;
use super::remote::{self, Remote};
use super::terminal::printable;
use crate::pb::c1::api::policy::v1::Policy as C1Policy;
use crate::pb::countersign::v1::{
    PolicyDialect, PolicySource, SimulateRequest, SimulateResponse, policy_source::Policy,
};
use crate::policy::guardian::{self, Compat, Lint, Surroundings};
use crate::policy::{Violation, c1};
use crate::workflow::Nobody;
pub(super) use local::Local;
use server::Server;

/// What a simulation calls a policy without an id.
pub(super) const INLINE: &str = "inline";

/// Which service, if one is asked at all.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Stored {
    /// Ask this service about a policy that it has stored, http://HOST:PORT or https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    credentials: remote::Credentials,
}

impl Stored {
    /// Whether one is.
    pub(super) fn is_named(&self) -> bool {
        self.server.is_some()
    }
}

/// A policy, as a simulation is told of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// What to simulate.
    pub(super) source: PolicySource,
    /// The same with all documents in it, those that it may lead to among them.
    pub(super) documents: PolicySource,
}

/// Why there is no trace.
#[derive(Debug)]
pub(super) enum Refused {
    /// What is wrong with the call, at its places.
    Invalid(Vec<Violation>),
    /// A sentence, safe for a terminal.
    Failed(String),
}

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
        let mut all = check::documents(file, &dialects, shown)?.into_iter().map(|one| one.document);
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

    /// The policies of a source that has documents in it, as they are drawn. One that does not compile is left out.
    pub(super) fn subjects(self, documents: &PolicySource) -> Vec<Subject> {
        let mut subjects = Vec::new();
        match &documents.policy {
            Some(Policy::GuardianInline(policy)) => {
                let around = Surroundings {
                    compat: self.guardian_compat,
                    lint: Lint::Warn,
                    ..Surroundings::default()
                };
                let mut policy = policy.clone();
                guardian::prepare(&mut policy, around);
                let title = match policy.version {
                    0 => format!("Policy {}", policy.id),
                    version => format!("Policy {}, version {version}", policy.id),
                };
                let compiled = guardian::compile(&policy, around).ok();
                subjects.extend(compiled.map(|compiled| Subject {
                    id: policy.id,
                    title,
                    guardian: true,
                    workflow: compiled.workflow,
                }));
            }
            Some(Policy::Inline(policy)) => {
                subjects.extend(
                    [policy].into_iter().chain(&documents.others).filter_map(|one| self.subject(one)),
                );
            }
            _ => {}
        }
        subjects
    }

    fn subject(self, policy: &C1Policy) -> Option<Subject> {
        let mut policy = policy.clone();
        c1::prepare(&mut policy);
        let own_id = Some(policy.id.as_str()).filter(|id| !id.is_empty());
        let around = c1::Surroundings { own_id, nobody: self.empty_approvers };
        let workflow = c1::compile(&policy, around).ok()?.workflow;
        let id = own_id.unwrap_or(INLINE).to_owned();
        Some(Subject { id, title: policy.display_name, guardian: false, workflow })
    }
}

/// What simulates.
#[derive(Debug)]
pub(super) struct Simulator {
    settings: Settings,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Here(Box<Local>),
    There(Box<Server>),
}

impl Simulator {
    /// # Errors
    /// If the system gives no threads or no randomness, or the service cannot be reached.
    pub(super) fn open(
        settings: Settings,
        stored: Stored,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Simulator, Failure> {
        let place = match stored.server {
            None => Place::Here(Box::new(Local::open(settings)?)),
            Some(url) => Place::There(Box::new(Server::new(Remote::connect(url, stored.credentials, env)?))),
        };
        Ok(Simulator { settings, place })
    }

    /// Whether a service simulates what it has stored.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.place, Place::There(_))
    }

    /// The policy of this name: of a file, or with a service the stored one of this id, at a revision if one is given.
    ///
    /// # Errors
    /// As [`Settings::policy`]; or the service has none, or cannot tell.
    pub(super) fn policy(
        &mut self,
        name: &str,
        revision: Option<u64>,
        shown: Severity,
    ) -> Result<Found, Failure> {
        match &mut self.place {
            Place::There(server) => server.policy(name, revision, self.settings.dialect),
            Place::Here(_) if revision.is_some() => {
                Err(Failure::usage("only a server has revisions of a policy: --revision goes with --server"))
            }
            Place::Here(_) => {
                let source = self.settings.policy(name, shown)?;
                Ok(Found { documents: source.clone(), source })
            }
        }
    }

    /// What the service would answer, or answers.
    ///
    /// # Errors
    /// As [`crate::app::App::simulate`].
    pub(super) fn simulate(&mut self, request: SimulateRequest) -> Result<SimulateResponse, Refused> {
        match &mut self.place {
            Place::Here(local) => local.simulate(request),
            Place::There(server) => server.simulate(request),
        }
    }
}
