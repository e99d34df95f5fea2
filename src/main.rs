//! The binary: calls `cli` and turns its error into a sentence and an exit code. Nothing else belongs here.

use std::process::ExitCode;

fn main() -> ExitCode {
    match countersign::cli::run(std::env::args_os(), std::env::vars_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
