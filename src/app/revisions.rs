//! Revisions: what policies were, and writing that again.
//!
//! One set of operations for both dialects. The policies of the first keep their latest state in one table and those before
//! it in another; the versions of a Guardian policy are its revisions. Both are read into [`Kept`] here, newest first, and
//! told alike.

mod rollback;

use super::error::invalid;
use super::page::{self, Call};
use super::records::{RevisionRecord, read, tables};
use super::write::Current;
use super::{Answer, App, Error, etag};
use crate::pb::c1::api::policy::v1::Policy;
use crate::pb::countersign::v1::revision::Document;
use crate::pb::countersign::v1::{
    GetRevisionRequest, ListRevisionsRequest, ListRevisionsResponse, PolicyDialect, Revision, RevisionView,
};
use crate::store::Direction;
use crate::store::table::Key;
use prost::Message;

/// How many bytes of documents one page holds; its last document may go over.
pub const PAGE_MAX_BYTES: usize = 1024 * 1024;
/// The name of the latest revision.
const LATEST: &str = "latest";

/// A policy that is there, as it stands.
enum Found {
    C1(Box<Current>),
    /// The number of its latest version.
    Guardian(u32),
}

/// One revision, with a document that everybody may read.
pub(super) struct Kept {
    pub(super) dialect: PolicyDialect,
    pub(super) record: RevisionRecord,
    pub(super) document: Document,
    /// How long the document is, in bytes.
    pub(super) bytes: usize,
    pub(super) etag: String,
}

impl Kept {
    fn of(record: RevisionRecord) -> Result<Kept, Error> {
        let policy: Policy = read(&record.document)?;
        Ok(Kept {
            dialect: PolicyDialect::C1,
            bytes: record.document.len(),
            etag: etag(record.number, &record.document),
            document: Document::C1(policy),
            record,
        })
    }

    /// As it is told, with its document or without.
    fn told(self, policy_id: &str, whole: bool) -> Revision {
        let RevisionRecord { number, time, actor, method, mask, restores, .. } = self.record;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Revision {
            policy_id: policy_id.to_owned(),
            dialect: self.dialect.into(),
            number: signed(number),
            create_time: time,
            actor,
            method,
            mask,
            etag: self.etag,
            rolled_back_to: signed(restores),
            document: whole.then_some(self.document),
        }
    }
}

impl App {
    /// One page of the revisions of a policy, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there never was such a policy; [`Error::Invalid`] for a negative size, an unknown enum value,
    /// or a token of another call.
    pub async fn revision_list(
        &self,
        request: ListRevisionsRequest,
    ) -> Result<Answer<ListRevisionsResponse>, Error> {
        let size = page::size(request.page_size)?;
        let view = RevisionView::try_from(request.view);
        let view = view.map_err(|_| invalid("view", "VIEW_UNKNOWN", "there is no such view"))?;
        let whole = view == RevisionView::Full;
        let arguments = ListRevisionsRequest { page_size: 0, page_token: String::new(), ..request };
        let call = Call::new("Revisions.List", &arguments);
        let cursor =
            self.tokens.open(&call, &request.page_token)?.map(|cursor| place(&cursor)).transpose()?;
        let id = &arguments.policy_id;
        let found = self.policy_by_id(id, arguments.dialect).await?;
        let before = cursor.unwrap_or(u64::MAX);
        // One more than asked for tells whether there is another page.
        let mut kept = match &found {
            Found::C1(current) => self.kept_before(current, id, before, size + 1).await?,
            Found::Guardian(_) => self.guardian_kept_before(id, before, size + 1).await?,
        };
        let mut fits = size;
        if whole {
            let mut bytes = 0;
            let over = kept.iter().position(|kept| {
                bytes += kept.bytes;
                bytes > PAGE_MAX_BYTES
            });
            fits = over.map_or(size, |over| size.min(over + 1));
        }
        let more = kept.len() > fits;
        kept.truncate(fits);
        let next = kept.last().filter(|_| more).map(|last| last.record.number.to_be_bytes().to_vec());
        let next_page_token = next.map(|cursor| self.tokens.seal(&call, cursor)).unwrap_or_default();
        let revisions = kept.into_iter().map(|kept| kept.told(id, whole)).collect();
        Ok(ListRevisionsResponse { revisions, next_page_token }.into())
    }

    /// One revision with its document.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NoSuchRevision`]; [`Error::Invalid`] for what is neither a number nor `latest`.
    pub async fn revision_get(&self, request: GetRevisionRequest) -> Result<Answer<Revision>, Error> {
        let wanted = wanted(&request.revision)?;
        let id = &request.policy_id;
        let found = self.policy_by_id(id, request.dialect).await?;
        let kept = match found {
            Found::C1(current) => self.kept(&current, id, wanted).await?,
            Found::Guardian(latest) => {
                self.guardian_kept(id, wanted.unwrap_or_else(|| latest.into())).await?
            }
        };
        let etag = Some(kept.etag.clone());
        Ok(Answer { etag, ..kept.told(id, true).into() })
    }

    /// The policy that an id means.
    async fn policy_by_id(&self, id: &str, dialect: i32) -> Result<Found, Error> {
        let dialect = PolicyDialect::try_from(dialect);
        let dialect =
            dialect.map_err(|_| invalid("dialect", "DIALECT_UNKNOWN", "there is no such dialect"))?;
        if id.is_empty() {
            return Err(invalid("policyId", "POLICY_ID_REQUIRED", "the id of a policy"));
        }
        if dialect != PolicyDialect::Guardian
            && let Some(current) = self.current(id).await?
        {
            return Ok(Found::C1(Box::new(current)));
        }
        if dialect != PolicyDialect::C1
            && let Some(latest) = self.guardian_latest(id).await?
        {
            return Ok(Found::Guardian(latest));
        }
        Err(Error::NotFound { id: id.to_owned() })
    }

    /// One revision of a policy; `None` = the latest.
    async fn kept(&self, current: &Current, id: &str, wanted: Option<u64>) -> Result<Kept, Error> {
        let Some(number) = wanted.filter(|number| *number != current.record.number) else {
            return Kept::of(current.record.clone());
        };
        let record = self.revision(id, number).await?;
        Kept::of(record.ok_or_else(|| Error::NoSuchRevision { id: id.to_owned(), number })?)
    }

    /// At most so many revisions with numbers below `before`, newest first.
    async fn kept_before(
        &self,
        current: &Current,
        id: &str,
        before: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, Error> {
        let latest = (current.record.number < before).then(|| current.record.clone());
        // What has been written since the current state was read is not on this page.
        let before = before.min(current.record.number);
        let table = Key::new(tables::REVISION).text(id);
        let range = table.range().before(table.u64(before).as_bytes());
        let further = limit - usize::from(latest.is_some());
        let earlier = self.store.scan(range, Direction::Descending, further).await?;
        let earlier = earlier.into_iter().map(|(_, stored)| read::<RevisionRecord>(&stored.value));
        latest.map(Ok).into_iter().chain(earlier).map(|record| Kept::of(record?)).collect()
    }
}

/// The number in `revision`; `None` for the latest.
fn wanted(revision: &str) -> Result<Option<u64>, Error> {
    if revision == LATEST {
        return Ok(None);
    }
    let digits = revision.bytes().all(|byte| byte.is_ascii_digit());
    let number = revision.parse().ok().filter(|number| digits && *number > 0);
    let message = "a revision is a number from 1 on, or `latest`";
    number.map(Some).ok_or_else(|| invalid("revision", "REVISION_INVALID", message))
}

/// Where a page begins: after this number, downwards.
fn place(cursor: &[u8]) -> Result<u64, Error> {
    let bytes = cursor.try_into().map_err(|_| Error::Internal("a page token has no number".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// The etag of a document that was decoded and changed for whoever reads it.
pub(super) fn etag_of(number: u64, document: &impl Message) -> String {
    etag(number, &document.encode_to_vec())
}
