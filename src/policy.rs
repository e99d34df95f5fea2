//! Policy documents: what is wrong with one, what it refers to, and what it means.
//!
//! A document is the protobuf message that the client sent. This is the only part of the program that looks inside one.
//! It is pure: no clock, no store, no randomness; whatever it needs to know is handed in. It reports every fault of a
//! document at once, each at its field path, and never stops at the first.

pub mod c1;
pub mod guardian;
pub mod path;
pub mod violations;

pub use path::Path;
pub use violations::{Place, Report, Violation, Violations, Warning};
