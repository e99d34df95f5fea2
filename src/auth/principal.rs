//! The caller, as every operation, log line and revision names it.

use super::Roles;

/// The principal of calls that nobody authenticated.
pub const ANONYMOUS: &str = "anonymous";

/// Somebody, or something, that calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Stable, and unique among all ways to authenticate: `token:ci`, `client:ci-12345@policies.example.org/pcc`.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
}

impl Principal {
    /// Somebody with these roles.
    pub fn new(name: impl Into<String>, roles: Roles) -> Self {
        Principal { name: name.into(), roles }
    }

    /// Nobody in particular, who may do nothing that needs a role.
    pub fn anonymous() -> Self {
        Principal::new(ANONYMOUS, Roles::NONE)
    }
}
