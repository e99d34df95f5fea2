//! Entries of calls that wrote nothing: refused, failed, or denied before they were read.
//!
//! Whoever calls may be hostile, so this never waits, never fails, and is bounded twice: by a queue, and by how many entries
//! a second are kept, so that a flood of bad calls fills no disk. What is dropped is counted, in the next entry that is kept
//! and to [`OnDropped`].

use super::record::AuditRecord;
use crate::app::{App, Caller};
use crate::store::{Batch, Engine};
use prost::Message;
use prost_types::Timestamp;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// How many entries may wait to be written.
const QUEUE_MAX_ENTRIES: usize = 1024;
/// How many are written at one time.
const TOGETHER_MAX_ENTRIES: usize = 256;
/// How many entries a second are kept in the long run: at 0.2 kB each, less than 200 MB a day whatever happens.
const KEPT_MAX_PER_SECOND: u64 = 10;
/// How many are kept at once after a quiet time.
const BURST_MAX_ENTRIES: u64 = 1000;

/// A call that wrote nothing, and why.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The principal; whom a call without one is taken for.
    pub actor: String,
    /// The full name of the RPC, `package.Service/Method`.
    pub method: String,
    /// The policy that it was about, if the call got far enough to say.
    pub policy_id: String,
    /// The paths of its update mask.
    pub mask: Vec<String>,
    /// The number of the gRPC code that it was answered with.
    pub code: i32,
    /// The stable reason of the error.
    pub reason: String,
}

impl Attempt {
    /// What `caller` tried. How it ended is to be filled in.
    pub fn of(caller: &Caller, policy_id: &str, mask: &[String]) -> Self {
        Attempt {
            actor: caller.actor.clone(),
            method: caller.method.to_owned(),
            policy_id: policy_id.to_owned(),
            mask: mask.to_vec(),
            ..Attempt::default()
        }
    }
}

/// Called with the number of entries that were dropped; must be quick.
pub type OnDropped = Arc<dyn Fn(u64) + Send + Sync>;

enum Item {
    Entry(AuditRecord),
    /// Everything before this is written, or was given up.
    Settled(oneshot::Sender<()>),
}

/// The queue, and the task that empties it, which ends when this is dropped.
pub(in crate::app) struct Failures {
    queue: mpsc::Sender<Item>,
    rate: Mutex<Rate>,
    /// Since the last entry that was kept.
    dropped: Arc<AtomicU64>,
    on_dropped: Option<OnDropped>,
    task: AbortHandle,
}

/// A bucket that fills by [`KEPT_MAX_PER_SECOND`] up to [`BURST_MAX_ENTRIES`].
struct Rate {
    left: u64,
    seconds: i64,
}

impl Rate {
    fn take(&mut self, now: i64) -> bool {
        let passed = u64::try_from(now.saturating_sub(self.seconds)).unwrap_or(0);
        self.left =
            self.left.saturating_add(passed.saturating_mul(KEPT_MAX_PER_SECOND)).min(BURST_MAX_ENTRIES);
        self.seconds = now;
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Failures {
    pub(in crate::app) fn start(store: Arc<dyn Engine>) -> Failures {
        let (queue, items) = mpsc::channel(QUEUE_MAX_ENTRIES);
        let dropped = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(run(store, items, Arc::clone(&dropped)));
        let rate = Mutex::new(Rate { left: BURST_MAX_ENTRIES, seconds: i64::MAX });
        Failures { queue, rate, dropped, on_dropped: None, task: task.abort_handle() }
    }

    fn add(&self, now: &Timestamp, record: AuditRecord) {
        let kept = self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(now.seconds);
        if !kept || self.queue.try_send(Item::Entry(record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if let Some(on_dropped) = &self.on_dropped {
                on_dropped(1);
            }
        }
    }

    async fn settled(&self) {
        let (sender, settled) = oneshot::channel();
        // If the task is gone, there is nothing to wait for.
        if self.queue.send(Item::Settled(sender)).await.is_ok() {
            let _ = settled.await;
        }
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Failures").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

async fn run(store: Arc<dyn Engine>, mut items: mpsc::Receiver<Item>, dropped: Arc<AtomicU64>) {
    let mut together = Vec::new();
    while items.recv_many(&mut together, TOGETHER_MAX_ENTRIES).await > 0 {
        let (mut records, mut waiting) = (Vec::new(), Vec::new());
        for item in together.drain(..) {
            match item {
                Item::Entry(record) => records.push(record),
                Item::Settled(sender) => waiting.push(sender),
            }
        }
        write(store.as_ref(), records, &dropped).await;
        for sender in waiting {
            // Who waited may have left.
            let _ = sender.send(());
        }
    }
}

async fn write(store: &dyn Engine, mut records: Vec<AuditRecord>, dropped: &AtomicU64) {
    let Some(first) = records.first_mut() else { return };
    let before = dropped.swap(0, Ordering::Relaxed);
    first.dropped_before = before;
    let mut batch = Batch::new();
    for record in &records {
        batch.journal(record.encode_to_vec());
    }
    if let Err(error) = store.commit(batch).await {
        let lost = u64::try_from(records.len()).unwrap_or(u64::MAX);
        dropped.fetch_add(before.saturating_add(lost), Ordering::Relaxed);
        tracing::warn!(%error, entries = lost, "the audit trail lacks calls that failed");
    }
}

impl App {
    /// The same operations, with somebody to tell how many entries about calls that failed were dropped.
    #[must_use]
    pub fn with_on_dropped(mut self, on_dropped: OnDropped) -> App {
        self.failures.on_dropped = Some(on_dropped);
        self
    }

    /// Puts a call that wrote nothing into the audit trail, a moment later. Never waits and never fails; what is too much is
    /// dropped and counted.
    pub fn audit_failed(&self, attempt: &Attempt) {
        let Attempt { actor, method, policy_id, mask, code, reason } = attempt;
        let now = self.clock.now();
        let record = AuditRecord::new(now, actor, method, policy_id, mask).ended(*code, reason);
        self.failures.add(&now, record);
    }

    /// Waits until every call that failed before this is in the trail. To be called before the store is closed.
    pub async fn audit_settled(&self) {
        self.failures.settled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_kept_to_its_rate_and_a_clock_that_is_set_back_gives_nothing() {
        let mut rate = Rate { left: BURST_MAX_ENTRIES, seconds: i64::MAX };
        let kept = (0..5000).filter(|_| rate.take(100)).count();
        assert_eq!(kept, 1000);
        assert_eq!((0..5000).filter(|n| rate.take(101 + n / 500)).count(), 100);
        assert_eq!((0..50).filter(|_| rate.take(50)).count(), 0);
        assert_eq!((0..50).filter(|_| rate.take(51)).count(), 10);
    }
}
