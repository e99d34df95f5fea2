//! The operations: what the service does, without a wire in sight.
//!
//! Each operation reads what it needs, checks the whole result, and writes one batch with the conditions under which it
//! is right. If another write gets in between, the conditions fail and the operation starts again from the read. The
//! clock and the maker of ids are handed in ([`Clock`]); the store is any [`Engine`].

mod analyze;
mod answer;
mod audit;
mod catalogue;
mod clock;
mod compare;
mod compute;
mod error;
mod etag;
mod expressions;
mod guardian;
mod page;
mod policies;
mod records;
mod references;
mod referrers;
mod replay;
mod revisions;
mod search;
mod secrets;
mod simulate;
mod workflows;
pub mod world;
mod words;
mod write;

pub use analyze::{ANALYSED_DEFAULT, ANALYSED_MAX, FINDINGS_MAX, INVARIANTS_MAX};
pub use answer::{Answer, Caller};
pub use audit::{Attempt, OnDropped, Verified, Verifier, Witness, verify_store};
pub use clock::{Clock, NoEntropy, SystemClock};
pub use compare::{CHANGES_MAX, EXAMPLES_DEFAULT, EXAMPLES_MAX, REQUESTS_MAX};
pub use error::{Error, GuardianCode, REFERRERS_LISTED_MAX};
pub use etag::etag;
pub use guardian::{Guardian, Rotated};
pub use page::{PAGE_DEFAULT, PAGE_MAX};
pub use secrets::{Keys, KeysError};
pub use simulate::{Batch as SimulatedBatch, CASES_MAX, HAPPENINGS_MAX};
pub use workflows::{Uncompiled, WORKFLOWS_CACHED_MAX};

use crate::pb;
use crate::store::table::Key;
use crate::store::{self, Batch, Engine, Stored};
use crate::wire;
use crate::workflow::Nobody;
use audit::Failures;
use catalogue::{Catalogue, Following};
use page::Tokens;
use records::tables;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use workflows::Workflows;

/// How often an operation starts again when other writes got in between.
pub const ATTEMPTS_MAX: u32 = 16;

/// The largest document, encoded, in bytes.
pub const DOCUMENT_MAX_BYTES: usize = 128 * 1024;

/// When a caller that met a full queue should try again.
const BUSY_RETRY_AFTER: Duration = Duration::from_millis(200);

/// The operations on one store.
#[derive(Debug)]
pub struct App {
    store: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    /// The greatest id in the store when it was opened; new ones come after it.
    newest: Uuid,
    /// How a field mask sees a policy.
    policy_type: wire::Type,
    /// What happens where a document does not say what happens when nobody is found to ask.
    nobody: Nobody,
    workflows: Workflows,
    catalogue: Arc<Catalogue>,
    _following: Following,
    failures: Failures,
    guardian: Guardian,
    compute: compute::Compute,
}

/// Why the operations cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store does not answer.
    #[error("the store cannot be read: {0}")]
    Store(#[from] store::Error),
    /// A policy in it cannot be read.
    #[error("the policies in the store cannot be read: {0}")]
    Policies(#[from] Error),
    /// A key of the store's own is not one.
    #[error("the store's own key is damaged; restore the data directory from a backup")]
    TokenKey,
    /// No secret can be made.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The program was built wrongly.
    #[error("the protobuf descriptors lack {0}")]
    Descriptor(&'static str),
}

impl App {
    /// Operations on `store`; on a new store, this writes the key that seals its page tokens. `nobody` is what happens
    /// where a document does not say what happens when nobody is found to ask.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn open(
        store: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        nobody: Nobody,
    ) -> Result<App, OpenError> {
        const POLICY: &str = "c1.api.policy.v1.Policy";
        let policy_type =
            wire::Schema::new(pb::pool()).message(POLICY).ok_or(OpenError::Descriptor(POLICY))?;
        let tokens = Tokens::new(own_key(store.as_ref(), clock.as_ref(), "token-key").await?);
        let (catalogue, following) = catalogue::follow(Arc::clone(&store)).await?;
        let newest = catalogue.entries().newest();
        let failures = Failures::start(Arc::clone(&store));
        Ok(App {
            store,
            clock,
            tokens,
            newest,
            policy_type,
            nobody,
            workflows: Workflows::default(),
            catalogue,
            _following: following,
            failures,
            guardian: Guardian::default(),
            compute: compute::Compute::default(),
        })
    }

    /// The same operations, with other settings for Guardian's policies.
    #[must_use]
    pub fn with_guardian(self, guardian: Guardian) -> App {
        App { guardian, ..self }
    }

    /// The key that seals access tokens: one for all processes on the store.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn access_token_key(&self) -> Result<[u8; 32], OpenError> {
        own_key(self.store.as_ref(), self.clock.as_ref(), "access-token-key").await
    }

    /// Reads one record.
    async fn read(&self, key: &[u8]) -> Result<Option<Stored>, Error> {
        Ok(self.store.get(key).await?)
    }
}

/// A secret of the store's own; made once for each store and name, so that what it seals outlives a restart.
async fn own_key(store: &dyn Engine, clock: &dyn Clock, name: &str) -> Result<[u8; 32], OpenError> {
    let key = Key::new(tables::SETTING).text(name).into_bytes();
    if store.get(&key).await?.is_none() {
        let mut batch = Batch::new();
        batch.require_absent(key.clone()).put(key.clone(), clock.secret()?.to_vec());
        match store.commit(batch).await {
            // On a conflict somebody else made it in between, and theirs is as good.
            Ok(_) | Err(store::Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stored = store.get(&key).await?.ok_or(OpenError::TokenKey)?;
    <[u8; 32]>::try_from(stored.value.as_ref()).map_err(|_| OpenError::TokenKey)
}

impl From<store::Error> for Error {
    /// A conflict is not for here: operations start again on one.
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full { .. } => Error::StoreFull,
            store::Error::Busy => Error::Busy { retry_after: BUSY_RETRY_AFTER },
            store::Error::NotReady { .. } | store::Error::Closed => Error::NotReady,
            store::Error::Corrupt { .. } => {
                tracing::error!(%error, "a stored record is damaged");
                Error::Damaged
            }
            store::Error::Conflict { .. } | store::Error::TooLarge { .. } | store::Error::Reserved { .. } => {
                Error::Internal(error.to_string())
            }
        }
    }
}
