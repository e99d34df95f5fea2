//! What one entry says, and how it is told. Nothing is read or written here.

use crate::app::Caller;
use crate::pb::countersign::v1::AuditEntry;
use crate::store::journal::{Hash, Head, Section};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;

/// The longest name of a principal that is kept, in bytes; a longer one is cut.
const ACTOR_MAX_BYTES: usize = 512;
/// The longest method and reason that are kept, in bytes.
const NAME_MAX_BYTES: usize = 256;
/// The longest id of a policy that is kept, in bytes.
pub(super) const ID_MAX_BYTES: usize = 1024;
/// How much of a mask is kept, in bytes of its paths; those that do not fit are counted.
const MASK_MAX_BYTES: usize = 2048;
/// How many paths of a mask are kept.
const MASK_MAX_PATHS: usize = 64;

/// An entry as it is kept. A later release may add to it and may change nothing: it is what the chain is made of.
#[derive(Clone, PartialEq, Message)]
pub(in crate::app) struct AuditRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) time: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub(super) actor: String,
    #[prost(string, tag = "3")]
    pub(super) method: String,
    #[prost(string, tag = "4")]
    pub(super) policy_id: String,
    #[prost(string, repeated, tag = "5")]
    pub(super) mask: Vec<String>,
    #[prost(int32, tag = "6")]
    pub(super) mask_paths_omitted: i32,
    /// The number of a gRPC code; 0 = OK.
    #[prost(int32, tag = "7")]
    pub(super) code: i32,
    #[prost(string, tag = "8")]
    pub(super) reason: String,
    #[prost(uint64, tag = "9")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "10")]
    pub(super) dropped_before: u64,
}

impl AuditRecord {
    /// With everything cut to what is kept of it.
    pub(super) fn new(time: Timestamp, actor: &str, method: &str, policy_id: &str, mask: &[String]) -> Self {
        let mut room = MASK_MAX_BYTES;
        let fits = mask.iter().take(MASK_MAX_PATHS).take_while(|path| {
            let left = room.checked_sub(path.len());
            room = left.unwrap_or(0);
            left.is_some()
        });
        let kept: Vec<String> = fits.cloned().collect();
        AuditRecord {
            time: Some(time),
            actor: cut(actor, ACTOR_MAX_BYTES),
            method: cut(method, NAME_MAX_BYTES),
            policy_id: cut(policy_id, ID_MAX_BYTES),
            mask_paths_omitted: i32::try_from(mask.len() - kept.len()).unwrap_or(i32::MAX),
            mask: kept,
            ..AuditRecord::default()
        }
    }

    /// The same, for a call that ended with this code and this stable reason.
    pub(super) fn ended(self, code: i32, reason: &str) -> Self {
        AuditRecord { code, reason: cut(reason, NAME_MAX_BYTES), ..self }
    }
}

/// The entry of a write that makes the revision `number` of a policy.
pub(in crate::app) fn written(
    time: Timestamp,
    caller: &Caller,
    policy_id: &str,
    mask: &[String],
    number: u64,
) -> Vec<u8> {
    let record = AuditRecord::new(time, &caller.actor, caller.method, policy_id, mask);
    AuditRecord { revision: number, ..record }.encode_to_vec()
}

/// The text, or as much of its beginning as there is room for.
pub(super) fn cut(text: &str, max_bytes: usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= max_bytes).last().unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The entry with this payload that follows `before`, as it is told. A payload that is no record is told without fields.
pub(super) fn entry(before: Head, payload: &Bytes) -> AuditEntry {
    let after = before.followed_by(payload);
    let record = AuditRecord::decode(payload.clone()).unwrap_or_default();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    AuditEntry {
        number: number(after.number),
        time: record.time,
        actor: record.actor,
        method: record.method,
        policy_id: record.policy_id,
        mask: record.mask,
        mask_paths_omitted: record.mask_paths_omitted,
        code: record.code,
        reason: record.reason,
        revision: number(record.revision),
        dropped_before: number(record.dropped_before),
        previous_hash: hex(&before.hash),
        hash: hex(&after.hash),
        record: payload.to_vec(),
    }
}

/// The entries of one record of the journal. The hash of the last is the one that was kept with them, so that a change to
/// any of them shows.
pub(super) fn entries(section: &Section) -> Vec<AuditEntry> {
    let mut head = Head { number: section.first.saturating_sub(1), hash: section.before };
    let mut entries = Vec::with_capacity(section.payloads.len());
    for payload in &section.payloads {
        entries.push(entry(head, payload));
        head = head.followed_by(payload);
    }
    if let Some(last) = entries.last_mut() {
        last.hash = hex(&section.after);
    }
    entries
}

/// A hash as it is told.
pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash as it was told.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (n, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(2 * n..2 * n + 2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_never_longer_than_the_journal_takes() {
        let long = "\u{10ffff}".repeat(10_000);
        let masks = [vec![long.clone(); 3], vec!["path".to_owned(); 5000], vec!["a".repeat(2048)]];
        for (mask, omitted) in masks.iter().zip([3, 4936, 0]) {
            let record = AuditRecord::new(Timestamp::default(), &long, &long, &long, mask).ended(3, &long);
            assert_eq!(record.mask_paths_omitted, omitted);
            assert!(record.encoded_len() <= crate::store::journal::ENTRY_MAX_BYTES);
        }
        assert_eq!(cut("aé", 2), "a");
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Head::default().followed_by(b"x").hash;
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        for bad in ["", "00", &"+0".repeat(32), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
