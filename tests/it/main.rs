//! The integration tests: one binary, cases as data under `tests/it/data/`.

mod config;
mod gateway;
mod server;
