//! Whether an audit trail is whole.
//!
//! What shows: an entry that was changed, removed, put in, or moved, and a trail that does not begin at its beginning. What
//! cannot show by the trail alone: that its newest end was cut off, or that all of it from some entry on was written anew by
//! somebody who could write the store. A [`Witness`], the number and the hash of an entry that were kept elsewhere, shows
//! that too, up to its entry.

use super::record::{entries, entry, hex, unhex};
use crate::pb::countersign::v1::AuditEntry;
use crate::store::journal::{self, Head, Section};
use crate::store::{self, Direction, Engine};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How many faults are told; the rest is counted.
const FAULTS_TOLD_MAX: usize = 20;
/// How many records of the journal are read at one time.
const RECORDS_AT_ONCE: usize = 32;

/// That the trail once had an entry with this number and this hash. Written `NUMBER:HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The number of the entry.
    pub number: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

impl FromStr for Witness {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Witness, Self::Err> {
        let wrong = "a witness is NUMBER:HASH, as verify prints it";
        let (number, hash) = text.split_once(':').ok_or(wrong)?;
        let number = number.parse().map_err(|_| wrong)?;
        let hash = hex(&unhex(hash).ok_or(wrong)?);
        Ok(Witness { number, hash })
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.number, self.hash)
    }
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were looked at.
    pub entries: u64,
    /// The end of the trail.
    pub head: Witness,
    /// A sentence for each fault, the first of them.
    pub faults: Vec<String>,
    /// How many faults there were in all; 0 = the trail is whole.
    pub faults_total: usize,
}

/// Takes a trail entry by entry, oldest first.
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    witnesses: BTreeMap<u64, Vec<String>>,
    entries: u64,
    faults: Vec<String>,
    faults_total: usize,
}

impl Verifier {
    /// Nothing seen yet.
    pub fn new(witnesses: impl IntoIterator<Item = Witness>) -> Verifier {
        let mut verifier = Verifier {
            head: Head::default(),
            witnesses: BTreeMap::new(),
            entries: 0,
            faults: Vec::new(),
            faults_total: 0,
        };
        for witness in witnesses {
            verifier.witnesses.entry(witness.number).or_default().push(witness.hash);
        }
        verifier.meet_witnesses();
        verifier
    }

    /// The next entry.
    pub fn take(&mut self, told: &AuditEntry) {
        self.entries += 1;
        let expected = self.head.number.saturating_add(1);
        let Some(number) = u64::try_from(told.number).ok().filter(|number| *number > 0) else {
            return self.fault(format!("an entry has the number {}", told.number));
        };
        if number > expected {
            self.fault(format!("{} missing", range(expected, number - 1)));
        } else if number < expected {
            self.fault(format!("entry {number} comes after entry {}", expected - 1));
        } else if told.previous_hash != hex(&self.head.hash) {
            self.fault(format!(
                "entry {number} does not follow entry {}: one of them is not what was written",
                number - 1
            ));
        }
        let Some(hash) = unhex(&told.previous_hash) else {
            self.head.number = number;
            return self.fault(format!("entry {number} has no hash of the entry before"));
        };
        let before = Head { number: number - 1, hash };
        let record = Bytes::copy_from_slice(&told.record);
        let right = entry(before, &record);
        if right.hash != told.hash {
            self.fault(format!(
                "entry {number}, or one before it that was written together with it, is not what was written"
            ));
        } else if right != *told {
            self.fault(format!("what is told of entry {number} is not what is kept of it"));
        }
        // What was kept counts, so that one fault is told once.
        self.head = Head { number, hash: unhex(&told.hash).unwrap_or_default() };
        self.meet_witnesses();
    }

    /// A part of the trail that cannot be read.
    pub fn unreadable(&mut self, why: &str) {
        self.fault(format!("after entry {}: {why}", self.head.number));
    }

    fn meet_witnesses(&mut self) {
        let now = hex(&self.head.hash);
        for hash in self.witnesses.remove(&self.head.number).unwrap_or_default() {
            if hash != now {
                self.fault(format!(
                    "entry {} had the hash {hash} once, and has another now",
                    self.head.number
                ));
            }
        }
    }

    fn fault(&mut self, sentence: String) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(sentence);
        }
    }

    /// There are no more entries.
    pub fn end(mut self) -> Verified {
        for number in std::mem::take(&mut self.witnesses).into_keys() {
            self.fault(if number > self.head.number {
                format!("the trail ends with entry {} and had entry {number} once", self.head.number)
            } else {
                format!("entry {number}, which the trail had once, is missing")
            });
        }
        Verified {
            entries: self.entries,
            head: Witness { number: self.head.number, hash: hex(&self.head.hash) },
            faults: self.faults,
            faults_total: self.faults_total,
        }
    }
}

fn range(first: u64, last: u64) -> String {
    if first == last { format!("entry {first} is") } else { format!("entries {first} to {last} are") }
}

/// Verifies the whole trail of a store.
///
/// # Errors
/// If the store cannot be read.
pub async fn verify_store(
    store: &dyn Engine,
    witnesses: impl IntoIterator<Item = Witness>,
) -> Result<Verified, store::Error> {
    let mut verifier = Verifier::new(witnesses);
    let mut records = journal::range();
    loop {
        let found = store.scan(records.clone(), Direction::Ascending, RECORDS_AT_ONCE).await?;
        let Some((last, _)) = found.last() else { return Ok(verifier.end()) };
        records = records.after(last);
        for (key, stored) in &found {
            match Section::read(key, &stored.value) {
                Ok(section) => entries(&section).iter().for_each(|entry| verifier.take(entry)),
                Err(malformed) => verifier.unreadable(&malformed.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::audit::record::AuditRecord;
    use prost::Message;

    fn trail(length: u64) -> Vec<AuditEntry> {
        let mut head = Head::default();
        let mut trail = Vec::new();
        for revision in 1..=length {
            let payload = Bytes::from(AuditRecord { revision, ..AuditRecord::default() }.encode_to_vec());
            trail.push(entry(head, &payload));
            head = head.followed_by(&payload);
        }
        trail
    }

    fn witness(entry: &AuditEntry) -> Witness {
        Witness { number: u64::try_from(entry.number).unwrap(), hash: entry.hash.clone() }
    }

    fn faults(trail: &[AuditEntry], witnesses: &[Witness]) -> Vec<String> {
        let mut verifier = Verifier::new(witnesses.iter().cloned());
        trail.iter().for_each(|entry| verifier.take(entry));
        verifier.end().faults
    }

    #[test]
    fn a_whole_trail_has_no_faults() {
        let trail = trail(9);
        assert_eq!(faults(&trail, &[witness(&trail[0]), witness(&trail[8])]), [""; 0]);
        assert_eq!(faults(&[], &[]), [""; 0]);
    }

    #[test]
    fn every_entry_that_is_changed_removed_put_in_or_moved_shows() {
        let whole = trail(5);
        for at in 0..5 {
            let mut changed = whole.clone();
            let mut record = AuditRecord::decode(changed[at].record.as_slice()).unwrap();
            record.actor = "somebody else".to_owned();
            changed[at].record = record.encode_to_vec();
            changed[at].actor = record.actor;
            assert_eq!(faults(&changed, &[]).len(), 1, "changed at {at}");

            // With the hash of the entry made right again, the next one no longer follows.
            let before = Head { number: at as u64, hash: unhex(&whole[at].previous_hash).unwrap() };
            changed[at] = entry(before, &Bytes::from(changed[at].record.clone()));
            let found = faults(&changed, &[witness(&whole[4])]);
            assert_eq!(found.len(), 1, "changed at {at}, hash too: {found:?}");

            let mut told_wrongly = whole.clone();
            told_wrongly[at].actor = "somebody else".to_owned();
            assert_eq!(faults(&told_wrongly, &[]).len(), 1, "told wrongly at {at}");

            let mut removed = whole.clone();
            removed.remove(at);
            let found = faults(&removed, &[witness(&whole[4])]);
            assert_eq!(found.len(), 1, "removed at {at}: {found:?}");

            let mut renumbered = removed.clone();
            for (n, entry) in renumbered.iter_mut().enumerate() {
                entry.number = n as i64 + 1;
            }
            assert!(!faults(&renumbered, &[witness(&whole[4])]).is_empty(), "removed and renumbered at {at}");

            let mut put_in = whole.clone();
            put_in.insert(at, whole[at].clone());
            assert!(!faults(&put_in, &[]).is_empty(), "put in at {at}");

            let mut moved = whole.clone();
            moved.swap(at, (at + 1) % 5);
            assert!(!faults(&moved, &[]).is_empty(), "moved at {at}");
        }
    }

    #[test]
    fn a_cut_end_shows_only_to_a_witness() {
        let whole = trail(5);
        assert_eq!(faults(&whole[..3], &[]), [""; 0]);
        assert_eq!(
            faults(&whole[..3], &[witness(&whole[2]), witness(&whole[4])]),
            ["the trail ends with entry 3 and had entry 5 once"]
        );
        assert_eq!(faults(&whole[2..], &[]), ["entries 1 to 2 are missing"]);
    }

    #[test]
    fn a_trail_that_was_written_anew_shows_to_a_witness() {
        let other = {
            let payload = Bytes::from_static(b"");
            vec![entry(Head::default(), &payload)]
        };
        assert_eq!(faults(&other, &[]), [""; 0]);
        assert_eq!(faults(&other, &[witness(&trail(1)[0])]).len(), 1);
    }

    #[test]
    fn a_witness_is_read_as_it_is_written() {
        let one = witness(&trail(1)[0]);
        assert_eq!(one.to_string().parse(), Ok(one.clone()));
        assert!("1".parse::<Witness>().is_err() && "1:00".parse::<Witness>().is_err());
    }

    #[test]
    fn nothing_that_a_service_may_tell_makes_it_panic() {
        for number in [i64::MIN, -1, 0, 1, i64::MAX] {
            let told = AuditEntry { number, previous_hash: "x".repeat(64), ..AuditEntry::default() };
            assert!(!faults(&[told.clone(), told], &[]).is_empty());
        }
    }
}
