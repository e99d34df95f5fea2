//! Countersign: a self-hosted service for access policies.
//!
//! **A policy is a small program.** A request comes in over gRPC or REST; the *document* in it is checked and brought
//! into shape by [`policy`], which reports every fault at its field path; [`app`] does with it what the call asks for;
//! [`store`] keeps it, and answers only once a power cut could not lose it. `ARCHITECTURE.md` follows one request from
//! the socket to the disk.
//!
//! The modules in reading order, from the middle outwards. Imports point one way; `ARCHITECTURE.md` has the table, and a
//! test reads it.

pub mod wire;
pub mod pb;
pub mod expr;
pub mod workflow;
pub mod policy;
pub mod store;
pub mod app;
pub mod rpc;
pub mod gateway;
pub mod auth;
pub mod telemetry;
pub mod config;
pub mod server;
pub mod cli;
