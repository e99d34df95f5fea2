//! Moving what the log holds into the disk engine, on a thread of its own.
//!
//! When an epoch of the log ends, its records are frozen: they stay where readers find them, and nothing is added. This
//! thread writes them to the disk engine, and when they are durable there, with the mark that says so, readers look there and
//! the file of the log may be written over. Until then a crash loses nothing, because the log is read again: writing a record
//! twice changes nothing.
//!
//! There is one checkpoint at a time. A committer that comes to the end of the next epoch before this one is moved waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::committer::Shared;
use super::layers::Table;
use super::log::Mark;
use super::sled::Disk;
use super::{Error, Health};

/// How often to ask for room on a full disk.
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// What the committer and the thread say to each other.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    job: Option<Job>,
    /// The disk has too little room to go on.
    starved: Option<Error>,
    /// Why nothing is moved any more.
    failed: Option<Error>,
    /// No further job comes.
    ended: bool,
}

/// An epoch that has ended, up to its last frame.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) table: Arc<Table>,
    pub(super) mark: Mark,
}

impl Checkpoints {
    pub(super) fn start(disk: Arc<Disk>, shared: Arc<Shared>) -> std::io::Result<Running> {
        let checkpoints = Arc::new(Checkpoints::default());
        let theirs = checkpoints.clone();
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            let alarm = Alarm { checkpoints: theirs, shared };
            while let Some(job) = alarm.checkpoints.next(&disk) {
                if let Err(why) = disk.absorb(&job.table, job.mark) {
                    alarm.checkpoints.fail(&alarm.shared, why);
                    break;
                }
                alarm.shared.thaw();
                alarm.checkpoints.done();
            }
        })?;
        Ok(Running { checkpoints, thread: Some(thread) })
    }

    // The state is changed by single assignments, so one that a panic left behind is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// The next epoch to move, once there is one and room for it. `None` = nothing is to be moved any more.
    fn next(&self, disk: &Disk) -> Option<Job> {
        let mut state = self.lock();
        loop {
            state = match state.job.clone() {
                None if state.ended => return None,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(job) => {
                    state.starved = disk.check_room_for_checkpoint().err();
                    match state.starved {
                        None => return Some(job),
                        // The log keeps it.
                        Some(_) if state.ended => return None,
                        Some(_) => {
                            self.changed.notify_all();
                            let waited = self.changed.wait_timeout(state, ROOM_PAUSE);
                            waited.unwrap_or_else(PoisonError::into_inner).0
                        }
                    }
                }
            };
        }
    }

    fn done(&self) {
        self.change(|state| state.job = None);
    }

    fn fail(&self, shared: &Shared, why: String) {
        tracing::error!(reason = %why, "the store takes no writes any more");
        shared.health.send_replace(Health::NotReady { why: why.clone() });
        self.change(|state| state.failed = Some(Error::NotReady { why }));
    }
}

/// Tells the committer, should the thread panic.
struct Alarm {
    checkpoints: Arc<Checkpoints>,
    shared: Arc<Shared>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the checkpoint stopped because of a defect; see the log".to_owned();
            self.checkpoints.fail(&self.shared, why);
        }
    }
}

/// The committer's end. The thread ends when this is dropped, once it has moved what it was given.
#[derive(Debug)]
pub(super) struct Running {
    checkpoints: Arc<Checkpoints>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Why nothing is moved any more.
    pub(super) fn failure(&self) -> Option<Error> {
        self.checkpoints.lock().failed.clone()
    }

    /// Waits until no epoch is being moved. The error says why that will not be soon.
    pub(super) fn wait_until_idle(&self) -> Result<(), Error> {
        let mut state = self.checkpoints.lock();
        loop {
            if let Some(error) = state.failed.as_ref().or(state.starved.as_ref()) {
                return Err(error.clone());
            }
            if state.job.is_none() {
                return Ok(());
            }
            state = self.checkpoints.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has an epoch moved. There must be none on its way.
    pub(super) fn begin(&self, job: Job) {
        self.checkpoints.change(|state| state.job = Some(job));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.checkpoints.change(|state| state.ended = true);
        if let Some(thread) = self.thread.take() {
            // An error says that it panicked, and the log has said so already.
            let _ = thread.join();
        }
    }
}
