//! Countersign, module by module.

pub mod cli;
pub mod config;
pub mod gateway;
pub mod pb;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod wire;
