//! Who counts as one client, for every limit by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where people and proxies on this machine come from: not one client, so no limit per client counts them. The other
/// addresses of 127.0.0.0/8 are ordinary clients; nobody has them without asking for them.
pub const THIS_MACHINE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The network that stands for `address`: one customer of an access provider holds a whole /64 of IPv6, so its addresses count
/// as one. An IPv4 address is itself, also where IPv6 wraps it.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The network to count a request of `address` for; `None` when it comes from this machine.
#[must_use]
pub fn counted(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    (!THIS_MACHINE.contains(&address)).then(|| network(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1")));
        assert_ne!(network(ip("2001:db8::1")), network(ip("2001:db8:0:1::1")));
        assert_ne!(network(ip("192.0.2.1")), network(ip("192.0.2.2")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn this_machine_is_not_counted() {
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(counted(ip(here)), None, "{here}");
        }
        for other in ["127.0.0.2", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(counted(ip(other)), Some(network(ip(other))));
        }
    }
}
