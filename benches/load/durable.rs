//! The floors of `Create`: what the disk, and sled on it, can do with one record a write, made durable before the answer.
//!
//! Both use the recipe of `store`: one thread takes all writes that wait, makes them durable together, then answers. One
//! writes them to bare sled, the other appends them to a file.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Fault;
use crate::round::{Client, Clients};

/// As in `store::committer`.
const GROUP_MAX_COMMITS: usize = 1024;
const QUEUE_MAX_COMMITS: usize = 4096;
/// As in `store::sled`.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;
const CACHE_BYTES: u64 = 256 * 1024 * 1024;

/// What every write writes: what its key begins with, and its value.
#[derive(Debug, Clone)]
pub struct Record {
    pub key: Vec<u8>,
    pub value: Bytes,
}

/// One write that waits: the end of its key, and whom to answer.
struct Job {
    key: [u8; 8],
    done: oneshot::Sender<bool>,
}

/// Writers of the same record, again and again, under ascending keys.
pub struct Writers {
    queue: SyncSender<Job>,
    next_key: AtomicU64,
}

impl Writers {
    /// Bare sled in `dir`.
    pub fn sled(dir: &Path, record: Record) -> Result<Writers, Fault> {
        let db = sled::Config::new()
            .path(dir)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()?;
        let file = File::open(dir.join("db"))?;
        Ok(Writers::start(move |jobs| {
            let mut batch = sled::Batch::default();
            for job in jobs {
                batch.insert([record.key.as_slice(), job.key.as_slice()].concat(), record.value.as_ref());
            }
            db.apply_batch(batch)?;
            db.flush()?;
            Ok(file.sync_data()?)
        }))
    }

    /// A file `path`.
    pub fn file(path: &Path, record: Record) -> Result<Writers, Fault> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut group = Vec::new();
        Ok(Writers::start(move |jobs| {
            group.clear();
            for job in jobs {
                group.extend_from_slice(&record.key);
                group.extend_from_slice(&job.key);
                group.extend_from_slice(&record.value);
            }
            file.write_all(&group)?;
            Ok(file.sync_data()?)
        }))
    }

    /// Starts the committer. It ends when the last writer is gone.
    fn start(write: impl FnMut(&[Job]) -> Result<(), Fault> + Send + 'static) -> Writers {
        let (queue, waiting) = sync_channel(QUEUE_MAX_COMMITS);
        std::thread::spawn(move || commit(&waiting, write));
        Writers { queue, next_key: AtomicU64::new(0) }
    }
}

fn commit(waiting: &Receiver<Job>, mut write: impl FnMut(&[Job]) -> Result<(), Fault>) {
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter().take(GROUP_MAX_COMMITS - 1));
        let durable = write(&jobs).is_ok();
        for job in jobs {
            // Whoever asked may have left.
            let _ = job.done.send(durable);
        }
    }
}

impl Clients for &'static Writers {
    type Client = &'static Writers;

    async fn connect(&self, count: usize) -> Result<Vec<&'static Writers>, Fault> {
        Ok(vec![*self; count])
    }
}

impl Client for &'static Writers {
    async fn call(&mut self) -> Result<(), Fault> {
        let key = self.next_key.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let (done, durable) = oneshot::channel();
        self.queue.try_send(Job { key, done }).map_err(|_| "the committer does not keep up")?;
        if durable.await? { Ok(()) } else { Err("the disk refused a write".into()) }
    }
}
