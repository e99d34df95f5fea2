//! The one way in which a version of a Guardian policy is written: version, head, place in the list and audit entry in one
//! batch.

use super::Document;
use crate::app::records::{self, GuardianHead, GuardianRecord, guardian_key, guardian_time_key, tables};
use crate::app::{App, Caller, DOCUMENT_MAX_BYTES, Error, audit, error::invalid};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::secrets;
use crate::store::table::Key;
use crate::store::{self, Batch, Direction};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

/// What Go has as no time at all: the first instant of the year 1, in seconds since 1970.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// How many versions a policy has, and the commit that wrote so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) revision: store::Revision,
    pub(super) latest: u32,
}

impl App {
    /// The head of the policy `id`, if there is one.
    pub(super) async fn guardian_head(&self, id: &str) -> Result<Option<Head>, Error> {
        let Some(stored) = self.read(&head_key(id)).await? else { return Ok(None) };
        let GuardianHead { latest } = records::read(&stored.value)?;
        Ok(Some(Head { revision: stored.revision, latest }))
    }

    /// The ids of the policies after one, in their order.
    pub(in crate::app) async fn guardian_ids_after(
        &self,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<String>, Error> {
        let mut range = Key::new(tables::G_HEAD).range();
        if let Some(id) = after {
            range = range.after(&head_key(id));
        }
        let entries = self.store.scan(range, Direction::Ascending, count).await?;
        entries.iter().map(|(key, _)| records::guardian_head_of(key)).collect()
    }

    /// A stored version, its secrets still sealed.
    pub(super) async fn guardian_version(&self, id: &str, version: u32) -> Result<Option<Document>, Error> {
        let Some(stored) = self.read(&guardian_key(id, version)).await? else { return Ok(None) };
        let record: GuardianRecord = records::read(&stored.value)?;
        let policy = records::read::<Policy>(&record.document)?;
        Ok(Some(Document {
            policy,
            title: record.title,
            created_by: record.created_by,
            ..Document::default()
        }))
    }

    /// The document as it is kept: its secrets sealed.
    ///
    /// # Errors
    /// [`Error::NoSecretsKey`] for a document with secrets if there is no key; a document that is too large.
    pub(super) fn guardian_sealed(&self, policy: &Policy) -> Result<Policy, Error> {
        let mut sealed = policy.clone();
        let id = &policy.id;
        let keys = &self.guardian.keys;
        secrets::seal(&mut sealed, |place, plain| keys.seal(self.clock.as_ref(), &aad(id, place), plain))?;
        let bytes = sealed.encoded_len();
        if bytes > DOCUMENT_MAX_BYTES {
            return Err(too_large(bytes));
        }
        Ok(sealed)
    }

    /// Adds a write of a version to `batch`, under the condition that nobody wrote the policy in between. `document` has
    /// its version, its times and its secrets sealed.
    pub(super) fn guardian_write(
        &self,
        batch: &mut Batch,
        caller: &Caller,
        before: Option<Head>,
        document: &Document,
    ) {
        let Document { policy, title, created_by, restores, etag: _ } = document;
        let head = head_key(&policy.id);
        batch.require_unchanged(head.clone(), before.map(|head| head.revision));
        batch.put(head, GuardianHead { latest: policy.version }.encode_to_vec());
        let now = self.clock.now();
        batch.journal(audit::written(now, caller, &policy.id, &[], policy.version.into()));
        let record = GuardianRecord {
            document: Bytes::from(policy.encode_to_vec()),
            time: Some(now),
            actor: caller.actor.clone(),
            method: caller.method.to_owned(),
            title: title.clone(),
            created_by: created_by.clone(),
            restores: restores.unwrap_or(0),
        };
        batch.put(guardian_key(&policy.id, policy.version), record.encode_to_vec());
        let listed = policy.created_at.unwrap_or_default();
        batch.put(guardian_time_key(&listed, &policy.id, policy.version), Vec::new());
    }

    /// Sets the times that the client left out.
    pub(super) fn guardian_stamp(&self, policy: &mut Policy) {
        let now = self.clock.now();
        for time in [&mut policy.created_at, &mut policy.updated_at] {
            if time.as_ref().is_none_or(is_zero) {
                *time = Some(now);
            }
        }
    }
}

pub(super) fn too_large(bytes: usize) -> Error {
    let message = format!("{bytes} bytes; the limit of a policy is {DOCUMENT_MAX_BYTES} bytes");
    invalid("", "DOCUMENT_TOO_LARGE", message)
}

fn is_zero(time: &Timestamp) -> bool {
    time.seconds == ZERO_SECONDS && time.nanos == 0
}

pub(super) fn head_key(id: &str) -> Vec<u8> {
    Key::new(tables::G_HEAD).text(id).into_bytes()
}

/// What a sealed text is bound to: the policy and the place in it, whatever the version.
pub(super) fn aad(id: &str, place: &str) -> String {
    format!("{}:{id}:{place}", id.len())
}
