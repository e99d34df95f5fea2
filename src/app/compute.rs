//! Work that takes the processor for long: off the threads that serve connections, no more of it at once than there are
//! processors, and told to stop when nobody waits for it any more.

use super::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// The room for such work.
#[derive(Clone, Debug)]
pub(super) struct Compute {
    permits: Arc<Semaphore>,
}

impl Default for Compute {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Compute { permits: Arc::new(Semaphore::new(processors)) }
    }
}

/// Says stop when it is dropped.
#[derive(Debug, Default)]
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Compute {
    /// Runs `work` and waits for it. It is handed what becomes true once nobody waits any more.
    ///
    /// # Errors
    /// [`Error::Internal`] if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<AtomicBool>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let waiting = Waiting::default();
        let stop = waiting.stop();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Error::Internal("the room for work is closed".to_owned()))?;
        let done = tokio::task::spawn_blocking(move || {
            // Given back when the work has ended, not when nobody waits for it any more.
            let _permit = permit;
            work(&stop)
        });
        done.await.map_err(|error| Error::Internal(format!("the work did not end: {error}")))
    }
}
