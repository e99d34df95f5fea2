//! The one thread that writes, and the state that it shares with readers.
//!
//! Commits wait in a bounded queue. The thread takes all that are waiting, up to a limit, as one group: it
//! decides them in order, hands their writes to the disk engine as one atomic batch, waits until the disk
//! confirms them, and only then lets readers see them, answers, and publishes. While it waits for the disk,
//! the next group gathers, so the more writers there are the more of them share one `fdatasync`.
//!
//! Once the disk refused to confirm a group nothing is known about what it holds: the thread then refuses
//! this and every later commit, and readers go on seeing the last state that was confirmed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::changes::Feed;
use super::group::{Change, Records, Staged, check};
use super::journal::{self, Writing};
use super::sled::{Disk, Writes};
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

/// What readers see.
#[derive(Debug)]
pub(super) struct Visible {
    /// `None` once closed.
    pub(super) disk: Option<Arc<Disk>>,
    /// The group that is on its way to the disk: readers see these keys as they were before it.
    pub(super) pending: Staged,
    pub(super) revision: Revision,
    /// `None` once closed.
    pub(super) feed: Option<Feed>,
}

/// What the committer and the readers share. A reader holds the read lock for one `get` or `scan`; the
/// committer takes the write lock twice a group, never while it waits for the disk.
#[derive(Debug)]
pub(super) struct Shared {
    visible: RwLock<Visible>,
    pub(super) health: watch::Sender<Health>,
    queued_bytes: AtomicUsize,
}

impl Shared {
    pub(super) fn new(disk: Arc<Disk>, revision: Revision) -> Shared {
        let visible = Visible { disk: Some(disk), pending: Staged::new(), revision, feed: Some(Feed::new()) };
        Shared {
            visible: RwLock::new(visible),
            health: watch::Sender::new(Health::Ready),
            queued_bytes: AtomicUsize::new(0),
        }
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

/// Starts the thread. It ends, and `ended` is dropped, when the last [`Queue`] is gone and all it held is
/// answered.
pub(super) fn start(
    disk: Arc<Disk>,
    shared: Arc<Shared>,
    head: journal::Head,
    on_group: Option<OnGroup>,
    ended: oneshot::Sender<()>,
) -> std::io::Result<(Queue, JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(QUEUE_MAX_COMMITS);
    let queue = Queue { sender, shared: shared.clone() };
    let revision = shared.read().revision;
    let committer = Committer { disk, shared, on_group, revision, head, refusal: None };
    let thread = std::thread::Builder::new().name("store-committer".to_owned()).spawn(move || {
        // The alarm must outlive everything that may panic, and `ended` everything that holds a file.
        let _ended = ended;
        let _alarm = Alarm { shared: committer.shared.clone() };
        committer.run(&receiver);
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
    disk: Arc<Disk>,
    shared: Arc<Shared>,
    on_group: Option<OnGroup>,
    /// The last revision given out.
    revision: Revision,
    /// The end of the journal.
    head: journal::Head,
    /// Why nothing is committed any more.
    refusal: Option<Error>,
}

/// What the batches of a group come to, before anything is written.
struct Plan {
    staged: Staged,
    writes: Writes,
    revision: Revision,
    journal: Writing,
    outcomes: Vec<Answer>,
}

impl Committer {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let jobs = self.gather(first, queue);
            let outcomes = self.commit(&jobs);
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                // Whoever asked may have left.
                let _ = job.answer.send(outcome);
            }
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
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        jobs
    }

    fn commit(&mut self, jobs: &[Job]) -> Vec<Answer> {
        let refused = match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => self.disk.check_room(),
        };
        if let Err(error) = refused {
            return jobs.iter().map(|_| Err(error.clone())).collect();
        }
        let mut plan = self.plan(jobs);
        let head = plan.write_journal();
        if plan.staged.is_empty() {
            return plan.outcomes;
        }
        self.shared.write().pending = plan.staged;
        match self.disk.write(plan.revision, plan.writes) {
            Ok(fsync) => {
                self.revision = plan.revision;
                self.head = head;
                self.publish(jobs, &plan.outcomes, fsync);
                plan.outcomes
            }
            Err(why) => {
                tracing::error!(reason = %why, "the store takes no writes any more");
                self.shared.health.send_replace(Health::NotReady { why: why.clone() });
                let refusal = Error::NotReady { why };
                self.refusal = Some(refusal.clone());
                jobs.iter().map(|_| Err(refusal.clone())).collect()
            }
        }
    }

    fn plan(&self, jobs: &[Job]) -> Plan {
        let mut plan = Plan {
            staged: Staged::new(),
            writes: Writes::default(),
            revision: self.revision,
            journal: Writing::after(self.head),
            outcomes: Vec::with_capacity(jobs.len()),
        };
        for job in jobs {
            let outcome = if job.answer.is_closed() {
                Err(Error::Closed)
            } else {
                plan.add(&job.batch, self.disk.as_ref()).map(|revision| Committed { revision })
            };
            plan.outcomes.push(outcome);
        }
        plan
    }

    /// Lets readers see the group that is now durable.
    fn publish(&self, jobs: &[Job], outcomes: &[Answer], fsync: Duration) {
        let mut stats = GroupStats { commits: 0, bytes: 0, fsync };
        let mut visible = self.shared.write();
        visible.revision = self.revision;
        let done = std::mem::take(&mut visible.pending);
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
        // Freed only now, so that no reader waits for it.
        drop(done);
        if let Some(on_group) = &self.on_group {
            on_group(stats);
        }
    }
}

impl Plan {
    /// Adds the batch to the group if its conditions hold after what is already in it. All or nothing.
    fn add(&mut self, batch: &Batch, disk: &Disk) -> Result<Revision, Error> {
        check(&batch.conditions, disk, &self.staged)?;
        if batch.only_checks() {
            return Ok(self.revision);
        }
        let before =
            batch.writes.iter().map(|write| self.before(write, disk)).collect::<Result<Vec<_>, _>>()?;
        self.revision += 1;
        for (write, before) in batch.writes.iter().zip(before) {
            let (key, after) = match write {
                Write::Put { key, value } => {
                    self.writes.put(key, record::encode(key, self.revision, value));
                    (key, Some(self.revision))
                }
                Write::Delete { key } => {
                    self.writes.delete(key);
                    (key, None)
                }
            };
            match self.staged.get_mut(key) {
                Some(change) => change.after = after,
                None => {
                    self.staged.insert(key.clone(), Change { before, after });
                }
            }
        }
        batch.journal.iter().for_each(|payload| self.journal.add(payload));
        Ok(self.revision)
    }

    /// Adds the journal of the whole group to its writes, and returns where the chain ends then.
    fn write_journal(&mut self) -> journal::Head {
        let (records, head) = std::mem::take(&mut self.journal).finish();
        for (key, value) in records {
            self.writes.put(&key, record::encode(&key, self.revision, &value));
            self.staged.insert(key, Change { before: None, after: Some(self.revision) });
        }
        head
    }

    /// The encoded record that readers go on seeing until the group is durable.
    fn before(&self, write: &Write, disk: &Disk) -> Result<Option<Bytes>, Error> {
        let (Write::Put { key, .. } | Write::Delete { key }) = write;
        if self.staged.contains_key(key) { Ok(None) } else { disk.raw(key) }
    }
}

/// How long `work` took, beside what it returned.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}
