//! The versions of a Guardian policy as revisions, and a rollback to one of them. What is read here is for everybody: masked.
//!
//! A rollback is an update whose document is an old one: its secrets are opened, the whole is checked, and sealed again as
//! the next version. Refusals are told in our own words in every mode, since this is our own API.

use super::Document;
use super::references::too_large_to_check;
use super::update::UPDATE_ATTEMPTS_MAX;
use super::write::{Head, aad};
use crate::app::records::{self, GuardianRecord, RevisionRecord, guardian_version_of, tables};
use crate::app::revisions::{Kept, etag_of};
use crate::app::{App, Caller, Error, etag};
use crate::pb::countersign::v1::{PolicyDialect, revision};
use crate::pb::gotocompany::guardian::v1beta1::Policy;
use crate::policy::guardian::{self, Family, secrets};
use crate::store::Direction;
use crate::store::table::Key;

impl App {
    /// The number of the latest version, if there is such a policy.
    pub(in crate::app) async fn guardian_latest(&self, id: &str) -> Result<Option<u32>, Error> {
        Ok(self.guardian_head(id).await?.map(|head| head.latest))
    }

    /// One version.
    pub(in crate::app) async fn guardian_kept(&self, id: &str, number: u64) -> Result<Kept, Error> {
        let missing = || Error::NoSuchRevision { id: id.to_owned(), number };
        let version = version_of(number).ok_or_else(missing)?;
        kept(self.guardian_record(id, version).await?.ok_or_else(missing)?, version)
    }

    /// At most so many versions with numbers below `before`, newest first.
    pub(in crate::app) async fn guardian_kept_before(
        &self,
        id: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, Error> {
        let Some(head) = self.guardian_head(id).await? else { return Ok(Vec::new()) };
        let number = head.latest.into();
        let latest = (number < before).then_some((head.latest, head.record));
        // What has been written since the head was read is not on this page.
        let table = Key::new(tables::G_VERSION).text(id);
        let range = table.range().before(table.u64(before.min(number)).as_bytes());
        let further = limit - usize::from(latest.is_some());
        let earlier = self.store.scan(range, Direction::Descending, further).await?;
        let earlier = earlier.iter().map(|(key, stored)| {
            let (_, version) = guardian_version_of(key)?;
            Ok((version, records::read(&stored.value)?))
        });
        let all = latest.map(Ok).into_iter().chain(earlier);
        all.map(|one| one.and_then(|(version, record)| kept(record, version))).collect()
    }

    /// Refuses a write whose `If-Match` names another state than the latest version.
    pub(super) fn guardian_require_unchanged(
        &self,
        caller: &Caller,
        id: &str,
        head: &Head,
    ) -> Result<(), Error> {
        if caller.if_match.is_none() {
            return Ok(());
        }
        let latest = kept(head.record.clone(), head.latest)?;
        etag::require(caller.if_match.as_deref(), id, &latest.etag)
    }

    /// Writes the document of a version again, as the next version.
    pub(in crate::app) async fn guardian_rollback(
        &self,
        caller: &Caller,
        id: &str,
        number: Option<u64>,
    ) -> Result<(Kept, Vec<String>), Error> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let missing = || Error::NotFound { id: id.to_owned() };
            let head = self.guardian_head(id).await?.ok_or_else(missing)?;
            self.guardian_require_unchanged(caller, id, &head)?;
            let number = number.unwrap_or_else(|| head.latest.into());
            let (document, warnings) = self.guardian_restored(caller, id, number, &head).await?;
            let sealed = self.guardian_sealed(&document.policy)?;
            let version = document.policy.version;
            let written = self.guardian_write(caller, Some(head), &document, &sealed).await?;
            if let Some(record) = written {
                return Ok((kept(record, version)?, warnings));
            }
        }
        Err(Error::Contended { attempts: UPDATE_ATTEMPTS_MAX })
    }

    /// The document of a version as the next one, checked; and what it is warned of.
    async fn guardian_restored(
        &self,
        caller: &Caller,
        id: &str,
        number: u64,
        head: &Head,
    ) -> Result<(Document, Vec<String>), Error> {
        let missing = || Error::NoSuchRevision { id: id.to_owned(), number };
        let version = version_of(number).ok_or_else(missing)?;
        let record = self.guardian_record(id, version).await?.ok_or_else(missing)?;
        let mut policy: Policy = records::read(&record.document)?;
        let keys = &self.guardian.keys;
        secrets::open(&mut policy, |place, sealed| keys.open(&aad(id, place), sealed), || Error::Damaged)?;
        // Only the older family says who made a version.
        let of_older = !record.created_by.is_empty();
        let family = if of_older { Family::Raystack } else { Family::Goto };
        let around = self.guardian.surroundings(family, self.clock.now());
        guardian::prepare(&mut policy, around);
        policy.version = head.latest.checked_add(1).ok_or(Error::Damaged)?;
        (policy.created_at, policy.updated_at) = (None, None);
        self.guardian_stamp(&mut policy);
        too_large_to_check(&policy)?;
        let compiled =
            guardian::compile(&policy, around).map_err(|refused| Error::Invalid(refused.violations))?;
        let found = self.check_guardian_references(&policy).await?;
        let mut warnings: Vec<String> =
            compiled.warnings.iter().chain(&found).map(ToString::to_string).collect();
        if caller.validate_only {
            warnings.extend(self.guardian_analysis_warnings(compiled.workflow).await?);
        }
        let created_by = if of_older { caller.actor.clone() } else { String::new() };
        let restores = Some(number);
        Ok((Document { policy, title: record.title, created_by, restores, etag: None }, warnings))
    }
}

/// The etag of a version: of what everybody may read of it, so that new keys for the secrets change none.
pub(super) fn etag_of_masked(policy: &Policy) -> String {
    etag_of(policy.version.into(), policy)
}

/// The version that is the revision `number`. There is no 0: elsewhere that stands for the latest.
fn version_of(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|version| *version > 0)
}

/// A version as everybody may read it.
fn kept(record: GuardianRecord, version: u32) -> Result<Kept, Error> {
    let mut policy: Policy = records::read(&record.document)?;
    secrets::mask(&mut policy);
    let number = version.into();
    Ok(Kept {
        dialect: PolicyDialect::Guardian,
        bytes: record.document.len(),
        etag: etag_of_masked(&policy),
        record: RevisionRecord {
            number,
            time: record.time,
            actor: record.actor,
            method: record.method,
            restores: record.restores,
            ..RevisionRecord::default()
        },
        document: revision::Document::Guardian(policy),
    })
}
