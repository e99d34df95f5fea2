//! A run that is told to stop ends as a run that fails: the children are killed and the data directories removed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

static CAME: AtomicBool = AtomicBool::new(false);

/// Whether somebody wants this to stop. Rounds ask after every call.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

/// Listens for Ctrl-C and SIGTERM, on a thread of its own, for as long as the program runs.
pub fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            CAME.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}
