//! The store without a disk: a `BTreeMap` behind a lock. For trying things out, and for tests of what is
//! above.
//!
//! It keeps every promise of [`Engine`] except that it survives the process.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use tokio::sync::watch;

use super::changes::Feed;
use super::journal::{Head, Writing};
use super::{
    Batch, BoxFuture, CONDITION_RANGE_MAX_RECORDS, Changes, Committed, Condition, Direction, Engine, Error,
    Health, KeyRange, Revision, SCAN_MAX_RECORDS, Stored, Write,
};

#[derive(Debug)]
pub(super) struct Memory {
    state: RwLock<State>,
    health: watch::Sender<Health>,
}

#[derive(Debug)]
struct State {
    records: BTreeMap<Vec<u8>, Stored>,
    revision: Revision,
    /// The end of the journal.
    head: Head,
    /// Gone once the store is closed.
    feed: Option<Feed>,
}

impl Memory {
    pub(super) fn new() -> Memory {
        let (records, head) = (BTreeMap::new(), Head::default());
        let state = State { records, revision: 0, head, feed: Some(Feed::new()) };
        Memory { state: RwLock::new(state), health: watch::Sender::new(Health::Ready) }
    }

    // No code panics while it holds the lock half-way through a change, so a poisoned lock still guards a
    // whole state.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Vec<(Bytes, Stored)> {
        if range.is_empty() {
            return Vec::new();
        }
        let limit = limit.min(SCAN_MAX_RECORDS);
        let records = self.records.range::<[u8], _>(range.bounds());
        let copy = |(key, stored): (&Vec<u8>, &Stored)| (Bytes::copy_from_slice(key), stored.clone());
        match direction {
            Direction::Ascending => records.take(limit).map(copy).collect(),
            Direction::Descending => records.rev().take(limit).map(copy).collect(),
        }
    }

    /// The key that breaks the condition, if one does.
    fn broken_by(&self, condition: &Condition) -> Result<Option<Vec<u8>>, Error> {
        match condition {
            Condition::Unchanged { key, revision } => {
                let found = self.records.get(key).map(|stored| stored.revision);
                Ok((found != *revision).then(|| key.clone()))
            }
            Condition::RangeUnchangedSince { range, .. } if range.is_empty() => Ok(None),
            Condition::RangeUnchangedSince { range, revision } => {
                for (seen, (key, stored)) in self.records.range::<[u8], _>(range.bounds()).enumerate() {
                    if seen >= CONDITION_RANGE_MAX_RECORDS {
                        return Err(Error::TooLarge {
                            what: "records under a range condition",
                            limit: CONDITION_RANGE_MAX_RECORDS,
                        });
                    }
                    if stored.revision > *revision {
                        return Ok(Some(key.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    fn commit(&mut self, batch: Batch) -> Result<Committed, Error> {
        batch.check_size()?;
        if self.feed.is_none() {
            return Err(Error::Closed);
        }
        for (index, condition) in batch.conditions.iter().enumerate() {
            if let Some(key) = self.broken_by(condition)? {
                return Err(Error::Conflict { condition: index, key });
            }
        }
        if batch.only_checks() {
            return Ok(Committed { revision: self.revision });
        }
        self.revision += 1;
        if let Some(feed) = &self.feed {
            feed.publish(self.revision, &batch.writes);
        }
        for write in batch.writes {
            match write {
                Write::Put { key, value } => {
                    self.records.insert(key, Stored { revision: self.revision, value });
                }
                Write::Delete { key } => {
                    self.records.remove(&key);
                }
            }
        }
        let mut journal = Writing::after(self.head);
        batch.journal.iter().for_each(|payload| journal.add(payload));
        let (records, head) = journal.finish();
        for (key, value) in records {
            self.records.insert(key, Stored { revision: self.revision, value: value.into() });
        }
        self.head = head;
        Ok(Committed { revision: self.revision })
    }
}

impl Engine for Memory {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, Error>> {
        let state = self.read();
        let found =
            if state.feed.is_some() { Ok(state.records.get(key).cloned()) } else { Err(Error::Closed) };
        Box::pin(ready(found))
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, Error>> {
        let state = self.read();
        let found =
            if state.feed.is_some() { Ok(state.scan(&range, direction, limit)) } else { Err(Error::Closed) };
        Box::pin(ready(found))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, Error>> {
        Box::pin(ready(self.write().commit(batch)))
    }

    fn changes(&self) -> Changes {
        let state = self.read();
        match &state.feed {
            Some(feed) => feed.subscribe(state.revision),
            None => Feed::ended(state.revision),
        }
    }

    fn revision(&self) -> Revision {
        self.read().revision
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.write().feed = None;
        self.health.send_replace(Health::NotReady { why: "the store is closed".to_owned() });
        Box::pin(ready(()))
    }
}
