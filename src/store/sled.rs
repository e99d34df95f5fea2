//! The disk engine: sled 0.34, with the parts of it that lose data under a power cut replaced or kept away from.
//!
//! The only file that names sled. It holds what was moved out of the log (`checkpoint`); what is committed becomes durable in
//! the log first. The reasons, measured, are in `docs/decisions/0003-durable-sled.md`; the rules:
//!
//! - sled's `flush` is `sync_file_range` on Linux, not an fsync: after it, the `db` file is synced here.
//! - Little is written between two syncs, so that sled never writes over a segment whose content is not durable elsewhere.
//! - Values over a quarter of a segment go to side files that sled never syncs: segments are as large as sled
//!   allows, values are limited, and a checkpoint that made a side file does not count.
//! - Never `flush_async` (can deadlock), never `watch_prefix` (can stop writers), no timed flush in the
//!   background, no `apply_batch` (stops readers meanwhile; the log makes it needless).
//! - A failed write stops sled for good: there must be room on the disk before it is asked to write.
//! - It can panic on files that it did not expect: opening is fenced.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::directory::{DataDirectory, OpenError};
use super::journal::{self, Section};
use super::layers::{Item, Records, Table};
use super::log::{Files, Mark, ReplayError};
use super::{Device, Direction, Error, KeyRange, Options, Revision, Stored, SyncData, record};

/// The largest that sled allows. Fixed when a database is made.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;
/// Records of which at least so much was written are synced before more are.
const SYNC_EVERY_BYTES: usize = 1024 * 1024;
/// A tree of its own for what is about the store: a record among the others would share a node with large
/// values, and have them written again.
const META_TREE: &str = "countersign-meta";
/// Up to where the records of the log are here: its revision is that of the record; its value is epoch, sequence and salt, or
/// nothing in a store of the first format, which had no log.
const MARK_KEY: &[u8] = b"revision";
/// The last record of sled's log when the store was closed. Without it, damage to what was written last would look as
/// if it had never been written.
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
    /// The revision of the mark.
    marked: AtomicU64,
    directory: DataDirectory,
}

/// A disk that was opened.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) files: Files,
    /// What it and the log come to.
    pub(super) mark: Mark,
    /// The end of the journal.
    pub(super) head: journal::Head,
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
    /// Opens the directory, moves what is left in the log of one that was not closed, and reads every record once.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
        let directory = DataDirectory::take(path)?;
        let damaged = |why: String| OpenError::Damaged { path: path.to_owned(), why };
        let io_error = |error: std::io::Error| OpenError::from_io(path, &error);
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
            Ok(Err(sled::Error::Io(error))) => return Err(io_error(error)),
            Ok(Err(error)) => return Err(damaged(error.to_string())),
            Err(_) => return Err(damaged("its log cannot be read".to_owned())),
        };
        let disk = Disk {
            meta,
            records,
            db_file: File::open(path.join("db")).map_err(io_error)?,
            blobs: path.join("blobs"),
            device: options.device.clone(),
            reserve_bytes: options.reserve_bytes,
            marked: AtomicU64::new(0),
            directory,
        };
        let files = Files::open(path).map_err(io_error)?;
        let (mark, head) = match catch_unwind(AssertUnwindSafe(|| disk.recover(&files))) {
            Ok(Ok(recovered)) => recovered,
            Ok(Err(ReplayError::Io(error))) => return Err(io_error(error)),
            Ok(Err(ReplayError::Damaged(why))) => return Err(damaged(why)),
            Err(_) => return Err(damaged("a part of it cannot be read".to_owned())),
        };
        disk.directory.begin().map_err(io_error)?;
        Ok(Opened { disk, files, mark, head })
    }

    fn recover(&self, files: &Files) -> Result<(Mark, journal::Head), ReplayError> {
        let marked = self.mark()?;
        self.check_closed(marked.revision)?;
        let replay = files.replay(marked)?;
        if !replay.table.is_empty() {
            self.check_room_for_checkpoint().map_err(|_| io_full())?;
        }
        // The device's sync is for what was acknowledged; nothing is yet.
        let sync: SyncData = Arc::new(File::sync_data);
        self.write(&replay.table, &sync)?;
        let mark = replay.mark.with_new_salt()?;
        self.note(mark, &sync)?;
        Ok((mark, self.verify(mark.revision)?))
    }

    /// Whether the store still ends where it was closed.
    fn check_closed(&self, revision: Revision) -> Result<(), String> {
        let Some(closed_at) = self.directory.closed_at() else { return Ok(()) };
        let found = self.meta_record(CLOSED_KEY)?.map_or(0, |stored| stored.revision);
        if (found, revision) == (closed_at, closed_at) {
            return Ok(());
        }
        Err(format!("it was closed at revision {closed_at}, and ends before that"))
    }

    /// Reads every record once, and returns where the journal ends. The error says what is wrong.
    fn verify(&self, revision: Revision) -> Result<journal::Head, String> {
        for item in self.raw_range(&KeyRange::all(), Direction::Ascending) {
            let (key, raw) = item.map_err(|error| error.to_string())?;
            let stored = record::decode(&key, &raw).map_err(|error| error.to_string())?;
            if stored.revision > revision {
                return Err(format!(
                    "it has a record of revision {}, and ends at {revision}",
                    stored.revision
                ));
            }
        }
        self.check_side_files()?;
        self.journal_head()
    }

    /// Where the journal ends. That its last record is one is all that is looked at.
    fn journal_head(&self) -> Result<journal::Head, String> {
        let Some(last) = self.raw_range(&journal::range(), Direction::Descending).next() else {
            return Ok(journal::Head::default());
        };
        let (key, raw) = last.map_err(|error| error.to_string())?;
        let stored = record::decode(&key, &raw).map_err(|error| error.to_string())?;
        let section = Section::read(&key, &stored.value).map_err(|error| error.to_string())?;
        Ok(section.head())
    }

    /// The mark that was noted last; that of an empty store if none was.
    fn mark(&self) -> Result<Mark, String> {
        let Some(stored) = self.meta_record(MARK_KEY)? else { return Ok(Mark::default()) };
        let mut mark = Mark { revision: stored.revision, ..Mark::default() };
        let mut value = stored.value;
        if value.has_remaining() {
            for number in [&mut mark.epoch, &mut mark.sequence, &mut mark.salt] {
                *number = value.try_get_u64().map_err(|error| format!("the mark of its log: {error}"))?;
            }
        }
        Ok(mark)
    }

    /// A record about the store itself.
    fn meta_record(&self, key: &[u8]) -> Result<Option<Stored>, String> {
        let raw = self.meta.get(key).map_err(|error| error.to_string())?;
        raw.map(|raw| record::decode(key, &into_bytes(raw))).transpose().map_err(|error| error.to_string())
    }

    /// Whether there is room enough to take commits.
    pub(super) fn check_room(&self) -> Result<(), Error> {
        self.check_free(self.reserve_bytes)
    }

    /// Whether there is room enough to let sled write. What was acknowledged may use half of the reserve.
    pub(super) fn check_room_for_checkpoint(&self) -> Result<(), Error> {
        self.check_free(self.reserve_bytes / 2)
    }

    fn check_free(&self, needed_bytes: u64) -> Result<(), Error> {
        match (self.device.free_bytes)(&self.db_file) {
            Ok(free_bytes) if free_bytes < needed_bytes => Err(self.full(free_bytes)),
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Error::NotReady { why: format!("the room on the disk cannot be seen: {error}") })
            }
        }
    }

    /// What a commit gets that did not fit.
    pub(super) fn no_room(&self) -> Error {
        self.full((self.device.free_bytes)(&self.db_file).unwrap_or(0))
    }

    fn full(&self, free_bytes: u64) -> Error {
        Error::Full { free_bytes, reserve_bytes: self.reserve_bytes }
    }

    /// Takes over what the log holds up to `mark`, and waits until a power cut could not take it back. The error says why
    /// nothing is certain any more; the log still has everything.
    pub(super) fn absorb(&self, table: &Table, mark: Mark) -> Result<(), String> {
        self.write(table, &self.device.sync_data)?;
        self.note(mark, &self.device.sync_data)
    }

    /// Not as one batch: whoever opens the store after a crash writes all of it again.
    fn write(&self, table: &Table, sync: &SyncData) -> Result<(), String> {
        let mut unsynced_bytes = 0;
        for (key, raw) in table {
            let written = match raw {
                Some(raw) => self.records.insert(key, raw.as_ref()),
                None => self.records.remove(key),
            };
            written.map_err(refused)?;
            unsynced_bytes += key.len() + raw.as_ref().map_or(0, Bytes::len);
            if unsynced_bytes >= SYNC_EVERY_BYTES {
                self.sync(sync)?;
                unsynced_bytes = 0;
            }
        }
        if unsynced_bytes > 0 { self.sync(sync) } else { Ok(()) }
    }

    /// Notes that everything up to `mark` is here; it must be durable.
    fn note(&self, mark: Mark, sync: &SyncData) -> Result<(), String> {
        let mut value = BytesMut::new();
        [mark.epoch, mark.sequence, mark.salt].into_iter().for_each(|number| value.put_u64(number));
        self.meta.insert(MARK_KEY, record::encode(MARK_KEY, mark.revision, &value)).map_err(refused)?;
        self.sync(sync)?;
        self.marked.store(mark.revision, Ordering::Relaxed);
        Ok(())
    }

    fn sync(&self, sync: &SyncData) -> Result<(), String> {
        self.records.flush().map_err(refused)?;
        sync(&self.db_file).map_err(|error| format!("the disk did not confirm a write: {error}"))?;
        self.check_side_files()
    }

    fn check_side_files(&self) -> Result<(), String> {
        match self.has_blobs() {
            Ok(false) => Ok(()),
            Ok(true) => Err("a write went to a side file, which is not safe against a power cut".to_owned()),
            Err(error) => Err(format!("the side files cannot be seen: {error}")),
        }
    }

    fn has_blobs(&self) -> std::io::Result<bool> {
        Ok(std::fs::read_dir(&self.blobs)?.next().transpose()?.is_some())
    }

    /// Lets go of the files. The note that the store was closed at `revision` is left out if something else still holds the
    /// disk, or the log holds what is not here.
    pub(super) fn close(disk: Arc<Disk>, revision: Option<Revision>) {
        let Ok(disk) = Arc::try_unwrap(disk) else { return };
        let revision = revision.filter(|revision| *revision == disk.marked.load(Ordering::Relaxed));
        let noted = revision.map(|revision| {
            disk.meta.insert(CLOSED_KEY, record::encode(CLOSED_KEY, revision, &[]))?;
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

    fn raw_range<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Item> + 'a> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let found = self.records.range::<&[u8], _>(range.bounds()).map(|item| match item {
            Ok((key, raw)) => Ok((into_bytes(key), into_bytes(raw))),
            Err(error) => Err(read_error(&[], &error)),
        });
        match direction {
            Direction::Ascending => Box::new(found),
            Direction::Descending => Box::new(found.rev()),
        }
    }
}

fn refused(error: sled::Error) -> String {
    format!("the disk refused a write: {error}")
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

fn io_full() -> ReplayError {
    ReplayError::Io(std::io::ErrorKind::StorageFull.into())
}
