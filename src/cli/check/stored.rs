//! References looked up on a running service: each policy is asked for once.

use std::collections::HashMap;

use tonic::{Code, Status};

use super::dialect::{Reference, Target};
use super::finding::Finding;
use crate::cli::Failure;
use crate::cli::remote::{Remote, Service, refusal};
use crate::pb::c1::api::policy::v1::GetPolicyRequest;
use crate::pb::c1::api::policy::v1::policies_client::PoliciesClient;
use crate::pb::gotocompany::guardian::v1beta1::GetPolicyRequest as GetGuardianPolicy;
use crate::pb::gotocompany::guardian::v1beta1::guardian_service_client::GuardianServiceClient;

/// What is known of a stored policy.
#[derive(Clone, Copy, Debug)]
enum Stored {
    Absent,
    Deleted,
    Live { policy_type: i32 },
}

/// A service to ask.
#[derive(Debug)]
pub(super) struct Stock {
    c1: PoliciesClient<Service>,
    guardian: GuardianServiceClient<Service>,
    remote: Remote,
    /// What was asked for: an id of ours, or an id and version of Guardian's.
    seen: HashMap<(String, Option<i32>), Stored>,
}

impl Stock {
    pub(super) fn new(remote: Remote) -> Stock {
        let (c1, guardian) =
            (PoliciesClient::new(remote.service()), GuardianServiceClient::new(remote.service()));
        Stock { c1, guardian, remote, seen: HashMap::new() }
    }

    /// What is wrong with a reference, if anything.
    ///
    /// # Errors
    /// A sentence, if the service cannot tell.
    pub(super) fn fault(&mut self, reference: &Reference) -> Result<Option<Finding>, Failure> {
        let Reference { path, offset, target } = reference;
        let fault = match target {
            Target::C1 { id, policy_type } => match self.see(id, None)? {
                Stored::Absent => {
                    Finding::violation(*offset, "REFERENCE_NOT_FOUND", format!("policy {id} does not exist"))
                }
                Stored::Deleted => {
                    Finding::violation(*offset, "REFERENCE_DELETED", format!("policy {id} has been deleted"))
                }
                Stored::Live { policy_type: theirs } if theirs != *policy_type => {
                    let message = format!("policy {id} is of another type than this one");
                    Finding::violation(*offset, "REFERENCE_TYPE_DIFFERS", message)
                }
                Stored::Live { .. } => return Ok(None),
            },
            Target::Guardian { id, version, severity } => match self.see(id, Some(*version))? {
                Stored::Absent => {
                    let message = format!("there is no version {version} of policy {id}");
                    let fault = Finding::violation(*offset, "POLICY_REFERENCE_UNKNOWN", message);
                    Finding { severity: *severity, ..fault }
                }
                Stored::Deleted | Stored::Live { .. } => return Ok(None),
            },
        };
        Ok(Some(Finding { path: path.clone(), ..fault }))
    }

    fn see(&mut self, id: &str, version: Option<i32>) -> Result<Stored, Failure> {
        let key = (id.to_owned(), version);
        if let Some(seen) = self.seen.get(&key) {
            return Ok(*seen);
        }
        let answer = match version {
            None => self.ask_c1(id),
            Some(version) => self.ask_guardian(id, version),
        };
        let stored = match answer {
            Ok(stored) => stored,
            Err(status) if status.code() == Code::NotFound => Stored::Absent,
            Err(status) => {
                let why = refusal(&status);
                return Err(Failure::usage(format!("the server cannot tell of policy {id}: {why}")));
            }
        };
        self.seen.insert(key, stored);
        Ok(stored)
    }

    fn ask_c1(&mut self, id: &str) -> Result<Stored, Status> {
        let answer = self.remote.call(self.c1.get(GetPolicyRequest { id: id.to_owned() }))?;
        Ok(match answer.policy {
            Some(policy) if policy.deleted_at.is_some() => Stored::Deleted,
            Some(policy) => Stored::Live { policy_type: policy.policy_type },
            None => Stored::Absent,
        })
    }

    fn ask_guardian(&mut self, id: &str, version: i32) -> Result<Stored, Status> {
        // 0 would be the latest, which no requirement can name.
        let Some(version) = u32::try_from(version).ok().filter(|version| *version > 0) else {
            return Ok(Stored::Absent);
        };
        let request = GetGuardianPolicy { id: id.to_owned(), version };
        self.remote.call(self.guardian.get_policy(request))?;
        Ok(Stored::Live { policy_type: 0 })
    }
}
