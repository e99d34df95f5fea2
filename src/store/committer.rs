//! The one thread that writes, and the state that it shares with readers.
//!
//! Commits wait in a bounded queue. The thread takes all that are waiting, up to a limit, as one group: it
//! decides them in order, appends their writes to the log as one frame, waits until the disk confirms it, and only then
//! lets readers see them, answers, and publishes. While it waits for the disk, the next group gathers, so the more writers
//! there are the more of them share one `fdatasync`. The disk engine gets the records later, and many groups at a time
//! (`checkpoint`).
//!
//! Once the disk refused to confirm a group nothing is known about what it holds: the thread then refuses
//! this and every later commit, and readers go on seeing the last state that was confirmed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::changes::Feed;
use super::checkpoint::{Job as Epoch, Running};
use super::journal::{self, Writing};
use super::layers::{Layers, Table, check};
use super::log::{AppendError, Log};
use super::sled::Disk;
use super::{Batch, Committed, Error, GroupStats, Health, OnGroup, Revision, Write, record};

/// The most commits in one group.
const GROUP_MAX_COMMITS: usize = 1024;
/// A group takes no further commit once it is this large; its last one may take it over by one batch.
const GROUP_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many commits may wait.
const QUEUE_MAX_COMMITS: usize = 4096;
/// How much the commits that wait may hold.
const QUEUE_MAX_BYTES: usize = 64 * 1024 * 1024;

type Answer = Result<Committed, Error>;

/// One commit that waits.
struct Job {
    batch: Batch,
    bytes: usize,
    answer: oneshot::Sender<Answer>,
}

/// What readers see: only what is durable.
#[derive(Debug)]
pub(super) struct Visible {
    /// `None` once closed.
    pub(super) disk: Option<Arc<Disk>>,
    /// What this epoch of the log holds.
    pub(super) recent: Table,
    /// What the epoch before holds, until the disk engine has it.
    pub(super) frozen: Option<Arc<Table>>,
    pub(super) revision: Revision,
    /// `None` once closed.
    pub(super) feed: Option<Feed>,
}

impl Visible {
    /// All records, with those of `staged` over them; `None` once closed.
    pub(super) fn layers<'a>(&'a self, staged: Option<&'a Table>) -> Option<Layers<'a, Disk>> {
        let tables = [staged, Some(&self.recent), self.frozen.as_deref()];
        Some(Layers { tables, disk: self.disk.as_deref()? })
    }
}

/// What the committer and the readers share. A reader holds the read lock for one `get` or `scan`; the
/// committer takes the write lock for moments, never while it waits for the disk.
#[derive(Debug)]
pub(super) struct Shared {
    visible: RwLock<Visible>,
    pub(super) health: watch::Sender<Health>,
    queued_bytes: AtomicUsize,
}

impl Shared {
    pub(super) fn new(disk: Arc<Disk>, revision: Revision) -> Shared {
        let (recent, feed) = (Table::new(), Some(Feed::new()));
        let visible = Visible { disk: Some(disk), recent, frozen: None, revision, feed };
        Shared {
            visible: RwLock::new(visible),
            health: watch::Sender::new(Health::Ready),
            queued_bytes: AtomicUsize::new(0),
        }
    }

    /// Sets the records of the epoch aside, where readers still find them.
    fn freeze(&self) -> Arc<Table> {
        let mut visible = self.write();
        let frozen = Arc::new(std::mem::take(&mut visible.recent));
        visible.frozen = Some(frozen.clone());
        frozen
    }

    /// The disk engine has what was set aside.
    pub(super) fn thaw(&self) {
        let thawed = self.write().frozen.take();
        // Freed only now, so that no reader waits for it.
        drop(thawed);
    }

    // The state is only ever replaced by whole values under the lock, so one that a panic left behind is
    // whole too.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Visible> {
        self.visible.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Visible> {
        self.visible.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a commit gets that the committer cannot take any more.
    fn refusal(&self) -> Error {
        match &*self.health.borrow() {
            Health::Ready => Error::Closed,
            Health::NotReady { why } => Error::NotReady { why: why.clone() },
        }
    }
}

/// The writers' end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: SyncSender<Job>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Job").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Queue {
    /// Hands a batch over; never waits. The receiver fails when the committer is gone.
    pub(super) fn push(&self, batch: Batch) -> Result<oneshot::Receiver<Answer>, Error> {
        let bytes = batch.check_size()?;
        if self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_MAX_BYTES {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Error::Busy);
        }
        let (answer, receiver) = oneshot::channel();
        self.sender.try_send(Job { batch, bytes, answer }).map_err(|error| {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Error::Busy,
                TrySendError::Disconnected(_) => self.shared.refusal(),
            }
        })?;
        Ok(receiver)
    }
}

/// What the thread works with.
pub(super) struct Parts {
    pub(super) disk: Arc<Disk>,
    pub(super) log: Log,
    pub(super) checkpoints: Running,
    pub(super) shared: Arc<Shared>,
    /// The end of the journal.
    pub(super) head: journal::Head,
    pub(super) on_group: Option<OnGroup>,
}

/// Starts the thread. It ends, and `ended` is dropped, when the last [`Queue`] is gone, all it held is
/// answered, and the disk engine has everything.
pub(super) fn start(parts: Parts, ended: oneshot::Sender<()>) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(QUEUE_MAX_COMMITS);
    let queue = Queue { sender, shared: parts.shared.clone() };
    let revision = parts.shared.read().revision;
    let mut committer = Committer { parts, revision, refusal: None };
    let thread = std::thread::Builder::new().name("store-committer".to_owned()).spawn(move || {
        // The alarm must outlive everything that may panic, and `ended` everything that holds a file.
        let _ended = ended;
        let _alarm = Alarm { shared: committer.parts.shared.clone() };
        committer.run(&receiver);
        drop(committer);
    })?;
    Ok((queue, thread))
}

/// Says that the store takes no writes any more, should the committer panic.
struct Alarm {
    shared: Arc<Shared>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the committer stopped because of a defect; see the log".to_owned();
            self.shared.health.send_replace(Health::NotReady { why });
        }
    }
}

struct Committer {
    parts: Parts,
    /// The last revision given out.
    revision: Revision,
    /// Why nothing is committed any more.
    refusal: Option<Error>,
}

/// What the batches of a group come to, before anything is written.
struct Plan {
    staged: Table,
    revision: Revision,
    journal: Writing,
    outcomes: Vec<Answer>,
}

impl Committer {
    fn run(&mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let jobs = self.gather(first, queue);
            let outcomes = self.commit(&jobs);
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                // Whoever asked may have left.
                let _ = job.answer.send(outcome);
            }
        }
        if self.refusal.is_none()
            && let Err(error) = self.end_epoch().and_then(|()| self.parts.checkpoints.wait_until_idle())
        {
            tracing::warn!(%error, "the store is closed before its log was moved; that is done at the next start");
        }
    }

    fn gather(&self, first: Job, queue: &Receiver<Job>) -> Vec<Job> {
        let mut bytes = first.bytes;
        let mut jobs = vec![first];
        while jobs.len() < GROUP_MAX_COMMITS && bytes < GROUP_MAX_BYTES {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.bytes;
            jobs.push(job);
        }
        self.parts.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        jobs
    }

    fn commit(&mut self, jobs: &[Job]) -> Vec<Answer> {
        let refuse = |error: &Error| jobs.iter().map(|_| Err(error.clone())).collect();
        let refused = self.refusal.clone().or_else(|| self.parts.checkpoints.failure());
        if let Some(error) = refused.or_else(|| self.parts.disk.check_room().err()) {
            return refuse(&error);
        }
        let mut plan = self.plan(jobs);
        let head = plan.write_journal();
        if plan.staged.is_empty() {
            return plan.outcomes;
        }
        match self.append(&plan) {
            Ok(sync) => {
                self.revision = plan.revision;
                self.parts.head = head;
                self.publish(jobs, plan.staged, &plan.outcomes, sync);
                plan.outcomes
            }
            Err(error) => refuse(&error),
        }
    }

    fn plan(&self, jobs: &[Job]) -> Plan {
        let mut plan = Plan {
            staged: Table::new(),
            revision: self.revision,
            journal: Writing::after(self.parts.head),
            outcomes: Vec::with_capacity(jobs.len()),
        };
        let visible = self.parts.shared.read();
        for job in jobs {
            let outcome = if job.answer.is_closed() {
                Err(Error::Closed)
            } else {
                plan.add(&job.batch, &visible).map(|revision| Committed { revision })
            };
            plan.outcomes.push(outcome);
        }
        plan
    }

    /// Makes the group durable. Returns how long the sync took.
    fn append(&mut self, plan: &Plan) -> Result<Duration, Error> {
        if self.parts.log.is_full_for(&plan.staged) {
            self.end_epoch()?;
        }
        let why = match self.parts.log.append(&plan.staged, plan.revision) {
            Ok(sync) => return Ok(sync),
            Err(AppendError::NoRoom) => return Err(self.parts.disk.no_room()),
            Err(AppendError::Refused(why)) => format!("the disk refused a write: {why}"),
            Err(AppendError::Unconfirmed(why)) => format!("the disk did not confirm a write: {why}"),
        };
        Err(self.refuse(why))
    }

    /// From now on nothing is committed, because of this.
    fn refuse(&mut self, why: String) -> Error {
        tracing::error!(reason = %why, "the store takes no writes any more");
        self.parts.shared.health.send_replace(Health::NotReady { why: why.clone() });
        let refusal = Error::NotReady { why };
        self.refusal = Some(refusal.clone());
        refusal
    }

    /// Has the epoch moved to the disk engine, once the one before is there, and begins the next.
    fn end_epoch(&mut self) -> Result<(), Error> {
        self.parts.checkpoints.wait_until_idle()?;
        let table = self.parts.shared.freeze();
        self.parts.checkpoints.begin(Epoch { table, mark: self.parts.log.mark() });
        let begun = self.parts.log.begin_epoch();
        begun.map_err(|error| self.refuse(format!("the log cannot be gone on with: {error}")))
    }

    /// Lets readers see the group that is now durable.
    fn publish(&self, jobs: &[Job], staged: Table, outcomes: &[Answer], fsync: Duration) {
        let mut stats = GroupStats { commits: 0, bytes: 0, fsync };
        let mut visible = self.parts.shared.write();
        visible.revision = self.revision;
        visible.recent.extend(staged);
        for (job, outcome) in jobs.iter().zip(outcomes) {
            if let Ok(committed) = outcome
                && !job.batch.only_checks()
            {
                stats.commits += 1;
                stats.bytes += job.bytes;
                if let Some(feed) = &visible.feed {
                    feed.publish(committed.revision, &job.batch.writes);
                }
            }
        }
        drop(visible);
        if let Some(on_group) = &self.parts.on_group {
            on_group(stats);
        }
    }
}

impl Plan {
    /// Adds the batch to the group if its conditions hold after what is already in it. All or nothing.
    fn add(&mut self, batch: &Batch, visible: &Visible) -> Result<Revision, Error> {
        check(&batch.conditions, &visible.layers(Some(&self.staged)).ok_or(Error::Closed)?)?;
        if batch.only_checks() {
            return Ok(self.revision);
        }
        self.revision += 1;
        for write in &batch.writes {
            match write {
                Write::Put { key, value } => self.put(key, value),
                Write::Delete { key } => drop(self.staged.insert(Bytes::copy_from_slice(key), None)),
            }
        }
        batch.journal.iter().for_each(|payload| self.journal.add(payload));
        Ok(self.revision)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        let raw = record::encode(key, self.revision, value);
        self.staged.insert(Bytes::copy_from_slice(key), Some(raw.into()));
    }

    /// Adds the journal of the whole group to its writes, and returns where the chain ends then.
    fn write_journal(&mut self) -> journal::Head {
        let (records, head) = std::mem::take(&mut self.journal).finish();
        records.iter().for_each(|(key, value)| self.put(key, value));
        head
    }
}
