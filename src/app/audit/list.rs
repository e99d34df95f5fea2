//! Audit.List: pages of the trail, in either direction.
//!
//! The trail is read from where the page begins, and a page looks at a bounded number of entries whatever its filters drop.

use super::record::{ID_MAX_BYTES, cut, entries, hex};
use crate::app::error::invalid;
use crate::app::page::{self, Call};
use crate::app::{Answer, App, Error};
use crate::pb::countersign::v1::{AuditEntry, ListAuditRequest, ListAuditResponse};
use crate::store::Direction;
use crate::store::journal::{self, Head, Section};

/// How many entries one page looks at when the filters drop most of them; the record at hand is always finished.
pub const LOOKED_AT_MAX: usize = 8192;
/// How many records of the journal are read at one time.
const RECORDS_AT_ONCE: usize = 16;

impl App {
    /// One page of the entries that match every filter.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative size, an unknown order, or a token of another call.
    pub async fn audit_list(&self, request: ListAuditRequest) -> Result<Answer<ListAuditResponse>, Error> {
        let size = page::size(request.page_size)?;
        let direction = direction(&request.order_by)?;
        let floor = u64::try_from(request.after_number)
            .map_err(|_| invalid("afterNumber", "NUMBER_NEGATIVE", "a number is 0 or more"))?;
        let arguments = ListAuditRequest { page_size: 0, page_token: String::new(), ..request };
        let call = Call::new("Audit.List", &arguments);
        let cursor =
            self.tokens.open(&call, &request.page_token)?.map(|cursor| number(&cursor)).transpose()?;
        // Whoever was told of a failure finds it.
        self.audit_settled().await;
        let head = self.audit_head().await?;
        let (entries, next) = match direction {
            Direction::Ascending => {
                let after = cursor.unwrap_or(floor);
                self.ascending(&arguments, size, after).await?
            }
            Direction::Descending => {
                let before = cursor.unwrap_or(u64::MAX);
                self.descending(&arguments, size, before, floor).await?
            }
        };
        let next = next.map(|place| self.tokens.seal(&call, place.to_be_bytes().to_vec()));
        let message = ListAuditResponse {
            entries,
            next_page_token: next.unwrap_or_default(),
            head_number: i64::try_from(head.number).unwrap_or(i64::MAX),
            head_hash: hex(&head.hash),
        };
        Ok(message.into())
    }

    async fn audit_head(&self) -> Result<Head, Error> {
        let last = self.store.scan(journal::range(), Direction::Descending, 1).await?;
        let Some((key, stored)) = last.first() else { return Ok(Head::default()) };
        Ok(section(key, &stored.value)?.head())
    }

    /// The entries with numbers above `after`, and the number of the last that was looked at, if there are more.
    async fn ascending(
        &self,
        filter: &ListAuditRequest,
        size: usize,
        after: u64,
    ) -> Result<(Vec<AuditEntry>, Option<u64>), Error> {
        let first = after.saturating_add(1);
        let mut range = journal::range_from(first);
        // The entry may stand within a record that begins before it.
        if let Some((key, _)) =
            self.store.scan(journal::range_up_to(first), Direction::Descending, 1).await?.first()
        {
            range.start = key.to_vec();
        }
        let mut page = Page::new(filter, size);
        loop {
            let found = self.store.scan(range.clone(), Direction::Ascending, RECORDS_AT_ONCE).await?;
            let Some((last, _)) = found.last() else { return Ok(page.ended()) };
            range = range.after(last);
            for (key, stored) in &found {
                for entry in entries(&section(key, &stored.value)?) {
                    if to_u64(entry.number) > after && page.is_full_at(entry) {
                        return Ok(page.full());
                    }
                }
            }
        }
    }

    /// The entries with numbers below `before` and above `floor`, newest first, and the number of the last that was looked
    /// at, if there are more.
    async fn descending(
        &self,
        filter: &ListAuditRequest,
        size: usize,
        before: u64,
        floor: u64,
    ) -> Result<(Vec<AuditEntry>, Option<u64>), Error> {
        let mut range = journal::range_up_to(before.saturating_sub(1));
        let mut page = Page::new(filter, size);
        loop {
            let found = self.store.scan(range.clone(), Direction::Descending, RECORDS_AT_ONCE).await?;
            let Some((last, _)) = found.last() else { return Ok(page.ended()) };
            range = range.before(last);
            for (key, stored) in &found {
                for entry in entries(&section(key, &stored.value)?).into_iter().rev() {
                    let number = to_u64(entry.number);
                    if number <= floor {
                        return Ok(page.ended());
                    }
                    if number < before && page.is_full_at(entry) {
                        return Ok(page.full());
                    }
                }
            }
        }
    }
}

/// A page that is being filled.
struct Page<'a> {
    filter: &'a ListAuditRequest,
    policy_id: String,
    size: usize,
    entries: Vec<AuditEntry>,
    looked_at: usize,
    /// The last entry that was looked at.
    last: u64,
}

impl<'a> Page<'a> {
    fn new(filter: &'a ListAuditRequest, size: usize) -> Self {
        // As it was cut when it was kept.
        let policy_id = cut(&filter.policy_id, ID_MAX_BYTES);
        Page { filter, policy_id, size, entries: Vec::new(), looked_at: 0, last: 0 }
    }

    /// Takes the next entry, unless the page ends before it.
    fn is_full_at(&mut self, entry: AuditEntry) -> bool {
        if self.entries.len() == self.size || self.looked_at >= LOOKED_AT_MAX {
            return true;
        }
        self.looked_at += 1;
        self.last = to_u64(entry.number);
        if self.matches(&entry) {
            self.entries.push(entry);
        }
        false
    }

    fn matches(&self, entry: &AuditEntry) -> bool {
        let ListAuditRequest { actor, method, start_time, end_time, .. } = self.filter;
        let moment = |time: &prost_types::Timestamp| (time.seconds, time.nanos);
        let time = entry.time.as_ref().map(moment);
        let short = entry.method.rsplit('/').next();
        (self.policy_id.is_empty() || entry.policy_id == self.policy_id)
            && (actor.is_empty() || entry.actor == *actor)
            && (method.is_empty() || entry.method == *method || short == Some(method.as_str()))
            && start_time.as_ref().is_none_or(|start| time >= Some(moment(start)))
            && end_time.as_ref().is_none_or(|end| time < Some(moment(end)))
    }

    /// There are no more.
    fn ended(self) -> (Vec<AuditEntry>, Option<u64>) {
        (self.entries, None)
    }

    fn full(self) -> (Vec<AuditEntry>, Option<u64>) {
        (self.entries, Some(self.last))
    }
}

fn direction(order_by: &str) -> Result<Direction, Error> {
    match order_by {
        "" | "number desc" => Ok(Direction::Descending),
        "number" | "number asc" => Ok(Direction::Ascending),
        _ => Err(invalid("orderBy", "ORDER_UNKNOWN", "the order is `number` or `number desc`")),
    }
}

fn section(key: &[u8], value: &bytes::Bytes) -> Result<Section, Error> {
    Section::read(key, value).map_err(|_| {
        tracing::error!("a record of the audit trail cannot be read");
        Error::Damaged
    })
}

fn number(cursor: &[u8]) -> Result<u64, Error> {
    let bytes = cursor.try_into().map_err(|_| Error::Internal("a page token has no number".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Numbers in messages are signed, as JSON and AIP-141 want them; those of entries are not negative.
fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
