//! The log: where a group of commits becomes durable, before the disk engine has it.
//!
//! Two files take turns. Groups are appended to one of them as frames, each synced before it counts; when it is full the
//! other one is begun, and what the first holds is moved into the disk engine meanwhile (`checkpoint`). An *epoch* is one
//! turn of one file: epoch `n` is in `log.0` if `n` is even, else in `log.1`. A file is written over from its start and
//! never cut, and grows in steps, so that an append seldom changes anything but data, which is what makes the sync short.
//!
//! A frame, numbers big-endian:
//!
//! `magic u32 | bytes of the body u32 | crc32 over all that follows u32 | 0 u32 | epoch u64 | salt u64 | sequence u64 |
//! revision u64 | body`, padded with zeros to 16 bytes.
//!
//! The body is, for each key: `bytes of the key u16 | bytes of the record u32, or 2^32 - 1 = deleted | key | record`. The
//! sequence counts frames without a gap over all epochs; the revision is the last that was given out up to the frame. The salt
//! is random, another one each time that the store is opened, and noted in the disk engine: what an earlier turn or a write
//! that failed half-way left in the file cannot pass for a frame, whatever a client made it contain.
//!
//! Nothing here knows what the records say, nor names the disk engine.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::layers::Table;
use super::{Device, Revision};

const MAGIC: u32 = 0x4353_4C31;
const HEADER_BYTES: usize = 48;
/// What the checksum is over begins behind it.
const CHECKED_FROM: usize = 12;
const ALIGNMENT_BYTES: usize = 16;
/// A file grows by so much: when it does, a sync has to write how long it is.
const GROWTH_BYTES: u64 = 64 * 1024;
/// In place of the length of a record: the key was deleted.
const DELETED: u32 = u32::MAX;
/// A longer file is not one of ours: an epoch ends at some megabytes, and a group is some megabytes at most.
const FILE_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// A place in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The epoch of the frame; 0 = before the first.
    pub(super) epoch: u64,
    /// Its number.
    pub(super) sequence: u64,
    /// The last revision that was given out up to it.
    pub(super) revision: Revision,
    /// What the frames after it have, as long as the store stays open.
    pub(super) salt: u64,
}

impl Mark {
    /// The same place, for a store that is opened there.
    pub(super) fn with_new_salt(self) -> io::Result<Mark> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        Ok(Mark { salt: u64::from_be_bytes(salt), ..self })
    }
}

/// What the log holds that the disk engine does not.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) table: Table,
    /// Where it ends.
    pub(super) mark: Mark,
}

/// The two files.
#[derive(Debug)]
pub(super) struct Files([File; 2]);

impl Files {
    /// Opens them; they are made if they are not there.
    pub(super) fn open(path: &Path) -> io::Result<Files> {
        let open = |name: &str| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(name))
        };
        Ok(Files([open("log.0")?, open("log.1")?]))
    }

    /// Reads what comes after `from`, the mark that the disk engine has.
    pub(super) fn replay(&self, from: Mark) -> Result<Replay, ReplayError> {
        let mut replay = Replay { table: Table::new(), mark: from };
        for epoch in [from.epoch.saturating_add(1), from.epoch.saturating_add(2)] {
            let mut file = self.of(epoch);
            if file.metadata()?.len() > FILE_MAX_BYTES {
                return Err(damaged("a file of its log is longer than any that was written"));
            }
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            replay.add(epoch, &content.into())?;
        }
        Ok(replay)
    }

    fn of(&self, epoch: u64) -> &File {
        let [even, odd] = &self.0;
        if epoch.is_multiple_of(2) { even } else { odd }
    }
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is damaged.
    #[error("{0}")]
    Damaged(String),
}

impl From<String> for ReplayError {
    fn from(why: String) -> ReplayError {
        ReplayError::Damaged(why)
    }
}

fn damaged(why: impl Into<String>) -> ReplayError {
    ReplayError::Damaged(why.into())
}

/// The log at work.
#[derive(Debug)]
pub(super) struct Log {
    files: Files,
    device: Device,
    /// When an epoch ends.
    epoch_bytes: u64,
    /// The last frame.
    mark: Mark,
    /// How much of the file of this epoch is written.
    written_bytes: u64,
    /// How long the file of this epoch is.
    file_bytes: u64,
    /// Used again for each frame.
    frame: Vec<u8>,
}

impl Log {
    /// Goes on after `mark`, which the disk engine must have, with everything before it.
    pub(super) fn after(mark: Mark, files: Files, device: Device, epoch_bytes: u64) -> io::Result<Log> {
        let frame = Vec::new();
        let mut log = Log { files, device, epoch_bytes, mark, written_bytes: 0, file_bytes: 0, frame };
        log.begin_epoch()?;
        Ok(log)
    }

    /// The last frame.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether the epoch should end before a group of this size: it has something, and would become too large.
    pub(super) fn is_full_for(&self, group: &Table) -> bool {
        let bytes = u64::try_from(frame_bytes(group)).unwrap_or(u64::MAX);
        self.written_bytes > 0 && self.written_bytes.saturating_add(bytes) > self.epoch_bytes
    }

    /// Begins the next epoch: the file of the one before the last is written over from now on, so what it held must be in the
    /// disk engine.
    pub(super) fn begin_epoch(&mut self) -> io::Result<()> {
        let epoch = self.mark.epoch.saturating_add(1);
        self.file_bytes = self.files.of(epoch).metadata()?.len();
        self.mark.epoch = epoch;
        self.written_bytes = 0;
        Ok(())
    }

    /// Appends a group and waits until a power cut could not take it back. Returns how long the sync took.
    pub(super) fn append(&mut self, group: &Table, revision: Revision) -> Result<Duration, AppendError> {
        let mark = Mark { sequence: self.mark.sequence.saturating_add(1), revision, ..self.mark };
        encode(&mut self.frame, mark, group);
        let end = self.written_bytes.saturating_add(length(&self.frame));
        if end > self.file_bytes {
            let growth = end.next_multiple_of(GROWTH_BYTES) - end;
            self.frame.resize(self.frame.len().saturating_add(usize::try_from(growth).unwrap_or(0)), 0);
        }
        let file = self.files.of(mark.epoch);
        file.write_all_at(&self.frame, self.written_bytes).map_err(AppendError::from_write)?;
        let (synced, sync) = timed(|| (self.device.sync_data)(file));
        synced.map_err(|error| AppendError::Unconfirmed(error.to_string()))?;
        self.mark = mark;
        self.file_bytes = self.file_bytes.max(self.written_bytes.saturating_add(length(&self.frame)));
        self.written_bytes = end;
        Ok(sync)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Why a group was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// There was no room. Nothing was written that counts.
    NoRoom,
    /// Nothing that counts was written, and it is not known whether anything can be.
    Refused(String),
    /// It is not known what the disk holds.
    Unconfirmed(String),
}

impl AppendError {
    fn from_write(error: io::Error) -> AppendError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::NoRoom,
            _ => AppendError::Refused(error.to_string()),
        }
    }
}

/// How long `work` took, beside what it returned.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn frame_bytes(group: &Table) -> usize {
    let body: usize = group.iter().map(|(key, raw)| 6 + key.len() + raw.as_ref().map_or(0, Bytes::len)).sum();
    (HEADER_BYTES + body).next_multiple_of(ALIGNMENT_BYTES)
}

fn encode(frame: &mut Vec<u8>, mark: Mark, group: &Table) {
    frame.clear();
    frame.reserve(frame_bytes(group));
    frame.extend_from_slice(&MAGIC.to_be_bytes());
    // The length and the checksum come when they are known.
    frame.extend_from_slice(&[0; 12]);
    for number in [mark.epoch, mark.salt, mark.sequence, mark.revision] {
        frame.extend_from_slice(&number.to_be_bytes());
    }
    for (key, raw) in group {
        // Both are far shorter than that: `check_size` saw to it.
        frame.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
        let length = raw.as_ref().map_or(DELETED, |raw| u32::try_from(raw.len()).unwrap_or(DELETED));
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(key);
        frame.extend_from_slice(raw.as_deref().unwrap_or_default());
    }
    let body = u32::try_from(frame.len() - HEADER_BYTES).unwrap_or(u32::MAX);
    frame.resize(frame.len().next_multiple_of(ALIGNMENT_BYTES), 0);
    put(frame, 4, body);
    let checksum = crc32fast::hash(frame.get(CHECKED_FROM..).unwrap_or_default());
    put(frame, 8, checksum);
}

fn put(frame: &mut [u8], at: usize, number: u32) {
    frame.iter_mut().skip(at).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
}

/// A frame that was read.
struct Frame {
    mark: Mark,
    body: Bytes,
    /// With its padding.
    bytes: usize,
}

impl Frame {
    /// The frame at `at`, if there is a whole one.
    fn read(content: &Bytes, at: usize) -> Option<Frame> {
        let mut head = content.get(at..)?.get(..HEADER_BYTES)?;
        if head.get_u32() != MAGIC {
            return None;
        }
        let body_bytes = usize::try_from(head.get_u32()).ok()?;
        let checksum = head.get_u32();
        head.advance(4);
        let [epoch, salt, sequence, revision] = std::array::from_fn(|_| head.get_u64());
        let body_end = HEADER_BYTES.checked_add(body_bytes)?;
        let bytes = body_end.checked_next_multiple_of(ALIGNMENT_BYTES)?;
        let frame = at..at.checked_add(bytes)?;
        if crc32fast::hash(content.get(frame.clone())?.get(CHECKED_FROM..)?) != checksum {
            return None;
        }
        let mark = Mark { epoch, sequence, revision, salt };
        let body = content.slice(frame).slice(HEADER_BYTES..body_end);
        Some(Frame { mark, body, bytes })
    }

    /// Writes what the frame says into `table`.
    fn apply(mut self, table: &mut Table) -> Option<()> {
        while self.body.has_remaining() {
            let key_bytes = usize::from(self.body.try_get_u16().ok()?);
            let length = self.body.try_get_u32().ok()?;
            let raw_bytes = if length == DELETED { 0 } else { usize::try_from(length).ok()? };
            if self.body.remaining() < key_bytes.checked_add(raw_bytes)? {
                return None;
            }
            let key = self.body.split_to(key_bytes);
            let raw = self.body.split_to(raw_bytes);
            table.insert(key, (length != DELETED).then_some(raw));
        }
        Some(())
    }
}

impl Replay {
    /// Adds what the file of an epoch holds of it.
    fn add(&mut self, epoch: u64, content: &Bytes) -> Result<(), ReplayError> {
        let mut at = 0;
        while let Some(frame) = self.frame(epoch, content, at) {
            let Mark { sequence, .. } = self.mark;
            if frame.mark.sequence != sequence.saturating_add(1) {
                let found = frame.mark.sequence;
                return Err(damaged(format!("its log goes on with group {found} after group {sequence}")));
            }
            at += frame.bytes;
            self.mark = frame.mark;
            frame.apply(&mut self.table).ok_or_else(|| damaged("a group in its log cannot be read"))?;
        }
        self.ends(epoch, content, at)
    }

    /// The frame of this epoch that begins at `at`.
    fn frame(&self, epoch: u64, content: &Bytes, at: usize) -> Option<Frame> {
        let frame = Frame::read(content, at)?;
        (frame.mark.epoch == epoch && frame.mark.salt == self.mark.salt).then_some(frame)
    }

    /// A group is written when the one before it is durable. So behind a frame that was torn by a crash there is none of the
    /// same epoch.
    fn ends(&self, epoch: u64, content: &Bytes, at: usize) -> Result<(), ReplayError> {
        let starts = (at..content.len()).step_by(ALIGNMENT_BYTES);
        let Some(later) = starts.filter_map(|at| self.frame(epoch, content, at)).next() else {
            return Ok(());
        };
        let (lost, found) = (self.mark.sequence.saturating_add(1), later.mark.sequence);
        Err(damaged(format!("group {lost} of its log cannot be read, although group {found} is there")))
    }
}
