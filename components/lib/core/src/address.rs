//! Which addresses may be dialled. The rule is asked for every address that a name resolves to, on every hop.
//!
//! Anything that is not plainly a public unicast address is refused: the ranges of the IANA special-purpose registries
//! that are not globally reachable (RFC 6890 and its updates), the ones that a plain "private" check lets through, and
//! every form that embeds an IPv4 address, since a translator on the way would dial the embedded one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv6Net};

/// IPv4 ranges that are refused, with their prefix lengths.
const IPV4_REFUSED: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8), // this network; 0.0.0.0 reaches the own host
    (Ipv4Addr::new(10, 0, 0, 0), 8), // private
    (Ipv4Addr::new(100, 64, 0, 0), 10), // shared address space of carriers, and of some cloud metadata services
    (Ipv4Addr::new(127, 0, 0, 0), 8),   // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's host agent, on a public address
    (Ipv4Addr::new(169, 254, 0, 0), 16), // link local, cloud metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12), // private
    (Ipv4Addr::new(192, 0, 0, 0), 24), // IETF protocol assignments, the two anycast ones among them
    (Ipv4Addr::new(192, 0, 2, 0), 24), // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24), // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24), // AMT relays
    (Ipv4Addr::new(192, 88, 99, 0), 24), // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16), // private
    (Ipv4Addr::new(192, 175, 48, 0), 24), // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15), // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24), // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),  // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),  // reserved, limited broadcast
];

/// Refused ranges inside 2000::/3, the only block from which global unicast addresses are given out. What lies outside
/// (loopback, mapped, compatible, SIIT, NAT64, discard-only, SRv6, unique local, link local, multicast) is refused whole.
const IPV6_REFUSED: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF protocol assignments; Teredo is 2001::/32
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether the address is a public unicast one that embeds no other.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let bits = ip.to_bits();
    !IPV4_REFUSED
        .iter()
        .any(|&(network, prefix)| (bits ^ network.to_bits()) >> (32 - u32::from(prefix)) == 0)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let bits = ip.to_bits();
    let global_unicast = bits >> 125 == 0b001;
    global_unicast
        && !is_isatap(ip)
        && !IPV6_REFUSED
            .iter()
            .any(|&(network, prefix)| (bits ^ network.to_bits()) >> (128 - u32::from(prefix)) == 0)
}

/// An ISATAP interface identifier carries an IPv4 address under any prefix (RFC 5214, section 6.1); the `u` and `g` bits vary.
fn is_isatap(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    segments[4] & !0x0300 == 0 && segments[5] == 0x5efe
}

/// What an operator decided about addresses, for scraping and for callbacks each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Networks that are opened although they are not public.
    pub allow: Vec<IpNet>,
    /// Listen addresses of this very service, refused even inside an opened network. One with the unspecified
    /// address (`0.0.0.0`, `::`) covers every address that is not public; which public ones are this machine's, only the machine knows.
    pub deny_own: Vec<SocketAddr>,
    /// The NAT64 prefix of the operator's network (RFC 6052: /32, /40, /48, /56, /64 or /96). Addresses under it are
    /// judged by the IPv4 address that they embed; without it they are refused.
    pub nat64_prefix: Option<IpNet>,
}

/// A network in CIDR notation, or a single address as the network of it alone; `None` when the text is neither.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}

impl AddressPolicy {
    /// Whether this address and port may be dialled.
    #[must_use]
    pub fn permits(&self, address: SocketAddr) -> bool {
        let ip = self.unwrapped(address.ip());
        self.permits_ip(address.ip()) && !self.is_own(SocketAddr::new(ip, address.port()))
    }

    /// Whether an address may be dialled on any port that is not our own.
    fn permits_ip(&self, ip: IpAddr) -> bool {
        if contains(&self.allow, ip) {
            return true;
        }
        let inner = self.unwrapped(ip);
        is_public(inner) || (inner != ip && contains(&self.allow, inner))
    }

    /// The embedded IPv4 address when `ip` lies under the operator's NAT64 prefix, else `ip` itself.
    fn unwrapped(&self, ip: IpAddr) -> IpAddr {
        match (self.nat64_prefix, ip) {
            (Some(IpNet::V6(prefix)), IpAddr::V6(v6)) if prefix.contains(&v6) => {
                embedded_ipv4(prefix, v6).map_or(ip, IpAddr::V4)
            }
            _ => ip,
        }
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.deny_own.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            own.port() == address.port()
                // Whoever connects to the unspecified address comes to this machine.
                && (own_ip == ip || ip.is_unspecified() || (own_ip.is_unspecified() && !is_public(ip)))
        })
    }
}

/// Whether one of the networks contains the address, exactly as written: a mapped address is not its IPv4 address.
pub(crate) fn contains(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// The IPv4 address inside an address under a NAT64 prefix (RFC 6052, section 2.2); bits 64 to 71 are always skipped.
fn embedded_ipv4(prefix: Ipv6Net, ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    let at: [usize; 4] = match prefix.prefix_len() {
        32 => [4, 5, 6, 7],
        40 => [5, 6, 7, 9],
        48 => [6, 7, 9, 10],
        56 => [7, 9, 10, 11],
        64 => [9, 10, 11, 12],
        96 => [12, 13, 14, 15],
        _ => return None,
    };
    Some(Ipv4Addr::from(at.map(|i| octets[i])))
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
