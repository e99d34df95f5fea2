//! Why a call is not let in.

use std::time::Duration;

use super::Roles;

/// What stands between a caller and an operation. The text of an error is for the log; what the caller reads is the
/// server's to say, and is the same for every credential that never counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credential came with the call. The caller should send one.
    #[error("no credential")]
    Missing,
    /// A credential came and does not count. The caller should get another.
    #[error("{0}")]
    Invalid(&'static str),
    /// A credential came that was a good one, and has ended. Only who has all of it hears this. The caller should get another.
    #[error("{0}")]
    Expired(&'static str),
    /// The principal has none of these roles. Somebody has to give it one.
    #[error("needs the role {needs}")]
    Forbidden { needs: Roles },
    /// Too much at one time. The caller should come back.
    #[error("{what}")]
    Exhausted { what: String, retry_after: Duration },
    /// The credential cannot be checked now. The caller should come back.
    #[error("{0}")]
    Unavailable(&'static str),
}
