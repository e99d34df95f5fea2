//! The simulation of a running service, and the documents of the policies that it has stored.

use std::collections::{BTreeMap, VecDeque};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Found, Refused};
use crate::cli::Failure;
use crate::cli::check::Name;
use crate::cli::remote::{ANSWER_MAX_BYTES, Remote, Service, refusal};
use crate::cli::terminal::printable;
use crate::pb::c1::api::policy::v1::Policy as C1Policy;
use crate::pb::countersign::v1::revision::Document;
use crate::pb::countersign::v1::revisions_client::RevisionsClient;
use crate::pb::countersign::v1::simulator_client::SimulatorClient;
use crate::pb::countersign::v1::{
    GetRevisionRequest, PolicyDialect, PolicySource, Revision, SimulateRequest, SimulateResponse,
    policy_source::Policy,
};
use crate::policy::Violation;
use crate::policy::c1;

/// The most policies that are read because others lead to them.
const OTHERS_MAX: usize = 64;

/// A service to ask.
#[derive(Debug)]
pub(super) struct Server {
    remote: Remote,
    revisions: RevisionsClient<Service>,
    simulator: SimulatorClient<Service>,
    /// Policies that were asked for, by id, as they stand; `None` = there is none.
    seen: BTreeMap<String, Option<C1Policy>>,
}

impl Server {
    pub(super) fn new(remote: Remote) -> Server {
        let revisions = RevisionsClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
        let simulator = SimulatorClient::new(remote.service())
            .max_decoding_message_size(ANSWER_MAX_BYTES)
            .max_encoding_message_size(ANSWER_MAX_BYTES);
        Server { remote, revisions, simulator, seen: BTreeMap::new() }
    }

    /// A stored policy.
    ///
    /// # Errors
    /// A sentence: there is none, or the service cannot tell.
    pub(super) fn policy(
        &mut self,
        id: &str,
        revision: Option<u64>,
        dialect: Option<Name>,
    ) -> Result<Found, Failure> {
        let dialect = match dialect {
            None => PolicyDialect::Unspecified,
            Some(Name::C1) => PolicyDialect::C1,
            Some(Name::Guardian) => PolicyDialect::Guardian,
        };
        let number = revision.map_or_else(|| "latest".to_owned(), |number| number.to_string());
        let found = self.get(id, number, dialect);
        let found = found
            .map_err(|status| Failure::failed(format!("policy {}: {}", printable(id), refusal(&status))))?;
        match found.document {
            Some(Document::C1(policy)) => {
                let source = PolicySource {
                    policy: Some(Policy::Id(id.to_owned())),
                    revision: revision.unwrap_or(0),
                    ..PolicySource::default()
                };
                let others = self.led_to(&policy)?;
                let policy = Some(Policy::Inline(policy));
                Ok(Found { source, documents: PolicySource { policy, others, ..PolicySource::default() } })
            }
            Some(Document::Guardian(policy)) => {
                let version = u32::try_from(revision.unwrap_or(0)).unwrap_or(u32::MAX);
                let source = PolicySource {
                    policy: Some(Policy::GuardianId(id.to_owned())),
                    version,
                    ..PolicySource::default()
                };
                let policy = Some(Policy::GuardianInline(policy));
                Ok(Found { source, documents: PolicySource { policy, ..PolicySource::default() } })
            }
            None => Err(Failure::failed(format!("policy {}: the service shows no document", printable(id)))),
        }
    }

    fn get(&mut self, id: &str, revision: String, dialect: PolicyDialect) -> Result<Revision, Status> {
        let request = GetRevisionRequest { policy_id: id.to_owned(), revision, dialect: dialect.into() };
        self.remote.call(self.revisions.get(request))
    }

    /// Every stored policy that one may lead to, directly or through others.
    fn led_to(&mut self, first: &C1Policy) -> Result<Vec<C1Policy>, Failure> {
        let ids = |policy: &C1Policy| c1::references(policy).into_iter().map(|one| one.target);
        let mut open: VecDeque<String> = ids(first).collect();
        let mut others: Vec<C1Policy> = Vec::new();
        while let Some(id) = open.pop_front() {
            let known = id == first.id || others.iter().any(|one| one.id == id);
            if known || others.len() >= OTHERS_MAX {
                continue;
            }
            if let Some(policy) = self.latest(&id)? {
                open.extend(ids(&policy));
                others.push(policy);
            }
        }
        Ok(others)
    }

    fn latest(&mut self, id: &str) -> Result<Option<C1Policy>, Failure> {
        if let Some(seen) = self.seen.get(id) {
            return Ok(seen.clone());
        }
        let found = match self.get(id, "latest".to_owned(), PolicyDialect::C1) {
            Ok(Revision { document: Some(Document::C1(policy)), .. }) => Some(policy),
            Ok(_) => None,
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => {
                return Err(Failure::failed(format!("policy {}: {}", printable(id), refusal(&status))));
            }
        };
        self.seen.insert(id.to_owned(), found.clone());
        Ok(found)
    }

    /// What the service answers.
    ///
    /// # Errors
    /// What it says instead.
    pub(super) fn simulate(&mut self, request: SimulateRequest) -> Result<SimulateResponse, Refused> {
        self.remote.call(self.simulator.simulate(request)).map_err(|status| refused(&status))
    }
}

fn refused(status: &Status) -> Refused {
    let details =
        status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    if status.code() != Code::InvalidArgument || details.is_empty() {
        return Refused::Failed(refusal(status));
    }
    // Codes live as long as the program; those of one refusal are few and short.
    let violation = details.into_iter().map(|one| Violation {
        path: one.field,
        span: None,
        code: one.reason.leak(),
        message: one.description,
    });
    Refused::Invalid(violation.collect())
}
