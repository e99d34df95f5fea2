//! The binary: calls `cli` and turns its error into a sentence and an exit code. Nothing else belongs here.

use std::process::ExitCode;

/// A request makes some hundreds of small allocations, many of which are freed on another thread; the system's allocator
/// took a seventh of the time of a write for them (`docs/decisions/0002-dependencies.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match countersign::cli::run(std::env::args_os(), std::env::vars_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
