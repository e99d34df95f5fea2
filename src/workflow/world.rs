//! The world in which a workflow runs: one request, and everything that is known about people and resources.
//!
//! Plain data, made once for many requests; [`Directory`] answers what expressions ask, through the trait of `expr`. Knows no
//! wire type. What is not in a directory does not exist: a question about it has the empty answer.

mod directory;
mod request;

pub use directory::{Account, App, Directory, EntitlementInfo, Person, Resource};
pub use request::{Appeal, Request, TaskKind};
