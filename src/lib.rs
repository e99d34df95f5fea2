//! The frame's modules; the lead's `lib.rs` replaces this file at the merge.

pub mod cli;
pub mod config;
pub mod server;
pub mod telemetry;
