//! The feed of what was committed: in order, after it is durable, and never in a writer's way.
//!
//! It carries keys, not values: whoever needs the value reads it, and gets the newest. The feed keeps the
//! last [`BACKLOG_MAX_COMMITS`] commits; a reader that is further behind gets [`ChangesError::Lagged`] once
//! and goes on from there, after it has read again whatever it watches.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{Revision, Write};

/// How many commits a reader may be behind.
const BACKLOG_MAX_COMMITS: usize = 4096;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub revision: Revision,
    /// In the order of the batch.
    pub writes: Vec<Changed>,
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Put { key: Vec<u8> },
    Deleted { key: Vec<u8> },
}

impl Changed {
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Changed::Put { key } | Changed::Deleted { key } => key,
        }
    }
}

/// Why the feed has no next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangesError {
    /// Read again what you watch: commits were missed. The feed goes on.
    #[error("{missed_commits} commits were missed")]
    Lagged { missed_commits: u64 },
    /// The store was closed; nothing more comes.
    #[error("the store is closed")]
    Closed,
}

/// A reader of the feed.
#[derive(Debug)]
pub struct Changes {
    since: Revision,
    receiver: broadcast::Receiver<Arc<Change>>,
}

impl Changes {
    /// The revision after which the feed begins: reads already show this one and all before it.
    #[must_use]
    pub fn since(&self) -> Revision {
        self.since
    }

    /// The next commit. Can be cancelled without losing one.
    ///
    /// # Errors
    ///
    /// When commits were missed, or when no more come.
    pub async fn next(&mut self) -> Result<Arc<Change>, ChangesError> {
        match self.receiver.recv().await {
            Ok(change) => Ok(change),
            Err(broadcast::error::RecvError::Lagged(missed_commits)) => {
                Err(ChangesError::Lagged { missed_commits })
            }
            Err(broadcast::error::RecvError::Closed) => Err(ChangesError::Closed),
        }
    }
}

/// The engine's end of the feed.
#[derive(Debug)]
pub(super) struct Feed {
    sender: broadcast::Sender<Arc<Change>>,
}

impl Feed {
    pub(super) fn new() -> Feed {
        Feed { sender: broadcast::Sender::new(BACKLOG_MAX_COMMITS) }
    }

    /// Must be called so that no commit becomes visible between `since` being read and this.
    pub(super) fn subscribe(&self, since: Revision) -> Changes {
        Changes { since, receiver: self.sender.subscribe() }
    }

    /// A feed that has already ended.
    pub(super) fn ended(since: Revision) -> Changes {
        Feed::new().subscribe(since)
    }

    /// Never waits: a reader that is too far behind loses the oldest.
    pub(super) fn publish(&self, revision: Revision, writes: &[Write]) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let writes = writes
            .iter()
            .map(|write| match write {
                Write::Put { key, .. } => Changed::Put { key: key.clone() },
                Write::Delete { key } => Changed::Deleted { key: key.clone() },
            })
            .collect();
        // An error says that the last reader left in the meantime.
        let _ = self.sender.send(Arc::new(Change { revision, writes }));
    }
}
