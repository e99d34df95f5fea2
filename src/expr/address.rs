//! `ip(...)` and `cidr(...)`: addresses and networks, and what may be asked of them.
//! An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is taken as the IPv4 address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip(IpAddr);

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl Ip {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let address: IpAddr = text.parse().map_err(|_| format!("\"{text}\" is no IP address"))?;
        Ok(address.into())
    }

    /// The field of this name, if there is one. The meanings are those of Go's `netip.Addr`.
    pub(super) fn field(self, name: &str) -> Option<bool> {
        let ip = self.0;
        let v6 = |test: fn(Ipv6Addr) -> bool| matches!(ip, IpAddr::V6(address) if test(address));
        let link_local_unicast = match ip {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        Some(match name {
            "is4" => ip.is_ipv4(),
            "is6" => ip.is_ipv6(),
            "isPrivate" => match ip {
                IpAddr::V4(address) => address.is_private(),
                IpAddr::V6(address) => address.is_unique_local(),
            },
            "isLoopback" => ip.is_loopback(),
            "isMulticast" => ip.is_multicast(),
            "isUnspecified" => ip.is_unspecified(),
            "isInterfaceLocalMulticast" => v6(|address| address.segments()[0] & 0xff0f == 0xff01),
            "isLinkLocalMulticast" => match ip {
                IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
                IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
            },
            "isLinkLocalUnicast" => link_local_unicast,
            "isGlobalUnicast" => {
                let broadcast = matches!(ip, IpAddr::V4(address) if address.is_broadcast());
                !(broadcast
                    || ip.is_unspecified()
                    || ip.is_loopback()
                    || ip.is_multicast()
                    || link_local_unicast)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One network or several: what `cidr("10.0.0.0/8", "fd00::/8")` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidr(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    pub(super) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        texts.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn contains(&self, ip: Ip) -> bool {
        self.0
            .iter()
            .any(|network| bits(network.address, network.prefix_bits) == bits(ip.0, network.prefix_bits))
    }
}

fn network(text: &str) -> Result<Network, String> {
    let wrong = || format!("\"{text}\" is no network like 10.0.0.0/8");
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix_bits: u8 = prefix.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    if prefix_bits > longest || prefix.starts_with('+') {
        return Err(wrong());
    }
    Ok(Network { address, prefix_bits })
}

/// The first `count` bits of the address, with its family: addresses of different families never agree.
fn bits(address: IpAddr, count: u8) -> (bool, u128) {
    let (family, all, width) = match address {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()), 32_u8),
        IpAddr::V6(address) => (true, address.to_bits(), 128),
    };
    (family, all.checked_shr(u32::from(width.saturating_sub(count))).unwrap_or(0))
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}/{}", network.address, network.prefix_bits)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let within = |ip: &str, net: &str| Cidr::parse([net]).unwrap().contains(Ip::parse(ip).unwrap());
        assert!(within("10.1.2.3", "10.0.0.0/8"));
        assert!(within("10.1.2.3", "10.9.9.9/8"), "host bits do not matter");
        assert!(!within("11.1.2.3", "10.0.0.0/8"));
        assert!(within("1.2.3.4", "0.0.0.0/0"));
        assert!(!within("::1", "0.0.0.0/0"));
        assert!(within("::ffff:10.0.0.1", "10.0.0.0/8"));
        assert!(within("fd00::1", "fd00::/8"));
        assert!(within("fd00::1", "fd00::1/128"));
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "10.0.0.0/-1", "10.0.0.0/+8"] {
            assert!(Cidr::parse([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_declared_field_is_known() {
        let ip = Ip::parse("169.254.1.1").unwrap();
        for name in crate::expr::schema::IP_FIELDS {
            assert!(ip.field(name).is_some(), "{name}");
        }
        assert_eq!(ip.field("isGlobalUnicast"), Some(false));
        assert_eq!(Ip::parse("ff02::1").unwrap().field("isLinkLocalMulticast"), Some(true));
    }
}
