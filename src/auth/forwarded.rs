//! `x-forwarded-client-cert`: what a proxy says about the certificate of its client (Envoy's form). It counts only when it
//! comes from a peer that is listed; from everybody else it is as if it were not there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;
use serde::{Deserialize, Deserializer, de};

use super::{Peer, PeerCertificate};

/// The header.
pub const X_FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// A mesh has a few networks of proxies.
const NETWORKS_MAX: usize = 64;

/// How unix sockets are listed, all who may connect to one.
const UNIX: &str = "unix";

/// Addresses of peers: `none`, or `10.0.0.0/8,127.0.0.1,unix`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    networks: Vec<(IpAddr, u8)>,
    unix: bool,
}

impl Peers {
    /// Whether nobody is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a peer is among them.
    #[must_use]
    pub fn has(&self, peer: Peer) -> bool {
        let Some(peer) = peer.ip() else { return self.unix };
        let peer = peer.to_canonical();
        self.networks.iter().any(|(network, bits)| match (network, peer) {
            (IpAddr::V4(network), IpAddr::V4(peer)) => {
                same(network.to_bits().into(), peer.to_bits().into(), 32 - bits)
            }
            (IpAddr::V6(network), IpAddr::V6(peer)) => same(network.to_bits(), peer.to_bits(), 128 - bits),
            _ => false,
        })
    }
}

/// Whether two addresses are the same but for their last bits.
fn same(one: u128, other: u128, free_bits: u8) -> bool {
    // Shifting by all bits leaves nothing, and nothing is the same.
    one.checked_shr(free_bits.into()) == other.checked_shr(free_bits.into())
}

impl FromStr for Peers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        let network = |text: &str| {
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().ok()?;
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(all), |bits| bits.parse().ok().filter(|bits| *bits <= all))?;
            Some((address, bits))
        };
        let (unix, others): (Vec<_>, Vec<_>) = text.split(',').map(str::trim).partition(|part| *part == UNIX);
        let networks: Option<Vec<_>> = others.into_iter().map(network).collect();
        match networks {
            Some(networks) if networks.len() <= NETWORKS_MAX => Ok(Self { networks, unix: !unix.is_empty() }),
            Some(_) => Err(format!("more than {NETWORKS_MAX} networks")),
            None => {
                Err("expected none, or addresses and networks like 10.0.0.0/8,127.0.0.1, or unix".to_owned())
            }
        }
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(|(address, bits)| format!("{address}/{bits}"));
        let listed: Vec<_> = networks.chain(self.unix.then(|| UNIX.to_owned())).collect();
        f.write_str(if listed.is_empty() { "none" } else { "" })?;
        f.write_str(&listed.join(","))
    }
}

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The certificate that the header tells of: that of the client of the proxy that we speak with, which is the last one.
///
/// # Errors
/// A header that is there and tells of none, or is there twice.
pub(super) fn certificate(headers: &HeaderMap) -> Result<Option<PeerCertificate>, &'static str> {
    let mut values = headers.get_all(X_FORWARDED_CLIENT_CERT).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("more than one x-forwarded-client-cert");
    }
    let text = value.to_str().map_err(|_| "an x-forwarded-client-cert that is not ASCII")?;
    let last = split(text, ',').pop().unwrap_or_default();
    let mut certificate = PeerCertificate::default();
    for pair in split(&last, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "uri" if !value.is_empty() => certificate.uris.push(value),
            "dns" if !value.is_empty() => certificate.dns_names.push(value),
            "subject" => certificate.common_name = common_name(&value),
            _ => {}
        }
    }
    match certificate.name() {
        Some(_) => Ok(Some(certificate)),
        None => Err("an x-forwarded-client-cert that names nobody"),
    }
}

/// Splits where no quotes are open.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for letter in text.chars() {
        if letter == at && !quoted {
            parts.push(String::new());
            continue;
        }
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut escaped = false;
    for letter in inner.chars() {
        if letter == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(letter);
        }
    }
    out
}

/// The common name in a subject, as RFC 2253 or OpenSSL writes it: `CN=x,O=y` or `/C=z/CN=x`.
fn common_name(subject: &str) -> Option<String> {
    // With an escape in it, what looks like a name may be part of another's value.
    if subject.contains('\\') {
        return None;
    }
    let parts = if subject.starts_with('/') { subject.split('/') } else { subject.split(',') };
    let mut names = parts.filter_map(|part| part.trim().strip_prefix("CN="));
    let name = names.next().filter(|name| !name.is_empty())?;
    // Two names are more than we can tell apart.
    names.next().is_none().then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn networks_and_who_is_in_them() {
        let peers: Peers = "10.0.0.0/8, 127.0.0.1,2001:db8::/32".parse().unwrap();
        let at = |address: &str| Peer::Tcp(SocketAddr::new(address.parse().unwrap(), 1));
        for (peer, is) in [
            ("10.1.2.3", true),
            ("11.0.0.1", false),
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(peers.has(at(peer)), is, "{peer}");
        }
        assert!("0.0.0.0/0".parse::<Peers>().unwrap().has(at("1.2.3.4")));
        assert!("::/0".parse::<Peers>().unwrap().has(at("::1")));
        assert_eq!(peers.to_string().parse::<Peers>().unwrap(), peers);
        let socket = Peer::Unix { uid: Some(0), pid: Some(1) };
        assert!(!peers.has(socket) && !"0.0.0.0/0,::/0".parse::<Peers>().unwrap().has(socket));
        let with_socket: Peers = "127.0.0.1,unix".parse().unwrap();
        assert!(with_socket.has(socket) && with_socket.has(at("127.0.0.1")) && !with_socket.has(at("::1")));
        assert_eq!(with_socket.to_string(), "127.0.0.1/32,unix");
        assert!("unix".parse::<Peers>().is_ok_and(|peers| !peers.is_empty() && !peers.has(at("127.0.0.1"))));
        assert_eq!("none".parse::<Peers>().unwrap().to_string(), "none");
        for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8,", "example.org"] {
            assert!(wrong.parse::<Peers>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_certificate_counts() {
        for (text, name) in [
            ("By=spiffe://a/us;Hash=00;URI=spiffe://a/them", Some("spiffe://a/them")),
            ("URI=spiffe://a/far,By=spiffe://a/us;URI=spiffe://a/near", Some("spiffe://a/near")),
            (r#"Hash=00;Subject="CN=x;y,O=z";DNS=x.example.org"#, Some("x.example.org")),
            (r#"Subject="CN=ci,O=Example, Inc";URI="#, Some("ci")),
            (r#"Subject="/C=DE/CN=ci""#, Some("ci")),
            (r#"Subject="O=\"URI=spiffe://a/admin\",CN=ci""#, Some("ci")),
            (r#"Subject="CN=a,CN=b""#, None),
            (r#"Subject="O=x\\,CN=admin""#, None),
            ("Hash=00", None),
            ("", None),
            ("=;=,;", None),
        ] {
            let headers =
                HeaderMap::from_iter([(X_FORWARDED_CLIENT_CERT.parse().unwrap(), text.parse().unwrap())]);
            let found = certificate(&headers).ok().flatten();
            assert_eq!(found.as_ref().and_then(PeerCertificate::name), name, "{text}");
        }
        assert_eq!(certificate(&HeaderMap::new()), Ok(None));
    }
}
