//! A group of commits on its way to the disk: what it changes, and how the records look before and after.
//!
//! The committer decides each batch against the state that the earlier batches of the group leave behind.
//! Readers see, until the group is durable, the state before it, although the disk engine already shows the
//! new one. Both are the same merge of what the disk engine shows with a [`Staged`] map, so it is written
//! once, here. Nothing here waits or writes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::{CONDITION_RANGE_MAX_RECORDS, Condition, Direction, Error, KeyRange, Revision, record};

/// The keys that a group writes.
pub(super) type Staged = BTreeMap<Vec<u8>, Change>;

/// What a group does to one key.
#[derive(Debug)]
pub(super) struct Change {
    /// The encoded record before the group.
    pub(super) before: Option<Bytes>,
    /// The commit of the group that last wrote it; `None` = deleted.
    pub(super) after: Option<Revision>,
}

/// Where a key of a merged range was found.
pub(super) enum Found<'a> {
    /// Only on disk: the encoded record.
    Disk(Bytes),
    /// In the group; what the disk shows for it may be old or new.
    Staged(&'a Change),
}

/// One record as the disk engine shows it: key, encoded record.
pub(super) type DiskItem = Result<(Bytes, Bytes), Error>;

/// The keys of `range` that are on disk or in the group, in order.
pub(super) fn merged<'a>(
    disk: impl Iterator<Item = DiskItem> + 'a,
    staged: &'a Staged,
    range: &'a KeyRange,
    direction: Direction,
) -> impl Iterator<Item = Result<(Bytes, Found<'a>), Error>> + 'a {
    let mut disk = disk.peekable();
    let staged = if range.is_empty() { None } else { Some(staged.range::<[u8], _>(range.bounds())) };
    let staged: Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Change)> + 'a> = match direction {
        Direction::Ascending => Box::new(staged.into_iter().flatten()),
        Direction::Descending => Box::new(staged.into_iter().flatten().rev()),
    };
    let mut staged = staged.peekable();
    std::iter::from_fn(move || {
        let order = match (disk.peek(), staged.peek()) {
            (None, None) => return None,
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Ok((on_disk, _))), Some((in_group, _))) => {
                let order = on_disk.as_ref().cmp(in_group.as_slice());
                if direction == Direction::Descending { order.reverse() } else { order }
            }
        };
        if order == Ordering::Less {
            return Some(disk.next()?.map(|(key, raw)| (key, Found::Disk(raw))));
        }
        let (key, change) = staged.next()?;
        let key = if order == Ordering::Equal {
            disk.next()?.map(|(key, _)| key)
        } else {
            Ok(Bytes::copy_from_slice(key))
        };
        Some(key.map(|key| (key, Found::Staged(change))))
    })
}

/// What the conditions of a batch ask of the disk.
pub(super) trait Records {
    /// The encoded record under `key`.
    fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// The encoded records of `range`, ascending.
    fn raw_range(&self, range: &KeyRange) -> impl Iterator<Item = DiskItem>;
}

/// The first condition that does not hold after what is staged, as the error to answer with.
pub(super) fn check(conditions: &[Condition], disk: &impl Records, staged: &Staged) -> Result<(), Error> {
    for (index, condition) in conditions.iter().enumerate() {
        let broken_by = match condition {
            Condition::Unchanged { key, revision } => {
                let found = match staged.get(key) {
                    Some(change) => change.after,
                    None => revision_of(key, disk.raw(key)?.as_ref())?,
                };
                (found != *revision).then(|| key.clone())
            }
            Condition::RangeUnchangedSince { range, revision } => newer_in(range, *revision, disk, staged)?,
        };
        if let Some(key) = broken_by {
            return Err(Error::Conflict { condition: index, key });
        }
    }
    Ok(())
}

fn revision_of(key: &[u8], raw: Option<&Bytes>) -> Result<Option<Revision>, Error> {
    raw.map(|raw| record::decode(key, raw).map(|stored| stored.revision)).transpose()
}

/// A key in `range` that was written after `revision`.
fn newer_in(
    range: &KeyRange,
    revision: Revision,
    disk: &impl Records,
    staged: &Staged,
) -> Result<Option<Vec<u8>>, Error> {
    let records = merged(disk.raw_range(range), staged, range, Direction::Ascending);
    for (seen, item) in records.enumerate() {
        if seen >= CONDITION_RANGE_MAX_RECORDS {
            return Err(Error::TooLarge {
                what: "records under a range condition",
                limit: CONDITION_RANGE_MAX_RECORDS,
            });
        }
        let (key, found) = item?;
        let found = match found {
            Found::Disk(raw) => revision_of(&key, Some(&raw))?,
            Found::Staged(change) => change.after,
        };
        if found.is_some_and(|found| found > revision) {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}
