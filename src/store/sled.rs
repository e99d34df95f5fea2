//! The embedded engine: sled 0.34, with the parts of it that lose data under a power cut replaced or kept
//! away from.
//!
//! The only file that names sled. The reasons, measured, are in `docs/decisions/0003-durable-sled.md`; the
//! rules:
//!
//! - sled's `flush` is `sync_file_range` on Linux, not an fsync: after it, the `db` file is synced here.
//! - Values over a quarter of a segment go to side files that sled never syncs: segments are as large as sled
//!   allows, values are limited, and a group that made a side file is not acknowledged.
//! - Never `flush_async` (can deadlock), never `watch_prefix` (can stop writers), no timed flush in the
//!   background.
//! - A failed write stops sled for good: there must be room on the disk before it is asked to write.
//! - It can panic on files that it did not expect: opening is fenced.

use std::fs::File;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::changes::Feed;
use super::committer::{self, Queue, Shared, Visible, timed};
use super::directory::{DataDirectory, OpenError};
use super::group::{DiskItem, Found, Records, merged};
use super::journal::{self, Section};
use super::{
    Batch, BoxFuture, Changes, Committed, Device, Direction, Engine, Error, Health, KeyRange, Options,
    Revision, SCAN_MAX_RECORDS, Stored, record,
};

/// The largest that sled allows. Fixed when a database is made.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;
/// A tree of its own for what is about the store: a record among the others would share a node with large
/// values, and have them written again every few commits.
const META_TREE: &str = "countersign-meta";
/// A revision that no record is above. Written before the first group that needs it, so it is never behind the
/// records; and a good way ahead, so that almost no group has to write it. When the store is closed, the last
/// revision given out.
const REVISION_KEY: &[u8] = b"revision";
/// How far ahead. So many numbers may be skipped after a crash, of 2^64.
const REVISIONS_AHEAD: Revision = 64 * 1024;

/// The last record of the log when the store was closed. Without it, damage to the last group would look as
/// if that group had never been written.
const CLOSED_KEY: &[u8] = b"closed";
/// How often, and how far apart, to ask again for a lock that only sled's own remains can hold.
const RELEASE_TRIES: u32 = 200;
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

/// sled's files, and the two questions to the machine that sled does not ask.
#[derive(Debug)]
pub(super) struct Disk {
    // In this order they are dropped: the lock on the directory last.
    meta: sled::Tree,
    records: sled::Db,
    db_file: File,
    blobs: PathBuf,
    device: Device,
    reserve_bytes: u64,
    /// What is noted under [`REVISION_KEY`].
    revision_noted: AtomicU64,
    directory: DataDirectory,
}

/// The writes of one group; they take effect together.
#[derive(Debug, Default)]
pub(super) struct Writes(sled::Batch);

impl Writes {
    pub(super) fn put(&mut self, key: &[u8], raw: Vec<u8>) {
        self.0.insert(key, raw);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

/// The directory is ours by now, so whoever still holds sled's own lock is a sled that is on its way out: its threads let go
/// of the file a little after its last handle is gone.
fn open_when_released(config: &sled::Config) -> sled::Result<sled::Db> {
    for _ in 0..RELEASE_TRIES {
        match config.open() {
            // sled gives it no kind of its own.
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(RELEASE_PAUSE);
            }
            opened => return opened,
        }
    }
    config.open()
}

impl Disk {
    fn open(path: &Path, options: Options) -> Result<(Disk, Revision, journal::Head), OpenError> {
        let directory = DataDirectory::take(path)?;
        let damaged = |why: String| OpenError::Damaged { path: path.to_owned(), why };
        let config = sled::Config::new()
            .path(path)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(None);
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let records = open_when_released(&config)?;
            let meta = records.open_tree(META_TREE)?;
            sled::Result::Ok((records, meta))
        }));
        let (records, meta) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(sled::Error::Io(error))) => return Err(OpenError::from_io(path, &error)),
            Ok(Err(error)) => return Err(damaged(error.to_string())),
            Err(_) => return Err(damaged("its log cannot be read".to_owned())),
        };
        let io_error = |error: std::io::Error| OpenError::from_io(path, &error);
        let disk = Disk {
            meta,
            records,
            db_file: File::open(path.join("db")).map_err(io_error)?,
            blobs: path.join("blobs"),
            device: options.device,
            reserve_bytes: options.reserve_bytes,
            revision_noted: AtomicU64::new(0),
            directory,
        };
        let verified = catch_unwind(AssertUnwindSafe(|| Ok((disk.verify()?, disk.journal_head()?))));
        let (revision, head) = match verified {
            Ok(Ok(verified)) => verified,
            Ok(Err(why)) => return Err(damaged(why)),
            Err(_) => return Err(damaged("a part of it cannot be read".to_owned())),
        };
        disk.revision_noted.store(revision, Ordering::Relaxed);
        disk.directory.begin().map_err(io_error)?;
        Ok((disk, revision, head))
    }

    /// Reads every record once, and returns a revision that none given out was above. The error says what is wrong.
    fn verify(&self) -> Result<Revision, String> {
        let revision = self.meta_revision(REVISION_KEY)?;
        if let Some(closed_at) = self.directory.closed_at() {
            let found = self.meta_revision(CLOSED_KEY)?;
            if (found, revision) != (closed_at, closed_at) {
                return Err(format!("it was closed at revision {closed_at}, and ends before that"));
            }
        }
        for item in self.range(&KeyRange::all()) {
            let (key, raw) = item.map_err(|error| error.to_string())?;
            let stored = record::decode(&key, &raw).map_err(|error| error.to_string())?;
            if stored.revision > revision {
                return Err(format!(
                    "it has a record of revision {}, and ends at {revision}",
                    stored.revision
                ));
            }
        }
        if self.has_blobs().map_err(|error| error.to_string())? {
            return Err("it has side files, which are not safe against a power cut".to_owned());
        }
        Ok(revision)
    }

    /// Where the journal ends. That its last record is one is all that is looked at.
    fn journal_head(&self) -> Result<journal::Head, String> {
        let Some(last) = self.range(&journal::range()).next_back() else {
            return Ok(journal::Head::default());
        };
        let (key, raw) = last.map_err(|error| error.to_string())?;
        let stored = record::decode(&key, &raw).map_err(|error| error.to_string())?;
        let section = Section::read(&key, &stored.value).map_err(|error| error.to_string())?;
        Ok(section.head())
    }

    /// Notes a revision under `key` about the store itself.
    fn note(&self, key: &[u8], revision: Revision) -> sled::Result<()> {
        self.meta.insert(key, record::encode(key, revision, &[])).map(drop)
    }

    /// The revision noted under `key` about the store itself; 0 = none yet.
    fn meta_revision(&self, key: &[u8]) -> Result<Revision, String> {
        let raw = self.meta.get(key).map_err(|error| error.to_string())?;
        let stored = raw.map(|raw| record::decode(key, &into_bytes(raw))).transpose();
        Ok(stored.map_err(|error| error.to_string())?.map_or(0, |stored| stored.revision))
    }

    /// Whether there is room enough to let sled write.
    pub(super) fn check_room(&self) -> Result<(), Error> {
        let reserve_bytes = self.reserve_bytes;
        match (self.device.free_bytes)(&self.db_file) {
            Ok(free_bytes) if free_bytes < reserve_bytes => Err(Error::Full { free_bytes, reserve_bytes }),
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Error::NotReady { why: format!("the room on the disk cannot be seen: {error}") })
            }
        }
    }

    /// Writes a group and waits until a power cut could not take it back. Returns how long the sync took; the
    /// error says why nothing is certain any more.
    pub(super) fn write(&self, revision: Revision, writes: Writes) -> Result<Duration, String> {
        let refused = |error: sled::Error| format!("the disk refused a write: {error}");
        if revision > self.revision_noted.load(Ordering::Relaxed) {
            // An earlier place in sled's log means that the group is never there without it.
            let ahead = revision.saturating_add(REVISIONS_AHEAD);
            self.note(REVISION_KEY, ahead).map_err(refused)?;
            self.revision_noted.store(ahead, Ordering::Relaxed);
        }
        self.records.apply_batch(writes.0).map_err(refused)?;
        self.records.flush().map_err(refused)?;
        let (synced, fsync) = timed(|| (self.device.sync_data)(&self.db_file));
        synced.map_err(|error| format!("the disk did not confirm a write: {error}"))?;
        match self.has_blobs() {
            Ok(false) => Ok(fsync),
            Ok(true) => Err("a write went to a side file, which is not safe against a power cut".to_owned()),
            Err(error) => Err(format!("the side files cannot be seen: {error}")),
        }
    }

    fn has_blobs(&self) -> std::io::Result<bool> {
        Ok(std::fs::read_dir(&self.blobs)?.next().transpose()?.is_some())
    }

    fn range(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = DiskItem> + use<> {
        let items = (!range.is_empty()).then(|| self.records.range::<&[u8], _>(range.bounds()));
        items.into_iter().flatten().map(|item| match item {
            Ok((key, raw)) => Ok((into_bytes(key), into_bytes(raw))),
            Err(error) => Err(read_error(&[], &error)),
        })
    }

    /// Lets go of the files. Nothing else may hold the disk any more, or the note that it was closed is left
    /// out.
    fn close(disk: Arc<Disk>, revision: Option<Revision>) {
        let Ok(disk) = Arc::try_unwrap(disk) else { return };
        let noted = revision.map(|revision| {
            disk.note(REVISION_KEY, revision)?;
            disk.note(CLOSED_KEY, revision)?;
            disk.meta.flush()
        });
        let Disk { meta, records, db_file, directory, .. } = disk;
        drop(meta);
        drop(records);
        let Some(revision) = revision else { return };
        let noted = match noted {
            Some(Err(error)) => Err(error.to_string()),
            _ => db_file.sync_all().and_then(|()| directory.end(revision)).map_err(|error| error.to_string()),
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "could not note that the store was closed");
        }
    }
}

impl Records for Disk {
    fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.records.get(key) {
            Ok(found) => Ok(found.map(into_bytes)),
            Err(error) => Err(read_error(key, &error)),
        }
    }

    fn raw_range(&self, range: &KeyRange) -> impl Iterator<Item = DiskItem> {
        self.range(range)
    }
}

/// Shares sled's memory; nothing is copied.
fn into_bytes(value: sled::IVec) -> Bytes {
    Bytes::from_owner(value)
}

fn read_error(key: &[u8], error: &sled::Error) -> Error {
    match error {
        sled::Error::Io(error) => Error::NotReady { why: format!("the disk refused a read: {error}") },
        other => Error::Corrupt { key: key.to_vec(), why: other.to_string() },
    }
}

/// The engine. Reads run on the caller's thread; writes go to the committer.
#[derive(Debug)]
pub(super) struct Sled {
    shared: Arc<Shared>,
    /// `None` once closed.
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    queue: Queue,
    thread: JoinHandle<()>,
    /// Fails when the thread has let go of everything: what can be awaited of it.
    ended: oneshot::Receiver<()>,
}

impl Sled {
    pub(super) fn open(path: &Path, options: Options) -> Result<Sled, OpenError> {
        let on_group = options.on_group.clone();
        let (disk, revision, head) = Disk::open(path, options)?;
        let disk = Arc::new(disk);
        let shared = Arc::new(Shared::new(disk.clone(), revision));
        let (ended_sender, ended) = oneshot::channel();
        let (queue, thread) = committer::start(disk, shared.clone(), head, on_group, ended_sender)
            .map_err(|error| OpenError::from_io(path, &error))?;
        Ok(Sled { shared, writer: Mutex::new(Some(Writer { queue, thread, ended })) })
    }

    fn take_writer(&self) -> Option<Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// After the committer has ended.
    fn release(&self) {
        let (disk, revision) = {
            let mut visible = self.shared.write();
            visible.feed = None;
            (visible.disk.take(), visible.revision)
        };
        let was_ready = *self.shared.health.borrow() == Health::Ready;
        if was_ready {
            self.shared.health.send_replace(Health::NotReady { why: "the store is closed".to_owned() });
        }
        if let Some(disk) = disk {
            Disk::close(disk, was_ready.then_some(revision));
        }
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        if let Some(Writer { queue, thread, .. }) = self.take_writer() {
            drop(queue);
            // An error says that the thread panicked, and the log has said so already.
            let _ = thread.join();
            self.release();
        }
    }
}

fn get(visible: &Visible, key: &[u8]) -> Result<Option<Stored>, Error> {
    let disk = visible.disk.as_ref().ok_or(Error::Closed)?;
    let raw = match visible.pending.get(key) {
        Some(change) => change.before.clone(),
        None => disk.raw(key)?,
    };
    raw.map(|raw| record::decode(key, &raw)).transpose()
}

fn scan(
    visible: &Visible,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<(Bytes, Stored)>, Error> {
    let disk = visible.disk.as_ref().ok_or(Error::Closed)?;
    let on_disk = disk.range(range);
    let on_disk: Box<dyn Iterator<Item = DiskItem>> = match direction {
        Direction::Ascending => Box::new(on_disk),
        Direction::Descending => Box::new(on_disk.rev()),
    };
    let mut records = Vec::new();
    let mut found = merged(on_disk, &visible.pending, range, direction);
    while records.len() < limit.min(SCAN_MAX_RECORDS) {
        let Some(item) = found.next() else { break };
        let (key, found) = item?;
        let raw = match found {
            Found::Disk(raw) => Some(raw),
            Found::Staged(change) => change.before.clone(),
        };
        if let Some(raw) = raw {
            let stored = record::decode(&key, &raw)?;
            records.push((key, stored));
        }
    }
    Ok(records)
}

impl Engine for Sled {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Stored>, Error>> {
        Box::pin(ready(get(&self.shared.read(), key)))
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Bytes, Stored)>, Error>> {
        Box::pin(ready(scan(&self.shared.read(), &range, direction, limit)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, Error>> {
        let queue = match &*self.writer.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(writer) => writer.queue.push(batch),
            None => Err(Error::Closed),
        };
        match queue {
            Ok(answer) => Box::pin(async move {
                let lost = || Err(Error::NotReady { why: "the committer stopped".to_owned() });
                answer.await.unwrap_or_else(|_| lost())
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn changes(&self) -> Changes {
        let visible = self.shared.read();
        match &visible.feed {
            Some(feed) => feed.subscribe(visible.revision),
            None => Feed::ended(visible.revision),
        }
    }

    fn revision(&self) -> Revision {
        self.shared.read().revision
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(Writer { queue, thread, ended }) = self.take_writer() {
                drop(queue);
                let _ = ended.await;
                let _ = thread.join();
                self.release();
            }
        })
    }
}
