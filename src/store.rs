//! Where bytes are kept: ordered keys, atomic batches with conditions, and a feed of what was committed.
//!
//! This is the narrow waist under everything that Countersign stores. An [`Engine`] knows keys and values as
//! bytes and does not know what they mean; indexes, pages, etags and revisions are written once, above it,
//! and so run on every engine. Nothing here may import another module of ours, and only `store/sled.rs` may
//! name sled.
//!
//! What every engine promises, and `tests/it/store_suite.rs` checks for each of them:
//!
//! - A batch is applied whole or not at all, and only if all its conditions hold.
//! - `commit` answers `Ok` only once a power cut could not lose the batch (`memory:` promises this of the
//!   process only).
//! - A read shows only batches that were answered, or were about to be: never one that a power cut could
//!   still take back. One `get` or one `scan` sees one moment.
//! - Every commit has its own revision, ascending; every record carries the revision of the commit that wrote
//!   it.
//! - The entries that batches have for the journal are there exactly if the batches are, in the order of the
//!   commits, numbered without a gap and chained ([`journal`]).
//! - A reader of the change feed that falls behind is told so and never holds a writer up.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

mod changes;
mod checkpoint;
mod committer;
mod directory;
mod durable;
pub mod journal;
mod layers;
mod log;
mod memory;
mod record;
mod sled;
pub mod table;

pub use changes::{Change, Changed, Changes, ChangesError};
pub use directory::OpenError;

/// The longest key. Keys sit in sled's inner nodes too, so they are kept short.
pub const KEY_MAX_BYTES: usize = 2 * 1024;
/// The longest value. sled puts a node of over a quarter of a segment (4 MiB) into a side file that it never
/// syncs, and a node holds up to 16 records, a few more while it is being split or merged: 27 of these and
/// their keys still fit.
pub const VALUE_MAX_BYTES: usize = 144 * 1024;
/// The most that one batch may write, keys and values together.
pub const BATCH_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The most writes, and the most conditions, in one batch.
pub const BATCH_MAX_ITEMS: usize = 4096;
/// The most records that one `scan` returns, whatever limit the caller names.
pub const SCAN_MAX_RECORDS: usize = 1024;
/// The most records that one range condition may have to look at.
pub const CONDITION_RANGE_MAX_RECORDS: usize = 16 * 1024;
/// Room that must be free on the disk before a group of commits is tried, unless [`Options`] says otherwise.
/// sled stops for good when a write fails, so a full disk must never reach it. A group is at most 6 MiB, but
/// it may make sled rewrite the nodes that it touches, and segments of 16 MiB that it cleans on the way.
pub const RESERVE_BYTES: u64 = 256 * 1024 * 1024;
/// An epoch of the log ends before it would be larger, unless [`Options`] says otherwise or one group is. Up to twice as much is
/// held in memory, and read again after a crash.
pub const LOG_BYTES: u64 = 8 * 1024 * 1024;
/// How much memory the engine may use for what it read, unless [`Options`] says otherwise.
pub const CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// Numbers commits from 1, in the order in which they took effect, for the whole store; 0 means "before any".
/// Numbers may be skipped.
pub type Revision = u64;

/// What an engine's methods return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A value, and the revision of the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub revision: Revision,
    pub value: Bytes,
}

/// The keys from `start` up to, and without, `end`. An empty `end` means that there is no upper bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let mut end = prefix.to_vec();
        // The smallest key above all that begin with the prefix: the last byte that can be raised is, and the
        // rest goes.
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        KeyRange { start: prefix.to_vec(), end }
    }

    /// Every key.
    #[must_use]
    pub fn all() -> KeyRange {
        KeyRange { start: Vec::new(), end: Vec::new() }
    }

    /// The part of this range that comes after `key`: where a page goes on.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> KeyRange {
        let mut next = key.to_vec();
        next.push(0);
        self.start = self.start.max(next);
        self
    }

    /// The part of this range that comes before `key`: where a page goes on, backwards.
    #[must_use]
    pub fn before(mut self, key: &[u8]) -> KeyRange {
        if self.end.is_empty() || key < self.end.as_slice() {
            self.end = key.to_vec();
            if key.is_empty() {
                // Nothing comes before the empty key, and an empty end would mean the opposite.
                self.start = vec![0];
                self.end = vec![0];
            }
        }
        self
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && (self.end.is_empty() || key < self.end.as_slice())
    }

    /// Whether no key can lie in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }

    /// The two ends as `BTreeMap::range` and sled take them. Must not be asked of an empty range: a
    /// `BTreeMap` panics.
    fn bounds(&self) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let end = if self.end.is_empty() { Unbounded } else { Excluded(self.end.as_slice()) };
        (Included(self.start.as_slice()), end)
    }
}

/// From which end of a range a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Ascending,
    Descending,
}

/// What must be true, at the moment the batch takes effect, for it to take effect at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The record under `key` is still the one that the commit `revision` wrote; `None` = there is none.
    Unchanged { key: Vec<u8>, revision: Option<Revision> },
    /// No record in `range` was written by a commit after `revision`; 0 = there is no record in it. Deletions
    /// do not count: a range that lost records since is unchanged to this condition.
    RangeUnchangedSince { range: KeyRange, revision: Revision },
}

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put { key: Vec<u8>, value: Bytes },
    Delete { key: Vec<u8> },
}

/// Writes that take effect together, if every condition holds. Of two writes of one key the later wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub conditions: Vec<Condition>,
    pub writes: Vec<Write>,
    /// What goes into the journal with them, in this order.
    pub journal: Vec<journal::Payload>,
}

impl Batch {
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Only if `key` still holds what the commit `revision` wrote; `None` = only if there is nothing.
    pub fn require_unchanged(&mut self, key: impl Into<Vec<u8>>, revision: Option<Revision>) -> &mut Batch {
        self.conditions.push(Condition::Unchanged { key: key.into(), revision });
        self
    }

    /// Only if there is nothing under `key`.
    pub fn require_absent(&mut self, key: impl Into<Vec<u8>>) -> &mut Batch {
        self.require_unchanged(key, None)
    }

    /// Only if nothing in `range` was written after `revision`.
    pub fn require_range_unchanged_since(&mut self, range: KeyRange, revision: Revision) -> &mut Batch {
        self.conditions.push(Condition::RangeUnchangedSince { range, revision });
        self
    }

    /// Only if there is no record in `range`.
    pub fn require_range_empty(&mut self, range: KeyRange) -> &mut Batch {
        self.require_range_unchanged_since(range, 0)
    }

    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) -> &mut Batch {
        self.writes.push(Write::Put { key: key.into(), value: value.into() });
        self
    }

    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Batch {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Adds an entry to the journal, if the batch takes effect.
    pub fn journal(&mut self, payload: impl Into<Bytes>) -> &mut Batch {
        self.journal.push(journal::Payload::new(payload.into()));
        self
    }

    /// Whether the batch does nothing but check its conditions.
    #[must_use]
    pub fn only_checks(&self) -> bool {
        self.writes.is_empty() && self.journal.is_empty()
    }

    /// Only the conditions of this batch, once it is known that an engine would take the rest.
    ///
    /// # Errors
    ///
    /// As `commit` has them for a batch that is too large or writes where it may not.
    pub fn without_effect(self) -> Result<Batch, Error> {
        self.check_size()?;
        Ok(Batch { conditions: self.conditions, ..Batch::default() })
    }

    /// Refuses what no engine could keep, and returns the size of the rest, in bytes.
    fn check_size(&self) -> Result<usize, Error> {
        let items = [self.writes.len(), self.conditions.len(), self.journal.len()];
        if items.iter().any(|items| *items > BATCH_MAX_ITEMS) {
            return Err(Error::TooLarge { what: "number of items in a batch", limit: BATCH_MAX_ITEMS });
        }
        let mut bytes = 0;
        for write in &self.writes {
            let (key, value_bytes) = match write {
                Write::Put { key, value } => (key, value.len()),
                Write::Delete { key } => (key, 0),
            };
            if key.len() > KEY_MAX_BYTES {
                return Err(Error::TooLarge { what: "key in bytes", limit: KEY_MAX_BYTES });
            }
            if key.first() == Some(&journal::JOURNAL_TABLE) {
                return Err(Error::Reserved { key: key.clone() });
            }
            if value_bytes > VALUE_MAX_BYTES {
                return Err(Error::TooLarge { what: "value in bytes", limit: VALUE_MAX_BYTES });
            }
            bytes += key.len() + value_bytes;
        }
        for payload in &self.journal {
            if payload.len() > journal::ENTRY_MAX_BYTES {
                return Err(Error::TooLarge {
                    what: "entry of the journal in bytes",
                    limit: journal::ENTRY_MAX_BYTES,
                });
            }
            bytes += payload.len();
        }
        if bytes > BATCH_MAX_BYTES {
            return Err(Error::TooLarge { what: "batch in bytes", limit: BATCH_MAX_BYTES });
        }
        Ok(bytes)
    }
}

/// A batch took effect and is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub revision: Revision,
}

/// Why an operation failed, by what the caller should do about it. The text is for our log: none of it is
/// meant for a client, and a key may name things that are not everybody's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Read again, decide again. `condition` is the index of the first condition that did not hold, `key` its
    /// key or the record that broke it. Nothing was written.
    #[error("condition {condition} of the batch does not hold")]
    Conflict { condition: usize, key: Vec<u8> },
    /// Make room on the disk; until then only reads work. Nothing was written.
    #[error("the disk is full: {free_bytes} bytes are free and {reserve_bytes} are kept in reserve")]
    Full { free_bytes: u64, reserve_bytes: u64 },
    /// The store cannot promise durability any more, and takes no write until the process is started again. A
    /// commit that got this may or may not be there afterwards.
    #[error("the store takes no writes: {why}")]
    NotReady { why: String },
    /// Restore from a backup: a record is not what was written. Trying again does not help.
    #[error("the record under key {} is damaged: {why}", key.escape_ascii())]
    Corrupt { key: Vec<u8>, why: String },
    /// Send less. Nothing was written.
    #[error("over the limit: {what}, at most {limit}")]
    TooLarge { what: &'static str, limit: usize },
    /// Write elsewhere: the key is one of the journal's. Nothing was written.
    #[error("the key {} belongs to the journal", key.escape_ascii())]
    Reserved { key: Vec<u8> },
    /// Try again in a moment: too many commits are waiting. Nothing was written.
    #[error("too many commits are waiting")]
    Busy,
    /// The engine was closed.
    #[error("the store is closed")]
    Closed,
}

/// Whether the store takes writes. A full disk does not make it unready: reads go on and writes come back by
/// themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    NotReady { why: String },
}

/// A store. Cheap to share behind an `Arc`.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// The record under `key`.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, Error>>;

    /// At most `limit` records of `range` (and at most [`SCAN_MAX_RECORDS`]), in the order of their keys or
    /// against it.
    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, Error>>;

    /// Applies `batch`. One without writes and without entries for the journal only checks its conditions, and
    /// gets the latest revision. The batch is handed over when this is called, not when the future is first polled. When the future is
    /// dropped before it is done, the batch takes effect or does not.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, Error>>;

    /// What is committed from now on: every commit after [`Changes::since`], in order, published once it is
    /// durable.
    fn changes(&self) -> Changes;

    /// The latest commit that reads show.
    fn revision(&self) -> Revision;

    /// Whether the store takes writes; the receiver can be read at any time and waited on.
    fn health(&self) -> watch::Receiver<Health>;

    /// Answers every commit that was handed over, then lets go of files and locks. Every later call gets
    /// [`Error::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What one group of commits cost.
#[derive(Debug, Clone, Copy)]
pub struct GroupStats {
    /// How many commits were made durable together.
    pub commits: usize,
    /// Keys and values, as given.
    pub bytes: usize,
    /// How long the disk took to confirm them: the `fdatasync` alone.
    pub fsync: Duration,
}

/// Called after every group, on the committer's thread: it must be quick.
pub type OnGroup = Arc<dyn Fn(GroupStats) + Send + Sync>;

/// Makes what was written to the file durable.
pub type SyncData = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// Says how many bytes may still be written to the disk that holds the file.
pub type FreeBytes = Arc<dyn Fn(&File) -> io::Result<u64> + Send + Sync>;

/// How the store asks the machine for durability and for room. Replaced by tests, to see what happens when it
/// refuses.
#[derive(Clone)]
pub struct Device {
    pub sync_data: SyncData,
    pub free_bytes: FreeBytes,
}

impl fmt::Debug for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Device").finish_non_exhaustive()
    }
}

impl Default for Device {
    fn default() -> Device {
        Device {
            sync_data: Arc::new(File::sync_data),
            free_bytes: Arc::new(|file| {
                let stat = rustix::fs::fstatvfs(file)?;
                Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
            }),
        }
    }
}

/// Which engine, and where it keeps its data: `sled:DIRECTORY` or `memory:`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Location {
    /// On disk, in this directory, which is made if it is not there.
    Sled(PathBuf),
    /// In this process, gone when it ends.
    Memory,
}

impl Location {
    /// Whether something has been kept there already.
    #[must_use]
    pub fn is_store(&self) -> bool {
        match self {
            Location::Sled(path) => directory::is_ours(path),
            Location::Memory => false,
        }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Location, LocationError> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Location::Memory),
            Some(("sled", path)) if !path.is_empty() => Ok(Location::Sled(PathBuf::from(path))),
            _ => Err(LocationError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Location {
    type Error = LocationError;

    fn try_from(text: String) -> Result<Location, LocationError> {
        text.parse()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sled(path) => write!(out, "sled:{}", path.display()),
            Location::Memory => out.write_str("memory:"),
        }
    }
}

/// The text does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not name a store: write `sled:DIRECTORY`, or `memory:` to try things out")]
pub struct LocationError {
    text: String,
}

/// Everything that opening a store needs to know.
#[derive(Clone)]
pub struct Options {
    pub location: Location,
    pub cache_bytes: u64,
    pub reserve_bytes: u64,
    pub log_bytes: u64,
    pub on_group: Option<OnGroup>,
    pub device: Device,
}

impl Options {
    /// The defaults, for this place.
    #[must_use]
    pub fn new(location: Location) -> Options {
        Options {
            location,
            cache_bytes: CACHE_BYTES,
            reserve_bytes: RESERVE_BYTES,
            log_bytes: LOG_BYTES,
            on_group: None,
            device: Device::default(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("location", &self.location)
            .field("cache_bytes", &self.cache_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("log_bytes", &self.log_bytes)
            .finish_non_exhaustive()
    }
}

/// Opens the store, and reads all of it once, so that damage is found now and not by a caller. Blocks.
///
/// # Errors
///
/// A sentence that says what is wrong with the directory, and what to do.
pub fn open(options: Options) -> Result<Arc<dyn Engine>, OpenError> {
    match options.location.clone() {
        Location::Memory => Ok(Arc::new(memory::Memory::new())),
        Location::Sled(path) => Ok(Arc::new(durable::Durable::open(&path, options)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_ends_where_the_prefix_does() {
        let cases: [(&[u8], &[u8]); 5] =
            [(b"a", b"b"), (b"a\xFF", b"b"), (b"a\xFF\xFF", b"b"), (b"\xFF\xFF", b""), (b"", b"")];
        for (prefix, end) in cases {
            let range = KeyRange::prefix(prefix);
            assert_eq!((range.start.as_slice(), range.end.as_slice()), (prefix, end));
            assert!(range.contains(prefix));
            assert!(range.contains(&[prefix, b"\xFF\xFF\xFF"].concat()));
            assert!(end.is_empty() || !range.contains(end));
        }
    }

    #[test]
    fn a_range_can_go_on_after_and_before_a_key() {
        let range = KeyRange::prefix(b"a");
        assert!(range.clone().after(b"a1").contains(b"a1\0") && !range.clone().after(b"a1").contains(b"a1"));
        assert!(
            !range.clone().before(b"a1").contains(b"a1") && range.clone().before(b"a1").contains(b"a0\xFF")
        );
        // A key outside of the range leaves it as it is, or empty.
        assert_eq!(range.clone().after(b"A"), range);
        assert_eq!(range.clone().before(b"z"), range);
        assert!(range.clone().after(b"b").is_empty() && range.before(b"A").is_empty());
    }

    #[test]
    fn a_location_is_written_as_it_is_read() {
        for text in ["memory:", "sled:./data", "sled:/a:b"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        for text in ["", "memory", "memory:x", "sled:", "etcd:x", "./data"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
