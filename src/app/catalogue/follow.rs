//! Makes the catalogue of a store and keeps it up to date from the store's feed of changes.

use super::Catalogue;
use crate::app::Error;
use crate::app::records::{
    GuardianHead, GuardianRecord, RevisionRecord, guardian_head_key, guardian_id_of, guardian_key,
    policy_id_of, read, tables,
};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::gotocompany::guardian::v1beta1::Policy as GuardianPolicy;
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
        let key = changed.key();
        if let Some(id) = policy_id_of(key)
            && !catalogue.shows(&id, change.revision)
            && let Some(stored) = store.get(key).await?
        {
            put(catalogue, &stored)?;
        }
        if let Some(id) = guardian_id_of(key)
            && !catalogue.versions().shows(&id, change.revision)
        {
            put_versions(store, catalogue, &id).await?;
        }
    }
    Ok(())
}

async fn load(store: &dyn Engine, catalogue: &Catalogue) -> Result<(), Error> {
    load_table(store, tables::POLICY, |stored| put(catalogue, stored)).await?;
    // In this order: a version that is moved meanwhile goes from the first table to the second.
    load_table(store, tables::G_HEAD, |stored| match read::<GuardianHead>(&stored.value)?.record {
        Some(record) => put_version(catalogue, &record, stored),
        None => Ok(()),
    })
    .await?;
    load_table(store, tables::G_VERSION, |stored| put_version(catalogue, &read(&stored.value)?, stored)).await
}

async fn load_table(
    store: &dyn Engine,
    table: u8,
    mut put: impl FnMut(&Stored) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut range = Key::new(table).range();
    loop {
        let entries = store.scan(range.clone(), Direction::Ascending, SCAN_MAX_RECORDS).await?;
        for (_, stored) in &entries {
            put(stored)?;
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

fn put_version(catalogue: &Catalogue, record: &GuardianRecord, stored: &Stored) -> Result<(), Error> {
    catalogue.put_version(&read::<GuardianPolicy>(&record.document)?, stored.revision);
    Ok(())
}

/// Puts in the versions of a Guardian policy that are stored and not known yet.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::app) async fn put_versions(
    store: &dyn Engine,
    catalogue: &Catalogue,
    id: &str,
) -> Result<(), Error> {
    let Some(stored) = store.get(&guardian_head_key(id)).await? else { return Ok(()) };
    let GuardianHead { latest, record } = read(&stored.value)?;
    let missing = catalogue.versions().missing(id, latest);
    for version in missing {
        let record = match &record {
            Some(record) if version == latest => record.clone(),
            _ => match store.get(&guardian_key(id, version)).await? {
                Some(stored) => read(&stored.value)?,
                None => {
                    tracing::error!(id, version, "a version of a policy is not where it should be");
                    continue;
                }
            },
        };
        put_version(catalogue, &record, &stored)?;
    }
    Ok(())
}
