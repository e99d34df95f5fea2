//! The data directory, before any engine looks into it: is it ours, may we use it, and is it the format that
//! we know.
//!
//! A file named [`MARKER`] says that the directory is ours and in which format; the process that uses the
//! directory holds a lock on it. A file named [`CLOSED`] is there while nobody does, and says what the last
//! user left behind, so that records that vanished in the meantime are noticed. This module writes nothing
//! else, and knows no engine's files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Revision;

/// The format that this build writes: it also says what the operations keep under their keys. A store of an earlier one is
/// read, and is of this format from then on.
///
/// 1: without a log. 2: the latest version of a Guardian policy stands apart from its head.
const FORMAT: u32 = 3;
const FORMATS_BEFORE: std::ops::Range<u32> = 1..FORMAT;
const MARKER: &str = "COUNTERSIGN";
const MARKER_PREFIX: &str = "countersign data directory, format ";
const CLOSED: &str = "CLOSED";
const CLOSED_NEW: &str = "CLOSED.new";
const CLOSED_PREFIX: &str = "closed at revision ";
/// A longer marker is not one of ours.
const MARKER_MAX_BYTES: u64 = 256;

/// How often, and how far apart, to ask for the lock of a directory that is in use.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a store cannot be opened, as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} is in use by another process: stop that one, or give this one its own data directory",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "{} was written by a newer release (format {found}; this release knows up to {known}): \
         start that release, or a newer one",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: u64, known: u32 },
    #[error(
        "{} is damaged ({why}): restore it from a backup; do not delete the files before they have been looked at",
        path.display()
    )]
    Damaged { path: PathBuf, why: String },
    #[error("{} cannot be written ({why}): give the user of this process the right to write there", path.display())]
    NotWritable { path: PathBuf, why: String },
    #[error(
        "{} holds files that are not ours: name an empty directory, or one that does not exist yet",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error("{} is not a directory: name a directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("the disk under {} is full: make room, then start again", path.display())]
    Full { path: PathBuf },
    #[error("{} cannot be opened: {why}", path.display())]
    Io { path: PathBuf, why: String },
}

impl OpenError {
    /// What went wrong with the file system at `path`.
    pub(super) fn from_io(path: &Path, error: &io::Error) -> OpenError {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::NotWritable { path, why }
            }
            io::ErrorKind::NotADirectory => OpenError::NotADirectory { path },
            io::ErrorKind::StorageFull => OpenError::Full { path },
            _ => OpenError::Io { path, why },
        }
    }
}

/// A directory that is ours, as long as this lives.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    /// Holds the lock.
    marker: File,
    closed_at: Option<Revision>,
}

/// Whether the directory is there, and is ours.
pub(super) fn is_ours(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

impl DataDirectory {
    /// Makes the directory if need be, and takes it for this process.
    pub(super) fn take(path: &Path) -> Result<DataDirectory, OpenError> {
        let io_error = |error: io::Error| OpenError::from_io(path, &error);
        if path.exists() && !path.is_dir() {
            return Err(OpenError::NotADirectory { path: path.to_owned() });
        }
        make_durably(path).map_err(io_error)?;
        let is_new = is_empty(path).map_err(io_error)?;
        if !is_new && !is_ours(path) {
            return Err(OpenError::NotOurs { path: path.to_owned() });
        }
        let mut marker = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(MARKER))
            .map_err(io_error)?;
        match lock(&marker) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse { path: path.to_owned() }),
            Err(error) => return Err(io_error(error.into())),
        }
        check_marker(path, &mut marker)?;
        let closed_at = read_closed(path)?;
        Ok(DataDirectory { path: path.to_owned(), marker, closed_at })
    }

    /// The revision that the last user of the directory closed it at; `None` when it was killed, or there was
    /// none.
    pub(super) fn closed_at(&self) -> Option<Revision> {
        self.closed_at
    }

    /// Makes every file that is in the directory now, and its name, durable, and notes that the directory is
    /// in use. Must be called after the engine made its files and before the first write is answered.
    pub(super) fn begin(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join(CLOSED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // As long as what it says for the format before, so that it says the one or the other whatever happens meanwhile.
        self.marker.write_all_at(marker_text(FORMAT).as_bytes(), 0)?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() != "lost+found" {
                File::open(entry.path())?.sync_all()?;
            }
        }
        File::open(&self.path)?.sync_all()
    }

    /// Notes that nothing was written after `revision`. Must be called when the engine has closed its files.
    pub(super) fn end(self, revision: Revision) -> io::Result<()> {
        let text = format!("{CLOSED_PREFIX}{revision}\n");
        let new = self.path.join(CLOSED_NEW);
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(CLOSED))?;
        File::open(&self.path)?.sync_all()
    }
}

/// Takes the lock. Whoever held it may be just ending, or have started another process that holds what its parent held until it
/// has become another program.
fn lock(marker: &File) -> Result<(), Errno> {
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(marker, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            taken => return taken,
        }
    }
    rustix::fs::flock(marker, FlockOperation::NonBlockingLockExclusive)
}

/// Creates the directory and those above it, each name made durable.
fn make_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_durably(parent)?;
    match fs::create_dir(path) {
        // Another process may have been quicker.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

/// Whether nothing is in the directory, apart from what a file system puts there, or a marker that was never
/// finished.
fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks what the marker says, or finishes writing it: the first start may have been cut off half-way.
fn check_marker(path: &Path, marker: &mut File) -> Result<(), OpenError> {
    let io_error = |error: io::Error| OpenError::from_io(path, &error);
    let expected = marker_text(FORMAT);
    let mut bytes = Vec::new();
    marker.take(MARKER_MAX_BYTES).read_to_end(&mut bytes).map_err(io_error)?;
    let is_known = |format| bytes == marker_text(format).as_bytes();
    if is_known(FORMAT) || FORMATS_BEFORE.into_iter().any(is_known) {
        return Ok(());
    }
    if only_marker(path).map_err(io_error)?
        && (bytes.iter().all(|byte| *byte == 0) || expected.as_bytes().starts_with(&bytes))
    {
        let write = |marker: &mut File| {
            marker.set_len(0)?;
            marker.seek(SeekFrom::Start(0))?;
            marker.write_all(expected.as_bytes())?;
            marker.sync_all()?;
            File::open(path)?.sync_all()
        };
        return write(marker).map_err(io_error);
    }
    let found = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| text.strip_prefix(MARKER_PREFIX)?.strip_suffix('\n')?.parse::<u64>().ok());
    match found {
        Some(found) if found > u64::from(FORMAT) => {
            Err(OpenError::NewerFormat { path: path.to_owned(), found, known: FORMAT })
        }
        _ => Err(OpenError::Damaged {
            path: path.to_owned(),
            why: format!("the file {MARKER} in it does not say which format it is"),
        }),
    }
}

fn marker_text(format: u32) -> String {
    format!("{MARKER_PREFIX}{format}\n")
}

fn only_marker(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "lost+found" && name != MARKER {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_closed(path: &Path) -> Result<Option<Revision>, OpenError> {
    let text = match fs::read(path.join(CLOSED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::from_io(path, &error)),
        Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
    };
    let revision = text.strip_prefix(CLOSED_PREFIX).and_then(|text| text.strip_suffix('\n')?.parse().ok());
    match revision {
        Some(revision) => Ok(Some(revision)),
        None => Err(OpenError::Damaged {
            path: path.to_owned(),
            why: format!("the file {CLOSED} in it does not say at which revision it was closed"),
        }),
    }
}
