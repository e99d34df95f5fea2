//! Records in layers: what is not on disk yet lies over what is.
//!
//! A [`Table`] holds keys with their newest records, or the note that they were deleted. The committer decides each batch
//! of a group against the group's own table over those that are durable but not in the disk engine yet, over the disk
//! engine; readers see all but the first. Both are the same merge, so it is written once, here. Nothing here waits or
//! writes.

use std::collections::BTreeMap;
use std::iter::Peekable;

use bytes::Bytes;

use super::{CONDITION_RANGE_MAX_RECORDS, Condition, Direction, Error, KeyRange, Revision, record};

/// Keys and their encoded records; `None` = deleted.
pub(super) type Table = BTreeMap<Bytes, Option<Bytes>>;

/// One record: key, encoded record.
pub(super) type Item = Result<(Bytes, Bytes), Error>;

/// What a layer says of one key.
type Layered = Result<(Bytes, Option<Bytes>), Error>;

/// The lowest layer.
pub(super) trait Records {
    /// The encoded record under `key`.
    fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// The encoded records of `range`, in this direction.
    fn raw_range<'a>(&'a self, range: &KeyRange, direction: Direction)
    -> Box<dyn Iterator<Item = Item> + 'a>;
}

/// Tables over a disk engine, the newest first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers<'a, D> {
    pub(super) tables: [Option<&'a Table>; 3],
    pub(super) disk: &'a D,
}

impl<'a, D: Records> Layers<'a, D> {
    /// The encoded record under `key`.
    pub(super) fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.tables.iter().flatten().find_map(|table| table.get(key)) {
            Some(found) => Ok(found.clone()),
            None => self.disk.raw(key),
        }
    }

    /// The encoded records of `range`, in this direction.
    pub(super) fn raw_range(&self, range: &'a KeyRange, direction: Direction) -> Merged<'a> {
        if range.is_empty() {
            return Merged { layers: Vec::new(), direction };
        }
        let tables = self.tables.iter().flatten().map(|table| {
            let found = table.range::<[u8], _>(range.bounds());
            let found: Box<dyn Iterator<Item = (&Bytes, &Option<Bytes>)>> = match direction {
                Direction::Ascending => Box::new(found),
                Direction::Descending => Box::new(found.rev()),
            };
            let copied = found.map(|(key, raw)| Ok((key.clone(), raw.clone())));
            (Box::new(copied) as Box<dyn Iterator<Item = Layered>>).peekable()
        });
        let disk = self.disk.raw_range(range, direction).map(|item| item.map(|(key, raw)| (key, Some(raw))));
        let disk = (Box::new(disk) as Box<dyn Iterator<Item = Layered>>).peekable();
        Merged { layers: tables.chain([disk]).collect(), direction }
    }
}

/// The records of a range, each from the newest layer that says something of it.
pub(super) struct Merged<'a> {
    /// The newest first.
    layers: Vec<Peekable<Box<dyn Iterator<Item = Layered> + 'a>>>,
    direction: Direction,
}

impl Merged<'_> {
    /// The key that comes next; of several layers the newest has the say.
    fn next_layered(&mut self) -> Option<Layered> {
        let mut next: Option<(usize, Bytes)> = None;
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let key = match layer.peek() {
                None => continue,
                Some(Err(_)) => return layer.next(),
                Some(Ok((key, _))) => key,
            };
            let is_first = next.as_ref().is_none_or(|(_, first)| match self.direction {
                Direction::Ascending => key < first,
                Direction::Descending => key > first,
            });
            if is_first {
                next = Some((index, key.clone()));
            }
        }
        let (index, key) = next?;
        let older = self.layers.iter_mut().skip(index + 1);
        older.for_each(|layer| {
            drop(layer.next_if(|item| item.as_ref().is_ok_and(|(other, _)| *other == key)))
        });
        self.layers.get_mut(index)?.next()
    }
}

impl Iterator for Merged<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            match self.next_layered()? {
                Ok((key, Some(raw))) => return Some(Ok((key, raw))),
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The first condition that does not hold, as the error to answer with.
pub(super) fn check(conditions: &[Condition], records: &Layers<'_, impl Records>) -> Result<(), Error> {
    for (index, condition) in conditions.iter().enumerate() {
        let broken_by = match condition {
            Condition::Unchanged { key, revision } => {
                (revision_of(key, records.raw(key)?.as_ref())? != *revision).then(|| key.clone())
            }
            Condition::RangeUnchangedSince { range, revision } => newer_in(range, *revision, records)?,
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
    records: &Layers<'_, impl Records>,
) -> Result<Option<Vec<u8>>, Error> {
    for (seen, item) in records.raw_range(range, Direction::Ascending).enumerate() {
        if seen >= CONDITION_RANGE_MAX_RECORDS {
            return Err(Error::TooLarge {
                what: "records under a range condition",
                limit: CONDITION_RANGE_MAX_RECORDS,
            });
        }
        let (key, raw) = item?;
        if revision_of(&key, Some(&raw))?.is_some_and(|found| found > revision) {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Records for Table {
        fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
            Ok(self.get(key).cloned().flatten())
        }

        fn raw_range<'a>(
            &'a self,
            range: &KeyRange,
            direction: Direction,
        ) -> Box<dyn Iterator<Item = Item> + 'a> {
            let found = self.range::<[u8], _>(range.bounds());
            let found = found.filter_map(|(key, raw)| Some(Ok((key.clone(), raw.clone()?))));
            match direction {
                Direction::Ascending => Box::new(found),
                Direction::Descending => Box::new(found.rev()),
            }
        }
    }

    fn table() -> impl Strategy<Value = Table> {
        let key = prop::collection::vec(0..4_u8, 0..3).prop_map(Bytes::from);
        let raw = prop::option::of(prop::collection::vec(any::<u8>(), 0..3).prop_map(Bytes::from));
        prop::collection::btree_map(key, raw, 0..12)
    }

    fn bound() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..4_u8, 0..3)
    }

    proptest! {
        /// The layers say what one table would that every layer had been written to, the oldest first.
        #[test]
        fn layers_are_as_one_table(
            disk in table(), old in table(), new in table(), start in bound(), end in bound()
        ) {
            let layers = Layers { tables: [Some(&new), None, Some(&old)], disk: &disk };
            let mut one = disk.clone();
            one.extend(old.clone());
            one.extend(new.clone());
            for key in one.keys() {
                prop_assert_eq!(layers.raw(key), one.raw(key));
            }
            let range = KeyRange { start, end };
            for direction in [Direction::Ascending, Direction::Descending] {
                let found: Vec<Item> = layers.raw_range(&range, direction).collect();
                let expected: Vec<Item> =
                    if range.is_empty() { Vec::new() } else { one.raw_range(&range, direction).collect() };
                prop_assert_eq!(found, expected);
            }
        }
    }
}
