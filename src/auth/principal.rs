//! The caller, as every operation, log line and revision names it.

/// The principal of calls that nobody authenticated.
pub const ANONYMOUS: &str = "anonymous";

/// Somebody, or something, that calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Stable, and unique among all ways to authenticate.
    pub name: String,
}

impl Principal {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Principal { name: ANONYMOUS.to_owned() }
    }
}
