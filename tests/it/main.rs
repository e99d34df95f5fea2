//! The one integration binary: everything the crate promises, over real sockets, each test with a data directory of its
//! own and nothing but loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and may print"
)]

mod analyse;
mod audit;
mod auth;
mod browser;
mod check;
mod compare;
mod compare_command;
mod config;
mod differential;
mod disk;
mod draw;
mod examples;
mod expr;
mod guardian_expr;
mod gateway;
mod grpc;
mod guardian;
mod harness;
mod import;
mod kill;
mod openapi;
mod packaging;
mod pages;
mod races;
mod readme;
mod reference;
mod remote;
mod scenario;
mod scenarios;
mod server;
mod simulate;
mod simulate_command;
mod store_sled;
mod store_suite;
mod stored_commands;
mod strain;
mod test_command;
mod tidy;
mod traces;
mod wire;
mod workflow;
