//! The one way in which a policy is written: document, revision, references and audit entry in one batch.

use super::records::{RevisionRecord, policy_key, read, tables};
use super::{App, Caller, DOCUMENT_MAX_BYTES, Error, audit, etag, referrers};
use crate::pb::c1::api::policy::v1::Policy;
use crate::policy::{Path, Report, Warning, c1};
use crate::store::table::Key;
use crate::store::{self, Batch};
use bytes::Bytes;
use prost::Message;

/// A policy as it stands in the store.
pub(super) struct Current {
    /// The commit that wrote it: the condition of the next write.
    pub(super) revision: store::Revision,
    pub(super) record: RevisionRecord,
    pub(super) policy: Policy,
}

impl Current {
    pub(super) fn etag(&self) -> String {
        etag(self.record.number, &self.record.document)
    }
}

/// What the checks of a policy that may be written leave.
pub(super) struct Checked {
    /// The policy, encoded.
    pub(super) document: Bytes,
    pub(super) warnings: Vec<Warning>,
}

/// What one write does.
pub(super) struct PolicyWrite<'a> {
    pub(super) old: Option<&'a Current>,
    pub(super) new: &'a Policy,
    /// `new`, encoded.
    pub(super) document: Bytes,
    /// The paths of the update mask; empty for writes without one.
    pub(super) mask: Vec<String>,
    /// The number of the revision whose document is written again.
    pub(super) restores: Option<u64>,
}

impl App {
    /// The policy `id`, if there ever was one.
    pub(super) async fn current(&self, id: &str) -> Result<Option<Current>, Error> {
        let Some((revision, record)) = self.record(id).await? else { return Ok(None) };
        let policy = read(&record.document)?;
        Ok(Some(Current { revision, record, policy }))
    }

    /// The same, the document unread.
    pub(super) async fn record(&self, id: &str) -> Result<Option<(store::Revision, RevisionRecord)>, Error> {
        let Some(stored) = self.read(&policy_key(id)).await? else { return Ok(None) };
        Ok(Some((stored.revision, read(&stored.value)?)))
    }

    /// The state that the policy `id` had as its revision `number`.
    pub(super) async fn revision(&self, id: &str, number: u64) -> Result<Option<RevisionRecord>, Error> {
        if let Some(Current { record, .. }) = self.current(id).await?
            && record.number == number
        {
            return Ok(Some(record));
        }
        // It was replaced before, or since: either way it has been moved by now.
        let key = Key::new(tables::REVISION).text(id).u64(number).into_bytes();
        self.read(&key).await?.map(|stored| read(&stored.value)).transpose()
    }

    /// The policy `id`, if it is there and not deleted.
    pub(super) async fn live(&self, id: &str) -> Result<Current, Error> {
        let current = self.current(id).await?.filter(|current| current.policy.deleted_at.is_none());
        current.ok_or_else(|| Error::NotFound { id: id.to_owned() })
    }

    /// Checks all of `new`, which replaces `old`, and adds to `batch` the conditions under which what was found holds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation: of the document, of its references, of its scope and of its size, in this
    /// order.
    pub(super) async fn check(
        &self,
        batch: &mut Batch,
        old: Option<&Policy>,
        new: &Policy,
    ) -> Result<Checked, Error> {
        let mut report = Report::default();
        let root = Path::ROOT;
        c1::compile_into(&mut report, new, self.surroundings(old.map(|old| old.id.as_str())));
        self.check_references(&mut report, batch, old, new).await?;
        // A scope is given when a policy is created and never changes.
        if old.is_some_and(|old| old.scope != new.scope) {
            let message = "the scope of a policy cannot change; create another policy";
            report.refuse(&root.field("scope"), "SCOPE_IMMUTABLE", message);
        }
        let document = Bytes::from(new.encode_to_vec());
        if document.len() > DOCUMENT_MAX_BYTES {
            let message =
                format!("{} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes", document.len());
            report.refuse(&root, "DOCUMENT_TOO_LARGE", message);
        }
        Ok(Checked { document, warnings: report.finish()? })
    }

    /// Adds a write to `batch`, under the condition that nobody wrote the policy in between. Returns its etag.
    pub(super) fn write(&self, batch: &mut Batch, caller: &Caller, write: PolicyWrite<'_>) -> String {
        let PolicyWrite { old, new, document, mask, restores } = write;
        let number = old.map_or(0, |old| old.record.number) + 1;
        let etag = etag(number, &document);
        let time = new.deleted_at.or(new.updated_at);
        batch.journal(audit::written(time.unwrap_or_default(), caller, &new.id, &mask, number));
        let record = RevisionRecord {
            number,
            time,
            actor: caller.actor.clone(),
            method: caller.method.to_owned(),
            mask,
            document,
            restores: restores.unwrap_or(0),
        };
        let key = policy_key(&new.id);
        batch.require_unchanged(key.clone(), old.map(|old| old.revision));
        batch.put(key, record.encode_to_vec());
        if let Some(Current { record, .. }) = old {
            let key = Key::new(tables::REVISION).text(&new.id).u64(record.number).into_bytes();
            batch.put(key, record.encode_to_vec());
        }
        referrers::write(batch, old.map(|old| &old.policy), new);
        etag
    }

    /// Commits what a caller asked for, as [`App::commit`]. For one who only wants to know whether it would work, the store
    /// looks at the conditions, and at whether it takes writes at all, and that is all.
    pub(super) async fn commit_for(
        &self,
        caller: &Caller,
        batch: Batch,
    ) -> Result<Option<store::Revision>, Error> {
        let batch = if caller.validate_only { batch.without_effect()? } else { batch };
        self.commit(batch).await
    }

    /// Commits, as [`App::commit_for`], what [`App::write`] made of `policy`, and sees to it that lists and searches show
    /// it.
    pub(super) async fn commit_policy(
        &self,
        caller: &Caller,
        batch: Batch,
        policy: &Policy,
    ) -> Result<Option<store::Revision>, Error> {
        let committed = self.commit_for(caller, batch).await?;
        if let Some(revision) = committed
            && !caller.validate_only
        {
            self.catalogue.put(policy, revision);
        }
        Ok(committed)
    }

    /// Commits; `None` means that another write got in between and the operation must start again.
    pub(super) async fn commit(&self, batch: Batch) -> Result<Option<store::Revision>, Error> {
        match self.store.commit(batch).await {
            Ok(committed) => Ok(Some(committed.revision)),
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
