//! A log writer that never waits for the reader of the log.
//!
//! Lines are appended to a buffer in memory; one thread writes the buffer out, many lines with one system call. When the
//! reader does not keep up and the buffer is full, lines are dropped and counted, and the count is written as soon as
//! there is room: a service that stops answering because nobody reads its log is worse than a gap in the log.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait to be written.
const BUFFER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long lines are gathered before they are written together.
const GATHER_MS: u64 = 5;

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    dropped: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    changed: Condvar,
}

impl Shared {
    /// The buffer holds plain bytes, so that a panic while it was locked cannot have broken it.
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer that log lines go to.
#[derive(Debug, Clone)]
pub struct Sink(Arc<Shared>);

/// Writes out what is left when it is dropped.
#[derive(Debug)]
pub struct Flush {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts the thread that writes to `out`.
    pub fn start(out: impl Write + Send + 'static) -> (Self, Flush) {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        // Without a thread nothing is logged, but the service can still run.
        let thread =
            std::thread::Builder::new().name("log".into()).spawn(move || drain(&for_thread, out)).ok();
        (Self(Arc::clone(&shared)), Flush { shared, thread })
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock();
        if buffer.lines.len().saturating_add(line.len()) > BUFFER_MAX_BYTES {
            buffer.dropped = buffer.dropped.saturating_add(1);
            return Ok(line.len());
        }
        let was_empty = buffer.lines.is_empty();
        buffer.lines.extend_from_slice(line);
        drop(buffer);
        if was_empty {
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn drain(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let mut buffer = shared.lock();
        while buffer.lines.is_empty() && !buffer.closed {
            buffer = shared.changed.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        if !buffer.closed {
            // Waking for every line would cost more than the line.
            let gather = Duration::from_millis(GATHER_MS);
            let wait = shared.changed.wait_timeout_while(buffer, gather, |buffer| !buffer.closed);
            buffer = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut buffer.lines, &mut batch);
        let dropped = std::mem::take(&mut buffer.dropped);
        let closed = buffer.closed;
        drop(buffer);
        // Nobody is left to tell when standard error is gone.
        let _ = out.write_all(&batch);
        if dropped > 0 {
            let _ = writeln!(out, "{dropped} log lines were dropped because they were not read in time");
        }
        let _ = out.flush();
        batch.clear();
        if closed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_not_the_writer() {
        let (sender, reader) = mpsc::sync_channel(0);
        let (mut sink, flush) = Sink::start(Pipe(sender));
        let line = vec![b'x'; 1024 * 1024];
        // Nobody reads: the first batches fill the buffer, and the rest return at once all the same.
        for _ in 0..64 {
            sink.write_all(&line).unwrap();
        }
        let reading = std::thread::spawn(move || reader.iter().flatten().collect::<Vec<u8>>());
        drop(flush);
        drop(sink);
        let read = String::from_utf8(reading.join().unwrap()).unwrap();
        assert!(read.contains("log lines were dropped"), "{} bytes", read.len());
        assert!(read.len() < 16 * 1024 * 1024);
    }

    #[test]
    fn dropping_the_guard_writes_what_is_left() {
        let (sender, reader) = mpsc::sync_channel(16);
        let (mut sink, flush) = Sink::start(Pipe(sender));
        sink.write_all(b"last words\n").unwrap();
        drop(flush);
        assert_eq!(reader.try_iter().flatten().collect::<Vec<u8>>(), b"last words\n");
    }
}
