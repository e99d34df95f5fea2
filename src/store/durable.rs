//! The engine on disk: the log, the records that only the log holds, and the disk engine under them.
//!
//! Reads run on the caller's thread; writes go to the committer.

use std::future::ready;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::changes::Feed;
use super::checkpoint::Checkpoints;
use super::committer::{self, Parts, Queue, Shared, Visible};
use super::directory::OpenError;
use super::log::Log;
use super::sled::{Disk, Opened};
use super::{
    Batch, BoxFuture, Changes, Committed, Direction, Engine, Error, Health, KeyRange, Options, Revision,
    SCAN_MAX_RECORDS, Stored, record,
};

/// The engine.
#[derive(Debug)]
pub(super) struct Durable {
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

impl Durable {
    pub(super) fn open(path: &Path, options: Options) -> Result<Durable, OpenError> {
        let io_error = |error: std::io::Error| OpenError::from_io(path, &error);
        let Opened { disk, files, mark, head } = Disk::open(path, &options)?;
        let disk = Arc::new(disk);
        let shared = Arc::new(Shared::new(disk.clone(), mark.revision));
        let parts = Parts {
            log: Log::after(mark, files, options.device, options.log_bytes).map_err(io_error)?,
            checkpoints: Checkpoints::start(disk.clone(), shared.clone()).map_err(io_error)?,
            disk,
            shared: shared.clone(),
            head,
            on_group: options.on_group,
        };
        let (ended_sender, ended) = oneshot::channel();
        let (queue, thread) = committer::start(parts, ended_sender).map_err(io_error)?;
        Ok(Durable { shared, writer: Mutex::new(Some(Writer { queue, thread, ended })) })
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

impl Drop for Durable {
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
    let raw = visible.layers(None).ok_or(Error::Closed)?.raw(key)?;
    raw.map(|raw| record::decode(key, &raw)).transpose()
}

fn scan(
    visible: &Visible,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<(Bytes, Stored)>, Error> {
    let found = visible.layers(None).ok_or(Error::Closed)?.raw_range(range, direction);
    let decoded = found.take(limit.min(SCAN_MAX_RECORDS)).map(|item| {
        let (key, raw) = item?;
        let stored = record::decode(&key, &raw)?;
        Ok((key, stored))
    });
    decoded.collect()
}

impl Engine for Durable {
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
