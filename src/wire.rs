//! Protobuf bytes seen through descriptors, compiled once to tables: reading the wire, checking it, the proto3 JSON
//! mapping in both directions, and field masks.
//!
//! Everything here is pure: bytes in, bytes out; no I/O, no clock, no logging, and nothing of this crate is imported.
//! It works with any descriptor pool and knows no message by name except Google's well-known types. No input may make
//! it panic, recurse without bound, or use more than a small multiple of the input's size.
//!
//! Why not `prost_reflect::DynamicMessage`: it builds a tree of boxed values per message (ten times slower than the
//! wire form), keeps maps in a hash map, so that the order of a client's JSON keys is lost, and lets the last of two
//! equal JSON keys win in silence. `docs/decisions/` has the numbers.
//!
//! - [`Schema`] and [`Type`]: the compiled tables.
//! - [`Fields`]: an iterator over the fields of one message's bytes.
//! - [`check`]: would these bytes decode, and can every part of them be printed as JSON?
//! - [`json`]: wire bytes to JSON text, JSON text to wire bytes, query parameters to wire bytes.
//! - [`mask`]: parsing field masks and merging two messages under one.

mod check;
pub mod json;
mod map_key;
pub mod mask;
mod read;
mod schema;
mod write;

pub use check::check;
pub use read::{Field, Fields, Flaw, Malformed, Raw};
pub use schema::{Schema, Type};

/// Levels of nested messages (the outermost counts as one, entries of maps count) that a message may have, whether it comes
/// as bytes or as JSON. prost refuses to decode more than 100 below the outermost; the rest is room for the envelopes that
/// answers and records add. In free-form JSON an object costs three of these (value, object, entry) and a list two.
pub const MESSAGE_DEPTH_MAX_LEVELS: usize = 64;
