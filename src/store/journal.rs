//! The journal: what batches say about themselves, in the order in which they took effect, each entry chained to the one
//! before by its hash.
//!
//! A batch may carry entries ([`super::Batch::journal`]). They are bytes to the store, which numbers and chains them where
//! batches are put in order anyway, so writers never conflict over them, and keeps those of one group of commits in one
//! record, atomically with the batches that they came with. The records are read like any other, under [`range`]; nobody
//! can write them. What an entry means, and whether the chain is whole, is for whoever reads it.
//!
//! The hash of entry `n` is `SHA-256(hash of entry n - 1 | n as u64 big-endian | SHA-256(payload))`; entries count from 1,
//! and before the first the hash is 32 zero bytes. A record under `FF | number of its first entry` is
//!
//! `hash before its first entry, 32 bytes | hash of its last, 32 bytes | for each entry: length u32 big-endian, payload`

use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

use super::KeyRange;
use super::table::{Key, Parts};

/// The first byte of every key of the journal. No batch may write below it.
pub const JOURNAL_TABLE: u8 = 0xFF;
/// The longest payload of one entry.
pub const ENTRY_MAX_BYTES: usize = 8 * 1024;
/// A record takes no further entry once it is this large.
const RECORD_MAX_BYTES: usize = 64 * 1024;

const HASH_BYTES: usize = 32;

/// A link of the chain.
pub type Hash = [u8; HASH_BYTES];

/// What is before the first entry.
pub const START: Hash = [0; HASH_BYTES];

/// A payload on its way into the journal, its digest taken so that the committer need not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    bytes: Bytes,
    digest: Hash,
}

impl Payload {
    pub(super) fn new(bytes: Bytes) -> Payload {
        let digest = Sha256::digest(&bytes).into();
        Payload { bytes, digest }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 = there is none.
    pub number: u64,
    /// Its hash; [`START`] if there is none.
    pub hash: Hash,
}

impl Default for Head {
    fn default() -> Head {
        Head { number: 0, hash: START }
    }
}

impl Head {
    /// The end of the chain once an entry with this payload follows.
    #[must_use]
    pub fn followed_by(self, payload: &[u8]) -> Head {
        self.linked(&Sha256::digest(payload).into())
    }

    fn linked(self, digest: &Hash) -> Head {
        let number = self.number.saturating_add(1);
        let hash =
            Sha256::new().chain_update(self.hash).chain_update(number.to_be_bytes()).chain_update(digest);
        Head { number, hash: hash.finalize().into() }
    }
}

/// The keys of all records.
#[must_use]
pub fn range() -> KeyRange {
    Key::new(JOURNAL_TABLE).range()
}

/// The keys of the records whose first entry has this number or a lower one: the last of them has the entry, if there
/// is one.
#[must_use]
pub fn range_up_to(number: u64) -> KeyRange {
    let mut range = range();
    if let Some(next) = number.checked_add(1) {
        range.end = key(next);
    }
    range
}

/// The keys of the records whose first entry has this number or a higher one.
#[must_use]
pub fn range_from(number: u64) -> KeyRange {
    KeyRange { start: key(number), ..range() }
}

fn key(first: u64) -> Vec<u8> {
    Key::new(JOURNAL_TABLE).u64(first).into_bytes()
}

/// The entries of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The number of the first entry.
    pub first: u64,
    /// The hash of the entry before the first, as it was when this was written.
    pub before: Hash,
    /// The hash of the last entry, as it was when this was written.
    pub after: Hash,
    pub payloads: Vec<Bytes>,
}

/// The bytes are no record of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a record of the journal")]
pub struct Malformed;

impl Section {
    /// Reads a record.
    ///
    /// # Errors
    /// If it is none. Whether its hashes are right is not looked at.
    pub fn read(key: &[u8], value: &Bytes) -> Result<Section, Malformed> {
        let mut parts = Parts::of(JOURNAL_TABLE, key).map_err(|_| Malformed)?;
        let first = parts.u64().map_err(|_| Malformed)?;
        parts.end().map_err(|_| Malformed)?;
        let mut rest = value.clone();
        if rest.remaining() < 2 * HASH_BYTES {
            return Err(Malformed);
        }
        let (mut before, mut after) = (START, START);
        rest.copy_to_slice(&mut before);
        rest.copy_to_slice(&mut after);
        let mut payloads = Vec::new();
        while rest.has_remaining() {
            let length = rest.try_get_u32().map_err(|_| Malformed)?;
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            if rest.remaining() < length {
                return Err(Malformed);
            }
            payloads.push(rest.split_to(length));
        }
        if first == 0 || payloads.is_empty() {
            return Err(Malformed);
        }
        Ok(Section { first, before, after, payloads })
    }

    /// The chain as this record says that it ended with it.
    #[must_use]
    pub fn head(&self) -> Head {
        let further = u64::try_from(self.payloads.len()).unwrap_or(u64::MAX).saturating_sub(1);
        Head { number: self.first.saturating_add(further), hash: self.after }
    }
}

/// Key and value of a record.
type Record = (Vec<u8>, Vec<u8>);

/// The entries of one group of commits on their way into records.
#[derive(Debug, Default)]
pub(super) struct Writing {
    head: Head,
    /// The record that is being filled: the number of its first entry, and its bytes with room for the second hash.
    open: Option<(u64, Vec<u8>)>,
    full: Vec<Record>,
}

impl Writing {
    /// Goes on where the chain ends.
    pub(super) fn after(head: Head) -> Writing {
        Writing { head, open: None, full: Vec::new() }
    }

    pub(super) fn add(&mut self, payload: &Payload) {
        if self.open.as_ref().is_some_and(|(_, record)| record.len() + payload.len() > RECORD_MAX_BYTES) {
            self.close();
        }
        let before = self.head;
        self.head = before.linked(&payload.digest);
        let number = self.head.number;
        let (_, record) = self.open.get_or_insert_with(|| (number, [before.hash, START].concat()));
        // An entry is far shorter than that.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        record.extend_from_slice(&length.to_be_bytes());
        record.extend_from_slice(&payload.bytes);
    }

    fn close(&mut self) {
        let Some((first, mut record)) = self.open.take() else { return };
        let place = record.iter_mut().skip(HASH_BYTES).take(HASH_BYTES);
        place.zip(self.head.hash).for_each(|(to, from)| *to = from);
        self.full.push((key(first), record));
    }

    /// The records, key and value, and the new end of the chain.
    pub(super) fn finish(mut self) -> (Vec<Record>, Head) {
        self.close();
        (self.full, self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(head: Head, payloads: &[Vec<u8>]) -> (Vec<Section>, Head) {
        let mut writing = Writing::after(head);
        for payload in payloads {
            writing.add(&Payload::new(Bytes::from(payload.clone())));
        }
        let (records, head) = writing.finish();
        let read = |(key, value): Record| Section::read(&key, &Bytes::from(value)).unwrap();
        (records.into_iter().map(read).collect(), head)
    }

    #[test]
    fn entries_are_chained_within_and_across_records() {
        let payloads: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n) * 120]).collect();
        let (sections, head) = written(Head::default(), &payloads);
        assert!(sections.len() > 1, "they do not fit into one record");
        let mut expected = Head::default();
        let mut found = Vec::new();
        for section in &sections {
            assert_eq!((section.first, section.before), (expected.number + 1, expected.hash));
            for payload in &section.payloads {
                expected = expected.followed_by(payload);
                found.push(payload.to_vec());
            }
            assert_eq!(section.head(), expected);
        }
        assert_eq!((found, head), (payloads, expected));
        let (next, _) = written(head, &[b"next".to_vec()]);
        assert_eq!((next[0].first, next[0].before), (41, head.hash));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut writing = Writing::after(Head::default());
        writing.add(&Payload::new(Bytes::from_static(b"one")));
        let (records, _) = writing.finish();
        let (key, value) = &records[0];
        for length in 0..value.len() {
            let cut = Bytes::copy_from_slice(&value[..length]);
            assert_eq!(Section::read(key, &cut), Err(Malformed), "{length} bytes");
        }
        assert_eq!(Section::read(b"\xFF", &Bytes::from(value.clone())), Err(Malformed));
    }

    #[test]
    fn ranges_have_the_records_that_they_name() {
        assert!(range_up_to(5).contains(&key(5)) && !range_up_to(5).contains(&key(6)));
        assert!(range_from(5).contains(&key(5)) && !range_from(5).contains(&key(4)));
        assert!(range_up_to(u64::MAX).contains(&key(u64::MAX)));
    }
}
