//! The audit trail: who did what to which policy, with which mask and outcome.
//!
//! A write that takes effect brings its entry in its own batch ([`written`]), so that the one is never there without the
//! other; the store numbers and chains what batches bring (`store::journal`). A call that failed or was denied brings no
//! batch: its entry goes through a queue that never holds a caller up ([`Failures`]). [`Verifier`] says whether a trail is
//! whole, and is the same for one that is read from a store and one that is asked of a service.

mod failures;
mod list;
mod record;
mod verify;

pub use failures::{Attempt, OnDropped};
pub use verify::{Verified, Verifier, Witness, verify_store};

pub(super) use failures::Failures;
pub(super) use record::written;
