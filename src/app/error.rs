//! What an operation can fail with; each variant says what the caller should do.
//!
//! Texts here are for clients: no driver text, no path of the machine, no document. `rpc::status` makes a gRPC status
//! of each, in one function.

use crate::policy::{Violation, Violations};
use std::time::Duration;

/// Why an operation did not happen. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request or the resulting document is wrong: mend it, do not retry.
    #[error("{}", summary(.0))]
    Invalid(Violations),
    /// There is no such policy, or it has been deleted.
    #[error("policy {id} does not exist")]
    NotFound {
        /// The id that was asked for.
        id: String,
    },
    /// There is no such version of a Guardian policy. The text is Guardian's, because its clients look for it.
    #[error("policy not found")]
    NoSuchVersion {
        /// The id that was asked for.
        id: String,
        /// The version that was asked for; 0 = the latest.
        version: u32,
    },
    /// The policy never had this revision.
    #[error("policy {id} has no revision {number}")]
    NoSuchRevision {
        /// The policy.
        id: String,
        /// The number that was asked for.
        number: u64,
    },
    /// A Guardian policy with this id exists: update it, or take another id.
    #[error("policy {id} exists already")]
    AlreadyExists {
        /// The id.
        id: String,
    },
    /// The policy has secrets and the service has no key: an operator must give it one.
    #[error(
        "the policy has secrets, and this service has no key to encrypt them with: set --secrets-keys to \
         file:PATH or env:VARIABLE, holding 32 bytes in base64 (openssl rand -base64 32)"
    )]
    NoSecretsKey,
    /// The policy was encrypted with a key that the service was not given: an operator must give it that one, too.
    #[error("the policy was encrypted with key {key}, which is not among --secrets-keys")]
    SecretsKeyMissing {
        /// The name of the key.
        key: String,
    },
    /// What Guardian would answer, faults included.
    #[error("{message}")]
    AsGuardian {
        /// One of the codes that Guardian uses.
        code: GuardianCode,
        /// Its text.
        message: String,
    },
    /// The policy was stored by an earlier version, and has faults that this one does not store: mend it by an update.
    #[error("policy {id} does not compile: {}", summary(.violations))]
    Uncompiled {
        /// The policy.
        id: String,
        /// What is wrong with it.
        violations: Violations,
    },
    /// An `Idempotency-Key` was used before, for another request: use a new key.
    #[error("the idempotency key was used before for another request")]
    KeyReused,
    /// Others refer to the policy: change those first.
    #[error("policy {id} is still in use by {} of other policies", count(.referrers.len(), "reference"))]
    InUse {
        /// The policy that was to be deleted.
        id: String,
        /// Ids of the policies that refer to it, at most [`REFERRERS_LISTED_MAX`].
        referrers: Vec<String>,
    },
    /// The policy is not the one that the caller read: read it again, then decide.
    #[error("policy {id} has changed since it was read: its etag is now {etag}")]
    EtagMismatch {
        /// The policy.
        id: String,
        /// Its etag now.
        etag: String,
    },
    /// Others kept writing what this request depends on: retry from the read.
    #[error("other writes got in the way {attempts} times; read again and retry")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// There is no room for the write: retry later; reads go on.
    #[error("the disk of the service is full; reads go on, writes resume when there is room")]
    StoreFull,
    /// Too many writes are waiting: retry after the given time.
    #[error("too many writes are waiting")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store acknowledges nothing any more: another replica, or an operator, must help.
    #[error("the store of the service takes no more writes")]
    NotReady,
    /// A record is damaged. The log has its key.
    #[error("a stored record is damaged")]
    Damaged,
    /// A fault of ours. The log has the cause.
    #[error("internal error")]
    Internal(String),
}

/// The codes that Guardian's policy calls answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardianCode {
    /// For an update without an id.
    InvalidArgument,
    /// For an unknown policy.
    NotFound,
    /// For everything else.
    Internal,
}

/// The most referrers that one refusal to delete names.
pub const REFERRERS_LISTED_MAX: usize = 20;

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Error::Invalid(violations)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Error::Invalid(violation.into())
    }
}

/// One violation of a request, outside the documents that `policy` checks.
pub(super) fn invalid(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Error {
    violation(path, code, message).into()
}

/// The same, for a check that notes it beside others.
pub(super) fn violation(
    path: impl Into<String>,
    code: &'static str,
    message: impl Into<String>,
) -> Violation {
    Violation { path: path.into(), span: None, code, message: message.into() }
}

/// The first violation in full and how many more there are, since a status message is one line.
fn summary(violations: &Violations) -> String {
    let Some(first) = violations.iter().next() else { return "invalid".to_owned() };
    let place = if first.path.is_empty() { String::new() } else { format!("{}: ", first.path) };
    match violations.total().saturating_sub(1) {
        0 => format!("{place}{}", first.message),
        more => format!("{place}{} (and {})", first.message, count(more, "more violation")),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}
