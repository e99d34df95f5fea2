//! An update as an import asks for it (`countersign-apply`): a configuration that the document leaves out stays what it is,
//! because nobody can read it back, and a document that changes nothing makes no version.
//!
//! May not answer secrets: whoever applies a document need not know what was kept for it.

use super::write::aad;
use super::{Document, Doing};
use crate::app::{ATTEMPTS_MAX, App, Caller, Error};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::{self, Family, Surroundings, secrets};

impl App {
    /// Stores the next version, if it says something else than the latest; answers the one that holds then, masked.
    ///
    /// # Errors
    /// As [`App::guardian_update`]; [`Error::SecretsKeyMissing`] if a secret of the latest version cannot be opened.
    pub(super) async fn try_apply(
        &self,
        caller: &Caller,
        sent: Document,
        dry_run: bool,
        family: Family,
    ) -> Result<(Document, Vec<String>), Error> {
        let around = self.guardian.surroundings(family, self.clock.now());
        let id = sent.policy.id.clone();
        let only_asks = dry_run || caller.validate_only;
        // Secrets could be guessed by comparing them where that leaves no trace.
        let may_compare = !only_asks || !has_secrets(&sent.policy, around);
        for _ in 0..ATTEMPTS_MAX {
            let missing = || Error::NoSuchVersion { id: id.clone(), version: 0 };
            let head = self.guardian_head(&id).await?.ok_or_else(missing)?;
            self.guardian_require_unchanged(caller, &id, &head)?;
            let latest = self.guardian_opened(&id, head.latest).await?;
            let mut document = sent.clone();
            secrets::keep(&mut document.policy, &latest.policy);
            guardian::prepare(&mut document.policy, around);
            let warnings = self.guardian_check(caller, Doing::Update, &document.policy, around).await?;
            document.policy.version = head.latest.checked_add(1).ok_or(Error::Damaged)?;
            if may_compare && content(&document.policy) == content(&latest.policy) {
                return Ok((self.read_by_all(latest), warnings));
            }
            if dry_run {
                self.guardian_sealed(&document.policy)?;
                return Ok((self.masked(document), warnings));
            }
            self.guardian_stamp(&mut document.policy);
            let sealed = self.guardian_sealed(&document.policy)?;
            if self.guardian_write(caller, Some(head), &document, &sealed).await?.is_some() {
                let seen = self.read_by_all(document);
                let etag = seen.etag.filter(|_| !caller.validate_only);
                return Ok((Document { etag, ..seen }, warnings));
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }

    /// A stored version with its secrets open.
    async fn guardian_opened(&self, id: &str, version: u32) -> Result<Document, Error> {
        let missing = || Error::NoSuchVersion { id: id.to_owned(), version };
        let mut document = self.guardian_version(id, version).await?.ok_or_else(missing)?;
        let keys = &self.guardian.keys;
        let open = |place: &str, sealed: &str| keys.open(&aad(id, place), sealed);
        secrets::open(&mut document.policy, open, || Error::Damaged)?;
        Ok(document)
    }
}

/// Whether a document brings secrets. Only in the shape in which it is kept do credentials have the names by which they are known.
fn has_secrets(sent: &Policy, around: Surroundings) -> bool {
    let mut kept = sent.clone();
    guardian::prepare(&mut kept, around);
    secrets::has_any(&kept)
}

/// What a document says, apart from when and as which version.
fn content(policy: &Policy) -> Policy {
    Policy { version: 0, created_at: None, updated_at: None, ..policy.clone() }
}
