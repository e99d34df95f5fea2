//! Who is calling: a principal, and what the transport proved about a peer. Knows no request and no policy.

mod peer;
mod principal;

pub use peer::PeerCertificate;
pub use principal::{ANONYMOUS, Principal};
