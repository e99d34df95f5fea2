//! Makes the catalogue of a store and keeps it up to date from the store's feed of changes.

use super::Catalogue;
use crate::app::Error;
use crate::app::records::{RevisionRecord, policy_id_of, read, tables};
use crate::pb::c1::api::policy::v1::Policy;
use crate::store::table::Key;
use crate::store::{Change, Changes, ChangesError, Direction, Engine, SCAN_MAX_RECORDS, Stored};
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long a change may wait before it is brought in, if whoever wrote it has not done so. Commits come in groups, and
/// are looked at together; most are found to be there already.
const PAUSE: Duration = Duration::from_millis(2);

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
    let task = tokio::spawn(run(store, Arc::clone(&catalogue), changes));
    Ok((catalogue, Following(task.abort_handle())))
}

async fn run(store: Arc<dyn Engine>, catalogue: Arc<Catalogue>, mut changes: Changes) {
    loop {
        let mut event = changes.next().await;
        tokio::time::sleep(PAUSE).await;
        loop {
            let brought_in = match event {
                Ok(change) => apply(store.as_ref(), &catalogue, &change).await,
                Err(ChangesError::Lagged { missed_commits }) => {
                    tracing::warn!(missed_commits, "the catalogue fell behind and is read again");
                    load(store.as_ref(), &catalogue).await
                }
                Err(ChangesError::Closed) => return,
            };
            if let Err(error) = brought_in {
                // The next change of the policy, or the next start, brings it in.
                tracing::error!(%error, "a change could not be brought into the catalogue");
            }
            match changes.next().now_or_never() {
                Some(next) => event = next,
                None => break,
            }
        }
    }
}

async fn apply(store: &dyn Engine, catalogue: &Catalogue, change: &Change) -> Result<(), Error> {
    for changed in &change.writes {
        if let Some(id) = policy_id_of(changed.key())
            && !catalogue.shows(&id, change.revision)
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
    catalogue.put(&policy, stored.revision);
    Ok(())
}
