//! A file that is read again when it changes. What was read last counts until something better can be read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use std::os::unix::fs::MetadataExt as _;

/// How often the file is looked at, at most.
const LOOK_INTERVAL_MS: u64 = 500;
/// A larger file is not ours.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What `parse` makes of the file at `path`, kept up to date when somebody asks.
#[derive(Debug)]
pub(super) struct Reloading<T> {
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    began: Instant,
    looked_ms: AtomicU64,
    state: RwLock<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    /// Of the file as it was when it was last read, whatever came of it.
    mark: Option<Mark>,
}

/// What changes when a file does.
type Mark = (u64, u64, Option<SystemTime>);

impl<T> Reloading<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// If it cannot be read or makes no sense.
    pub(super) fn open(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<Self, String> {
        let mark = mark(path);
        let value = Arc::new(read(path, parse)?);
        Ok(Reloading {
            path: path.to_owned(),
            parse,
            began: Instant::now(),
            looked_ms: AtomicU64::new(0),
            state: RwLock::new(State { value, mark }),
        })
    }

    /// What the file says now, or said last.
    pub(super) fn current(&self) -> Arc<T> {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked_ms.load(Ordering::Relaxed);
        // Whoever comes first looks; the others go on with what there is.
        if now.saturating_sub(looked) >= LOOK_INTERVAL_MS
            && self.looked_ms.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.look();
        }
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    fn look(&self) {
        let mark = mark(&self.path);
        if self.state.read().unwrap_or_else(PoisonError::into_inner).mark == mark {
            return;
        }
        let read = read(&self.path, self.parse);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.mark = mark;
        match read {
            Ok(value) => {
                state.value = Arc::new(value);
                tracing::info!(path = %self.path.display(), "read again");
            }
            Err(error) => tracing::error!(error, "what was read before still counts"),
        }
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.modified().ok()))
}

fn read<T>(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<T, String> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if metadata.len() > FILE_MAX_BYTES {
        return Err(format!("{shown} is larger than {FILE_MAX_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    parse(&text).map_err(|problem| format!("{shown}: {problem}"))
}
