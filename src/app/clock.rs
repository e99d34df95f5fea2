//! The clock and the maker of ids: all that an operation takes from outside the request and the store.

use prost_types::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::{NoContext, Uuid};

/// What time it is, and names for what is new. Tests hand in one of their own.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The time, in UTC, to the microsecond.
    fn now(&self) -> Timestamp;

    /// A UUIDv7 that is greater than every one given before and than `after`, so that the order of ids is the order of
    /// creation even when the machine's clock is set back.
    fn new_id(&self, after: Uuid) -> Uuid;

    /// 32 bytes that nobody can guess.
    ///
    /// # Errors
    /// When the system has none to give.
    fn secret(&self) -> Result<[u8; 32], NoEntropy>;
}

/// The clock of the machine.
#[derive(Debug, Default)]
pub struct SystemClock {
    last: Mutex<Uuid>,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let micros = i32::try_from(since.subsec_micros()).unwrap_or(0);
        Timestamp { seconds, nanos: micros * 1000 }
    }

    fn new_id(&self, after: Uuid) -> Uuid {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = after.max(*last);
        let fresh = Uuid::now_v7();
        let id = if fresh > floor { fresh } else { next_after(floor) };
        *last = id;
        id
    }

    fn secret(&self) -> Result<[u8; 32], NoEntropy> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| NoEntropy)?;
        Ok(secret)
    }
}

/// The machine gives no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoEntropy;

/// A UUIDv7 in the millisecond after that of `floor`, with fresh random bits.
fn next_after(floor: Uuid) -> Uuid {
    let (seconds, nanos) = floor.get_timestamp().map_or((0, 0), |timestamp| timestamp.to_unix());
    let millis = seconds * 1000 + u64::from(nanos / 1_000_000) + 1;
    let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1000, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_is_behind() {
        let clock = SystemClock::default();
        let future = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, 9_000_000_000, 0));
        let mut last = clock.new_id(future);
        assert!(last > future);
        for _ in 0..1000 {
            let id = clock.new_id(Uuid::nil());
            assert!(id > last, "{id} after {last}");
            assert_eq!(id.get_version_num(), 7);
            last = id;
        }
    }

    #[test]
    fn secrets_differ() {
        let clock = SystemClock::default();
        assert_ne!(clock.secret().unwrap(), clock.secret().unwrap());
    }
}
