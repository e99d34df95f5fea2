//! One integration binary over real sockets.

mod config;
mod server;
