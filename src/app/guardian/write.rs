//! How the versions of a Guardian policy are kept: the latest with the head, those before it each for itself. And the one way in
//! which one is written: with the audit entry, in one batch.

use super::Document;
use super::revisions::etag_of_masked;
use crate::app::catalogue::put_versions;
use crate::app::records::{self, GuardianHead, GuardianRecord, guardian_head_key, guardian_key};
use crate::app::{App, Caller, DOCUMENT_MAX_BYTES, Error, audit, error::invalid, etag};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::secrets;
use crate::store::{self, Batch};
use bytes::Bytes;
use prost::Message;

/// The latest version of a policy, and the commit that wrote it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) revision: store::Revision,
    pub(super) latest: u32,
    pub(super) record: GuardianRecord,
    /// It stands among the versions before it already, as releases before format 3 kept it.
    apart: bool,
}

/// A document as it is kept.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Encoded, its secrets sealed.
    pub(super) bytes: Bytes,
    /// Of what everybody may read of it, so that new keys for the secrets change none.
    pub(super) etag: String,
}

impl App {
    /// The head of the policy `id`, if there is one.
    pub(super) async fn guardian_head(&self, id: &str) -> Result<Option<Head>, Error> {
        let Some(stored) = self.read(&guardian_head_key(id)).await? else { return Ok(None) };
        let GuardianHead { latest, record } = records::read(&stored.value)?;
        let apart = record.is_none();
        let record = match record {
            Some(record) => record,
            None => self.guardian_before(id, latest).await?.ok_or(Error::Damaged)?,
        };
        Ok(Some(Head { revision: stored.revision, latest, record, apart }))
    }

    /// A stored version, 0 for the latest; its secrets still sealed.
    pub(super) async fn guardian_record(
        &self,
        id: &str,
        version: u32,
    ) -> Result<Option<GuardianRecord>, Error> {
        // Most often it is known to be an earlier one, which has been moved by then.
        if version != 0 && self.catalogue.versions().latest(id) > Some(version) {
            return self.guardian_before(id, version).await;
        }
        match self.guardian_head(id).await? {
            Some(head) if version == 0 || version == head.latest => Ok(Some(head.record)),
            Some(head) if version < head.latest => self.guardian_before(id, version).await,
            _ => Ok(None),
        }
    }

    /// A version that is not the latest.
    async fn guardian_before(&self, id: &str, version: u32) -> Result<Option<GuardianRecord>, Error> {
        let stored = self.read(&guardian_key(id, version)).await?;
        stored.map(|stored| records::read(&stored.value)).transpose()
    }

    /// As [`App::guardian_record`], the document read.
    pub(super) async fn guardian_version(&self, id: &str, version: u32) -> Result<Option<Document>, Error> {
        let Some(record) = self.guardian_record(id, version).await? else { return Ok(None) };
        let policy = records::read::<Policy>(&record.document)?;
        Ok(Some(Document {
            policy,
            title: record.title,
            created_by: record.created_by,
            ..Document::default()
        }))
    }

    /// The document as it is kept.
    ///
    /// # Errors
    /// [`Error::NoSecretsKey`] for a document with secrets if there is no key; a document that is too large.
    pub(super) fn guardian_sealed(&self, policy: &Policy) -> Result<Sealed, Error> {
        let (bytes, etag) = if secrets::has_places(policy) {
            let mut sealed = policy.clone();
            let (id, keys) = (&policy.id, &self.guardian.keys);
            let seal = |place: &str, plain: &[u8]| keys.seal(self.clock.as_ref(), &aad(id, place), plain);
            secrets::seal(&mut sealed, seal)?;
            let bytes = sealed.encode_to_vec();
            // Nothing is left of a secret, sealed or not.
            secrets::mask(&mut sealed);
            (bytes, etag_of_masked(&sealed))
        } else {
            let bytes = policy.encode_to_vec();
            let etag = etag(policy.version.into(), &bytes);
            (bytes, etag)
        };
        if bytes.len() > DOCUMENT_MAX_BYTES {
            return Err(too_large(bytes.len()));
        }
        Ok(Sealed { bytes: bytes.into(), etag })
    }

    /// Stores a version after `before`, or the first one; it has its number and its times. Returns the record of it; `None` =
    /// nothing was stored, because somebody else wrote the policy in between.
    pub(super) async fn guardian_write(
        &self,
        caller: &Caller,
        before: Option<Head>,
        document: &Document,
        sealed: &Sealed,
    ) -> Result<Option<GuardianRecord>, Error> {
        let Document { policy, title, created_by, restores, etag: _ } = document;
        let now = self.clock.now();
        let record = GuardianRecord {
            document: sealed.bytes.clone(),
            time: Some(now),
            actor: caller.actor.clone(),
            method: caller.method.to_owned(),
            title: title.clone(),
            created_by: created_by.clone(),
            restores: restores.unwrap_or(0),
        };
        let key = guardian_head_key(&policy.id);
        let mut batch = Batch::new();
        batch.require_unchanged(key.clone(), before.as_ref().map(|head| head.revision));
        let head = GuardianHead { latest: policy.version, record: Some(record) };
        batch.put(key, head.encode_to_vec());
        if let Some(Head { latest, record, apart: false, .. }) = before {
            batch.put(guardian_key(&policy.id, latest), record.encode_to_vec());
        }
        batch.journal(audit::written(now, caller, &policy.id, &[], policy.version.into()));
        let Some(revision) = self.commit_for(caller, batch).await? else { return Ok(None) };
        if !caller.validate_only {
            self.catalogue.put_version(policy, revision);
            self.guardian_show(&policy.id, revision).await;
        }
        Ok(head.record)
    }

    /// Sees to it that lists show every version of a policy that was stored up to a commit, or that there is now: whoever wrote
    /// one may not have come so far yet as to put it into the catalogue, and the answer to this caller tells of it.
    pub(super) async fn guardian_show(&self, id: &str, revision: store::Revision) {
        if self.catalogue.versions().shows(id, revision) {
            return;
        }
        if let Err(error) = put_versions(self.store.as_ref(), &self.catalogue, id).await {
            // The feed brings it in, a moment later.
            tracing::error!(%error, id, "the versions of a policy could not be read");
        }
    }

    /// Sets the times that the client left out.
    pub(super) fn guardian_stamp(&self, policy: &mut Policy) {
        let now = self.clock.now();
        for time in [&mut policy.created_at, &mut policy.updated_at] {
            time.get_or_insert(now);
        }
    }
}

pub(super) fn too_large(bytes: usize) -> Error {
    let message = format!("{bytes} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
    invalid("", "DOCUMENT_TOO_LARGE", message)
}

/// What a sealed text is bound to: the policy and the place in it, whatever the version.
pub(super) fn aad(id: &str, place: &str) -> String {
    format!("{}:{id}:{place}", id.len())
}
