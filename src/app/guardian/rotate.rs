//! Key rotation: every secret in the store is encrypted with the first key.

use super::write::aad;
use crate::app::records::{self, GuardianHead, GuardianRecord, guardian_id_of, guardian_version_of, tables};
use crate::app::{ATTEMPTS_MAX, App, Error};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::secrets;
use crate::store::table::Key;
use crate::store::{Batch, Direction};
use bytes::Bytes;
use prost::Message;

/// How many versions are looked at at once.
const PAGE: usize = 64;

/// What a rotation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Versions of policies that were looked at.
    pub versions: usize,
    /// Secrets that were encrypted anew.
    pub secrets: usize,
}

/// Where a version is kept.
enum Kept {
    Head(GuardianHead),
    Version(GuardianRecord),
}

impl Kept {
    fn record(&mut self) -> Option<&mut GuardianRecord> {
        match self {
            Kept::Head(head) => head.record.as_mut(),
            Kept::Version(record) => Some(record),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        match self {
            Kept::Head(head) => head.encode_to_vec(),
            Kept::Version(record) => record.encode_to_vec(),
        }
    }
}

impl App {
    /// Encrypts every secret anew that was not encrypted with the first key. May be run again, and while the service is
    /// in use.
    ///
    /// # Errors
    /// [`Error::NoSecretsKey`] without keys; [`Error::SecretsKeyMissing`] for a secret that none of the keys opens. What
    /// was rewritten until then stays so.
    pub async fn guardian_rotate_keys(&self) -> Result<Rotated, Error> {
        if self.guardian.keys.is_empty() {
            return Err(Error::NoSecretsKey);
        }
        let mut rotated = Rotated::default();
        // In this order: a version that is moved meanwhile goes from the first table to the second.
        for table in [tables::G_HEAD, tables::G_VERSION] {
            let mut range = Key::new(table).range();
            loop {
                let entries = self.store.scan(range.clone(), Direction::Ascending, PAGE).await?;
                for (key, _) in &entries {
                    if let Some(secrets) = self.rotate(key).await? {
                        rotated.versions += 1;
                        rotated.secrets += secrets;
                    }
                }
                match entries.last() {
                    Some((last, _)) if entries.len() == PAGE => range = range.after(last),
                    _ => break,
                }
            }
        }
        Ok(rotated)
    }

    /// Rewrites the version under a key, if there is one; returns how many secrets were encrypted anew.
    async fn rotate(&self, key: &[u8]) -> Result<Option<usize>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(stored) = self.read(key).await? else { return Ok(None) };
            let (id, mut kept) = match guardian_id_of(key) {
                Some(id) => (id, Kept::Head(records::read(&stored.value)?)),
                None => (guardian_version_of(key)?.0, Kept::Version(records::read(&stored.value)?)),
            };
            let Some(record) = kept.record() else { return Ok(None) };
            let mut policy: Policy = records::read(&record.document)?;
            let mut count = 0;
            let keys = &self.guardian.keys;
            let again = |place: &str, sealed: &str| {
                if keys.is_fresh(sealed)? {
                    return Ok(None);
                }
                let place = aad(&id, place);
                let plain = keys.open(&place, sealed)?;
                count += 1;
                keys.seal(self.clock.as_ref(), &place, &plain).map(Some)
            };
            secrets::reseal(&mut policy, again, || Error::Damaged)?;
            if count == 0 {
                return Ok(Some(0));
            }
            record.document = Bytes::from(policy.encode_to_vec());
            let mut batch = Batch::new();
            batch.require_unchanged(key, Some(stored.revision)).put(key, kept.encoded());
            if self.commit(batch).await?.is_some() {
                return Ok(Some(count));
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }
}
