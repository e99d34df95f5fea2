//! What is known of a peer before it has said anything: where it calls from, and what its verified certificate says.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a call comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over a network, this machine's own included.
    Tcp(SocketAddr),
    /// Over a unix socket: the user and the process at its other end, where the kernel says so.
    Unix { uid: Option<u32>, pid: Option<i32> },
}

impl Peer {
    /// Its address in the network.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix { .. } => None,
        }
    }

    /// What is counted as one, however many connections it makes.
    pub(super) fn origin(self) -> Origin {
        match self {
            Self::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(address) => Origin::Network(IpAddr::V4(address)),
                // A peer has a whole /64 to call from.
                IpAddr::V6(address) => {
                    Origin::Network(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
                }
            },
            Self::Unix { uid, .. } => Origin::User(uid),
        }
    }
}

/// As the log shows it: `192.0.2.1:50000`, or `unix:uid=1000,pid=4711`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid: Some(uid), pid: Some(pid) } => write!(f, "unix:uid={uid},pid={pid}"),
            Self::Unix { uid: Some(uid), pid: None } => write!(f, "unix:uid={uid}"),
            Self::Unix { .. } => f.write_str("unix"),
        }
    }
}

/// Who may be several peers, and counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Network(IpAddr),
    User(Option<u32>),
}

/// The names in a client certificate that the TLS handshake has verified against the configured authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// URI names, in the order of the certificate; a SPIFFE id is one of them.
    pub uris: Vec<String>,
    /// DNS names, in the order of the certificate.
    pub dns_names: Vec<String>,
    /// The common name of the subject.
    pub common_name: Option<String>,
}

impl PeerCertificate {
    /// The name that the holder goes by: the SPIFFE URI, else the first DNS name, else the common name.
    pub fn name(&self) -> Option<&str> {
        let spiffe = self.uris.iter().find(|uri| uri.starts_with("spiffe://"));
        spiffe.or(self.dns_names.first()).or(self.common_name.as_ref()).map(String::as_str)
    }
}
