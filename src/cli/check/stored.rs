//! References looked up on a running service: each policy is asked for once.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::dialect::Reference;
use super::finding::Finding;
use crate::pb::c1::api::policy::v1::GetPolicyRequest;
use crate::pb::c1::api::policy::v1::policies_client::PoliciesClient;

/// How long a connection, and each answer, may take.
const PATIENCE_S: u64 = 10;

/// What is known of a stored policy.
#[derive(Clone, Copy, Debug)]
enum Stored {
    Absent,
    Deleted,
    Live { policy_type: i32 },
}

/// A service to ask.
pub(super) struct Stock {
    client: PoliciesClient<Channel>,
    runtime: tokio::runtime::Runtime,
    seen: HashMap<String, Stored>,
}

impl Stock {
    /// Connects to the gRPC port at `url`.
    ///
    /// # Errors
    /// A sentence: the URL is none of ours, or nobody answers there.
    pub(super) fn connect(url: &str) -> Result<Stock, String> {
        if !url.starts_with("http://") {
            return Err(format!("--server {url}: expected http://HOST:PORT"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let patience = Duration::from_secs(PATIENCE_S);
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|_| format!("--server {url}: expected http://HOST:PORT"))?
            .connect_timeout(patience)
            .timeout(patience);
        let channel = runtime.block_on(endpoint.connect());
        let channel = channel.map_err(|error| format!("--server {url}: {}", with_causes(&error)))?;
        Ok(Stock { client: PoliciesClient::new(channel), runtime, seen: HashMap::new() })
    }

    /// What is wrong with a reference, if anything.
    ///
    /// # Errors
    /// A sentence, if the service cannot tell.
    pub(super) fn fault(&mut self, reference: &Reference) -> Result<Option<Finding>, String> {
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

    fn see(&mut self, id: &str) -> Result<Stored, String> {
        if let Some(seen) = self.seen.get(id) {
            return Ok(*seen);
        }
        let answer = self.runtime.block_on(self.client.get(GetPolicyRequest { id: id.to_owned() }));
        let stored = match answer {
            Ok(answer) => match answer.into_inner().policy {
                Some(policy) if policy.deleted_at.is_some() => Stored::Deleted,
                Some(policy) => Stored::Live { policy_type: policy.policy_type },
                None => Stored::Absent,
            },
            Err(status) if status.code() == Code::NotFound => Stored::Absent,
            Err(status) => {
                return Err(format!("the server cannot tell of policy {id}: {}", status.message()));
            }
        };
        self.seen.insert(id.to_owned(), stored);
        Ok(stored)
    }
}

/// An error with what caused it; tonic's own sentence is "transport error".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(": ");
        sentence.push_str(&error.to_string());
        cause = error.source();
    }
    sentence
}
