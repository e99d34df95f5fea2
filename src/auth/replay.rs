//! Assertions that were used: each counts once while it lasts.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// How many are remembered. Only who has a client's key can make one that is, and none is remembered for longer than
/// an assertion may last.
const REMEMBERED_MAX: usize = 100_000;

type Hash = [u8; 32];

/// What was used, until it ends.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen: HashSet<Hash>,
    by_end: BTreeSet<(i64, Hash)>,
}

/// What using an assertion came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Use {
    First,
    Again,
    /// There is no room to remember it, so it cannot count.
    NoRoom,
}

impl Used {
    /// Uses what was signed, which ends at `end`, in seconds since 1970. The signature is no part of it: what says the same
    /// is the same.
    pub(super) fn once(&self, signed: &str, end: i64, now: i64) -> Use {
        let hash: Hash = Sha256::digest(signed).into();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = inner.by_end.first().copied()
            && first.0 < now
        {
            inner.by_end.remove(&first);
            inner.seen.remove(&first.1);
        }
        if inner.seen.contains(&hash) {
            return Use::Again;
        }
        if inner.seen.len() >= REMEMBERED_MAX {
            return Use::NoRoom;
        }
        inner.seen.insert(hash);
        inner.by_end.insert((end, hash));
        Use::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_and_forgotten_when_it_has_ended() {
        let used = Used::default();
        assert_eq!(used.once("a", 10, 0), Use::First);
        assert_eq!(used.once("a", 10, 10), Use::Again);
        assert_eq!(used.once("b", 20, 10), Use::First);
        assert_eq!(used.once("a", 30, 11), Use::First);
        assert_eq!(used.0.lock().unwrap().seen.len(), 2);
    }
}
