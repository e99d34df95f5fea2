//! Countersign, module by module.

pub mod wire;
pub mod pb;
pub mod policy;
pub mod store;
pub mod app;
pub mod rpc;
pub mod gateway;
pub mod telemetry;
pub mod config;
pub mod gateway;
pub mod pb;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod wire;
