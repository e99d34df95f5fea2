//! References looked up on a running service: each policy is asked for once.

use std::collections::HashMap;

use tonic::Code;

use super::dialect::Reference;
use super::finding::Finding;
use crate::cli::Failure;
use crate::cli::remote::{Remote, Service, refusal};
use crate::pb::c1::api::policy::v1::GetPolicyRequest;
use crate::pb::c1::api::policy::v1::policies_client::PoliciesClient;

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
    client: PoliciesClient<Service>,
    remote: Remote,
    seen: HashMap<String, Stored>,
}

impl Stock {
    pub(super) fn new(remote: Remote) -> Stock {
        Stock { client: PoliciesClient::new(remote.service()), remote, seen: HashMap::new() }
    }

    /// What is wrong with a reference, if anything.
    ///
    /// # Errors
    /// A sentence, if the service cannot tell.
    pub(super) fn fault(&mut self, reference: &Reference) -> Result<Option<Finding>, Failure> {
        let Reference { path, offset, target, policy_type } = reference;
        let (code, message) = match self.see(target)? {
            Stored::Absent => ("REFERENCE_NOT_FOUND", format!("policy {target} does not exist")),
            Stored::Deleted => ("REFERENCE_DELETED", format!("policy {target} has been deleted")),
            Stored::Live { policy_type: theirs } if theirs != *policy_type => {
                ("REFERENCE_TYPE_DIFFERS", format!("policy {target} is of another type than this one"))
            }
            Stored::Live { .. } => return Ok(None),
        };
        Ok(Some(Finding { path: path.clone(), ..Finding::violation(*offset, code, message) }))
    }

    fn see(&mut self, id: &str) -> Result<Stored, Failure> {
        if let Some(seen) = self.seen.get(id) {
            return Ok(*seen);
        }
        let answer = self.remote.call(self.client.get(GetPolicyRequest { id: id.to_owned() }));
        let stored = match answer {
            Ok(answer) => match answer.policy {
                Some(policy) if policy.deleted_at.is_some() => Stored::Deleted,
                Some(policy) => Stored::Live { policy_type: policy.policy_type },
                None => Stored::Absent,
            },
            Err(status) if status.code() == Code::NotFound => Stored::Absent,
            Err(status) => {
                let why = refusal(&status);
                return Err(Failure::usage(format!("the server cannot tell of policy {id}: {why}")));
            }
        };
        self.seen.insert(id.to_owned(), stored);
        Ok(stored)
    }
}
