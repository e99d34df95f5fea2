//! One round of load: so many clients, each with one request at a time, for so long.
//!
//! The same loop drives every figure and every floor. It runs on threads of its own with a runtime each, so that a
//! client never moves between cores, and every wait in it ends.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::{Fault, interrupt};

/// Threads that the clients of one round share; a single client has one.
pub const CLIENT_THREADS: usize = 2;
/// How long the last request of a round, and making the connections, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who asks, waits for the answer and checks it.
pub trait Client: 'static {
    fn call(&mut self) -> impl Future<Output = Result<(), Fault>>;
}

/// Where clients come from. Called once on each thread; what it makes lives there.
pub trait Clients: Sync {
    type Client: Client;
    fn connect(&self, count: usize) -> impl Future<Output = Result<Vec<Self::Client>, Fault>>;
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Round {
    /// One for each request, in nanoseconds, sorted.
    latencies_ns: Vec<u64>,
    elapsed: Duration,
}

impl Round {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    /// How many requests were answered.
    #[allow(clippy::cast_precision_loss)]
    pub fn count(&self) -> f64 {
        self.latencies_ns.len() as f64
    }

    /// The latency that this share (0 to 1) of the requests did not exceed, in microseconds.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a list that fits into memory"
    )]
    pub fn quantile_us(&self, share: f64) -> f64 {
        let last = self.latencies_ns.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies_ns.get(index).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
    }
}

/// Runs one round. The first call that does not succeed ends it with an error.
pub fn run<C: Clients>(clients: &C, count: usize, length: Duration) -> Result<Round, Fault> {
    let threads = CLIENT_THREADS.min(count);
    let connected = Barrier::new(threads);
    let parts = std::thread::scope(|scope| {
        let share = |thread: usize| count / threads + usize::from(thread < count % threads);
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let connected = &connected;
                scope.spawn(move || on_thread(clients, share(thread), connected, length))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread of clients panicked".into())))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let mut round = Round::default();
    for part in parts {
        round.latencies_ns.extend(part.latencies_ns);
        round.elapsed = round.elapsed.max(part.elapsed);
    }
    if round.latencies_ns.is_empty() {
        return Err("no request was answered".into());
    }
    round.latencies_ns.sort_unstable();
    Ok(round)
}

fn on_thread<C: Clients>(
    clients: &C,
    count: usize,
    connected: &Barrier,
    length: Duration,
) -> Result<Round, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = LocalSet::new();
    let made = runtime.map_err(Fault::from).and_then(|runtime| {
        let made = local.block_on(&runtime, async { timeout(PATIENCE, clients.connect(count)).await })??;
        Ok((runtime, made))
    });
    // Also when it failed: the other threads wait here for this one.
    connected.wait();
    let (runtime, made) = made?;
    local.block_on(&runtime, async {
        let start = Instant::now();
        let end = start + length;
        let tasks: Vec<_> =
            made.into_iter().map(|client| tokio::task::spawn_local(ask(client, end))).collect();
        let mut round = Round::default();
        for task in tasks {
            round.latencies_ns.extend(timeout(length + PATIENCE, task).await???);
        }
        round.elapsed = start.elapsed();
        Ok(round)
    })
}

async fn ask(mut client: impl Client, end: Instant) -> Result<Vec<u64>, Fault> {
    let mut latencies_ns = Vec::with_capacity(4096);
    let mut before = Instant::now();
    // At least once, however short the round.
    loop {
        client.call().await?;
        if interrupt::came() {
            return Err("interrupted".into());
        }
        let after = Instant::now();
        latencies_ns.push(u64::try_from((after - before).as_nanos())?);
        if after >= end {
            return Ok(latencies_ns);
        }
        before = after;
    }
}
