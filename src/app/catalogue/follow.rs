//! Makes the catalogue of a store and keeps it up to date from the store's feed of changes.

use super::Catalogue;
use crate::app::Error;
use crate::app::records::{RevisionRecord, policy_id_of, read, tables};
use crate::pb::c1::api::policy::v1::Policy;
use crate::store::table::Key;
use crate::store::{Change, Changes, ChangesError, Direction, Engine, Revision, SCAN_MAX_RECORDS, Stored};
use futures_util::FutureExt as _;
use std::sync::Arc;
use tokio::task::AbortHandle;

/// How many commits may be brought in before those who wait for the first of them are told.
const SHOWN_TOGETHER_MAX: usize = 256;

/// The task that follows the feed; it ends when this is dropped.
#[derive(Debug)]
pub(in crate::app) struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The catalogue of `store`, with every policy that is in it, and what keeps it up to date.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::app) async fn follow(store: Arc<dyn Engine>) -> Result<(Arc<Catalogue>, Following), Error> {
    let catalogue = Arc::new(Catalogue::new());
    // Subscribed before it is read: what is written in between is read, or comes, or both.
    let changes = store.changes();
    load(store.as_ref(), &catalogue).await?;
    catalogue.show(changes.since());
    let task = tokio::spawn(run(store, Arc::clone(&catalogue), changes));
    Ok((catalogue, Following(task.abort_handle())))
}

async fn run(store: Arc<dyn Engine>, catalogue: Arc<Catalogue>, mut changes: Changes) {
    let (mut brought_in, mut together) = (0, 0);
    let mut event = changes.next().await;
    loop {
        let seen = match event {
            Ok(change) => apply(store.as_ref(), &catalogue, &change).await.map(|()| change.revision),
            Err(ChangesError::Lagged { missed_commits }) => {
                tracing::warn!(missed_commits, "the catalogue fell behind and is read again");
                let revision = store.revision();
                load(store.as_ref(), &catalogue).await.map(|()| revision)
            }
            // Nothing more comes, and nobody shall wait for it.
            Err(ChangesError::Closed) => return catalogue.show(Revision::MAX),
        };
        match seen {
            Ok(revision) => brought_in = revision,
            // The next change of the policy, or the next start, brings it in.
            Err(error) => tracing::error!(%error, "a change could not be brought into the catalogue"),
        }
        // Commits come in groups, and everybody who waits is woken when more is shown: one by one would wake all for each.
        let ready = changes.next().now_or_never();
        together += 1;
        event = match ready {
            Some(next) if together < SHOWN_TOGETHER_MAX => next,
            ready => {
                catalogue.show(brought_in);
                together = 0;
                match ready {
                    Some(next) => next,
                    None => changes.next().await,
                }
            }
        };
    }
}

async fn apply(store: &dyn Engine, catalogue: &Catalogue, change: &Change) -> Result<(), Error> {
    for changed in &change.writes {
        if policy_id_of(changed.key()).is_some()
            && let Some(stored) = store.get(changed.key()).await?
        {
            put(catalogue, &stored)?;
        }
    }
    Ok(())
}

async fn load(store: &dyn Engine, catalogue: &Catalogue) -> Result<(), Error> {
    let mut range = Key::new(tables::POLICY).range();
    loop {
        let entries = store.scan(range.clone(), Direction::Ascending, SCAN_MAX_RECORDS).await?;
        for (_, stored) in &entries {
            put(catalogue, stored)?;
        }
        match entries.last() {
            Some((last, _)) if entries.len() == SCAN_MAX_RECORDS => range = range.after(last),
            _ => return Ok(()),
        }
    }
}

fn put(catalogue: &Catalogue, stored: &Stored) -> Result<(), Error> {
    let record: RevisionRecord = read(&stored.value)?;
    let policy: Policy = read(&record.document)?;
    catalogue.put(&policy);
    Ok(())
}
