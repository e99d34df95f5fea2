//! How much one principal may ask of the service, and how often one peer may be wrong. Tables with a bound; nothing waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::peer::Origin;
use super::{Denied, Peer};

/// Principals, or peers, that are counted at one time. Who comes when all places are taken shares one with the others.
const COUNTED_MAX: usize = 10_000;
/// Places of those who have been quiet are given away no more often than this.
const SWEEP_PAUSE_MS: u64 = 1000;
/// When there were too many at one time, there may be room again after this.
const IN_FLIGHT_RETRY_MS: u64 = 200;

/// A bucket that fills with time and from which each call takes one.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one, or says when there will be one.
    fn take(&mut self, per_second: f64, size: f64, now: Instant) -> Result<(), Duration> {
        self.fill(per_second, size, now);
        if self.level < 1.0 {
            return Err(Duration::from_secs_f64(((1.0 - self.level) / per_second).max(0.001)));
        }
        self.level -= 1.0;
        Ok(())
    }

    fn fill(&mut self, per_second: f64, size: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * per_second).min(size);
        self.at = now;
    }
}

/// Who is counted. `None` is everybody for whom there is no place.
#[derive(Debug)]
struct Table<K> {
    places: HashMap<Option<K>, Place>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Place {
    bucket: Bucket,
    inside: u32,
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn new() -> Self {
        Table { places: HashMap::new(), swept: None }
    }

    /// The place of a key, and the key that it is under.
    fn place(&mut self, key: K, per_second: f64, size: f64, now: Instant) -> (Option<K>, &mut Place) {
        let mut key = Some(key);
        if self.places.len() >= COUNTED_MAX && !self.places.contains_key(&key) {
            self.sweep(per_second, size, now);
            if self.places.len() >= COUNTED_MAX {
                key = None;
            }
        }
        let place = self.places.entry(key.clone());
        (key, place.or_insert_with(|| Place { bucket: Bucket { level: size, at: now }, inside: 0 }))
    }

    fn sweep(&mut self, per_second: f64, size: f64, now: Instant) {
        let pause = Duration::from_millis(SWEEP_PAUSE_MS);
        if self.swept.is_some_and(|at| now.saturating_duration_since(at) < pause) {
            return;
        }
        self.swept = Some(now);
        self.places.retain(|_, place| {
            place.bucket.fill(per_second, size, now);
            place.inside > 0 || place.bucket.level < size
        });
    }
}

/// What each principal may ask.
#[derive(Debug)]
pub(super) struct Quota {
    per_second: u32,
    in_flight: u32,
    table: Mutex<Table<String>>,
}

impl Quota {
    pub(super) fn new(per_second: u32, in_flight: u32) -> Arc<Quota> {
        Arc::new(Quota { per_second, in_flight, table: Mutex::new(Table::new()) })
    }

    /// One call more of `principal`.
    pub(super) fn enter(self: &Arc<Self>, principal: &str, now: Instant) -> Result<Pass, Denied> {
        let size = f64::from(self.per_second);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, place) = table.place(principal.to_owned(), size, size, now);
        if place.inside >= self.in_flight {
            return Err(Denied::Exhausted {
                what: format!(
                    "too many calls at one time: max-principal-requests-in-flight = {}",
                    self.in_flight
                ),
                retry_after: Duration::from_millis(IN_FLIGHT_RETRY_MS),
            });
        }
        place.bucket.take(size, size, now).map_err(|retry_after| Denied::Exhausted {
            what: format!("too many calls: max-principal-requests-per-second = {}", self.per_second),
            retry_after,
        })?;
        place.inside += 1;
        Ok(Pass { quota: Arc::clone(self), key })
    }
}

/// A call in flight of a principal; over when it is dropped.
#[derive(Debug)]
pub struct Pass {
    quota: Arc<Quota>,
    key: Option<String>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut table = self.quota.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = table.places.get_mut(&self.key) {
            place.inside = place.inside.saturating_sub(1);
        }
    }
}

/// How often each peer was wrong about who it is.
#[derive(Debug)]
pub(super) struct Failures {
    per_minute: u32,
    table: Mutex<Table<Origin>>,
}

impl Failures {
    pub(super) fn new(per_minute: u32) -> Failures {
        Failures { per_minute, table: Mutex::new(Table::new()) }
    }

    /// A peer was wrong once more.
    ///
    /// # Errors
    /// When that was too often.
    pub(super) fn count(&self, peer: Peer, now: Instant) -> Result<(), Denied> {
        let (size, per_second) = (f64::from(self.per_minute), f64::from(self.per_minute) / 60.0);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, place) = table.place(peer.origin(), per_second, size, now);
        place.bucket.take(per_second, size, now).map_err(|retry_after| Denied::Exhausted {
            what: "too many calls with credentials that do not count".to_owned(),
            retry_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, SocketAddr};

    fn at(address: impl Into<IpAddr>) -> Peer {
        Peer::Tcp(SocketAddr::new(address.into(), 1))
    }

    #[test]
    fn so_many_a_second_and_so_many_at_one_time() {
        let quota = Quota::new(2, 3);
        let start = Instant::now();
        let (one, two) = (quota.enter("a", start).unwrap(), quota.enter("a", start).unwrap());
        let Err(Denied::Exhausted { retry_after, .. }) = quota.enter("a", start) else { panic!("a third") };
        assert!(quota.enter("b", start).is_ok(), "another principal has its own");
        let three = quota.enter("a", start + retry_after).unwrap();
        let later = start + Duration::from_secs(60);
        assert!(quota.enter("a", later).unwrap_err().to_string().contains("in-flight = 3"));
        drop((one, two, three));
        assert!(quota.enter("a", later).is_ok() && quota.enter("a", later).is_ok());
        assert!(quota.enter("a", later).is_err(), "a minute fills no more than a second's worth");
    }

    #[test]
    fn the_tables_have_a_bound() {
        let failures = Failures::new(2);
        let start = Instant::now();
        for n in 0..u32::try_from(COUNTED_MAX).unwrap() + 100 {
            let _ = failures.count(at(IpAddr::V4(n.into())), start);
        }
        assert!(failures.table.lock().unwrap().places.len() <= COUNTED_MAX + 1);
        assert!(
            failures.count(at(IpAddr::V4(4_000_000_000.into())), start).is_err(),
            "the shared place is used up"
        );
        // A minute later all are as good as new.
        let later = start + Duration::from_secs(61);
        assert!(failures.count(at(IpAddr::V4(4_000_000_000.into())), later).is_ok());
        assert!(failures.table.lock().unwrap().places.len() <= 2);
    }

    #[test]
    fn a_network_is_one_peer() {
        let failures = Failures::new(1);
        let now = Instant::now();
        assert!(failures.count(at("2001:db8::1".parse::<IpAddr>().unwrap()), now).is_ok());
        assert!(failures.count(at("2001:db8::2".parse::<IpAddr>().unwrap()), now).is_err());
        assert!(failures.count(at("2001:db8:0:1::1".parse::<IpAddr>().unwrap()), now).is_ok());
        assert!(failures.count(at("127.0.0.1".parse::<IpAddr>().unwrap()), now).is_ok());
        assert!(failures.count(at("::ffff:127.0.0.1".parse::<IpAddr>().unwrap()), now).is_err());
        let user = |uid| Peer::Unix { uid, pid: Some(1) };
        assert!(failures.count(user(Some(1000)), now).is_ok());
        assert!(failures.count(Peer::Unix { uid: Some(1000), pid: Some(2) }, now).is_err(), "one user");
        assert!(failures.count(user(Some(1001)), now).is_ok() && failures.count(user(None), now).is_ok());
    }
}
