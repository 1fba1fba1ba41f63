use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// First and last address of each refused range; the addresses just outside are public unless a neighbour covers them.
const REFUSED: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.31.196.0", "192.31.196.255"),
    ("192.52.193.0", "192.52.193.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("192.175.48.0", "192.175.48.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),
    ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

fn before(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|b| IpAddr::V4(b.into())),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|b| IpAddr::V6(b.into())),
    }
}

fn after(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|b| IpAddr::V4(b.into())),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|b| IpAddr::V6(b.into())),
    }
}

fn in_a_refused_range(ip: IpAddr) -> bool {
    REFUSED.iter().any(|(first, last)| {
        let (first, last) = (self::ip(first), self::ip(last));
        first.is_ipv4() == ip.is_ipv4() && first <= ip && ip <= last
    })
}

#[test]
fn ranges_are_refused_up_to_their_borders_and_no_further() {
    for (first, last) in REFUSED {
        let (first, last) = (ip(first), ip(last));
        assert!(!is_public(first), "{first}");
        assert!(!is_public(last), "{last}");
        for outside in [before(first), after(last)].into_iter().flatten() {
            assert_eq!(
                is_public(outside),
                !in_a_refused_range(outside),
                "{outside}"
            );
        }
    }
}

#[test]
fn every_16_bit_block_of_ipv4_agrees_with_the_table_of_borders() {
    for block in 0..=0xffff_u32 {
        for low in [0, 0x0001, 0x8110, 0xffff] {
            let ip = IpAddr::V4((block << 16 | low).into());
            assert_eq!(is_public(ip), !in_a_refused_range(ip), "{ip}");
        }
    }
}

#[test]
fn well_known_public_addresses_pass() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "9.9.9.9",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "168.63.129.15",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:81b::200e",
        "2620:fe::fe",
    ] {
        assert!(is_public(ip(text)), "{text}");
    }
}

#[test]
fn embedded_ipv4_is_refused_whole_even_when_the_inner_address_is_public() {
    for text in [
        "::ffff:8.8.8.8",            // mapped
        "::8.8.8.8",                 // compatible
        "::ffff:0:8.8.8.8",          // SIIT
        "64:ff9b::8.8.8.8",          // NAT64, well-known
        "64:ff9b:1::8.8.8.8",        // NAT64, local
        "2002:808:808::1",           // 6to4
        "2001:0:808:808::f7f7:f7f7", // Teredo
        "2606:4700::5efe:8.8.8.8",   // ISATAP, private bit
        "2606:4700::200:5efe:8.8.8.8",
        "2606:4700::100:5efe:7f00:1",
        "2606:4700::300:5efe:7f00:1",
        "fe80::5efe:127.0.0.1",
    ] {
        assert!(!is_public(ip(text)), "{text}");
    }
}

#[test]
fn names_from_the_rules_are_refused() {
    for text in [
        "64:ff9b::1",
        "64:ff9b:1::1",
        "100::1",
        "100:0:0:1::1",
        "2001:2::1",
        "2001:4:112::1",
        "2001:20::1",
        "2620:4f:8000::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "::1",
        "::",
    ] {
        assert!(!is_public(ip(text)), "{text}");
    }
}

fn policy(allow: &[&str], own: &[&str], nat64: Option<&str>) -> AddressPolicy {
    AddressPolicy {
        allow: allow.iter().map(|n| n.parse().unwrap()).collect(),
        deny_own: own.iter().map(|a| a.parse().unwrap()).collect(),
        nat64_prefix: nat64.map(|n| n.parse().unwrap()),
    }
}

fn permits(policy: &AddressPolicy, address: &str) -> bool {
    policy.permits(address.parse().unwrap())
}

#[test]
fn an_opened_network_opens_just_itself() {
    let policy = policy(&["10.1.0.0/16", "::1/128"], &[], None);
    assert!(permits(&policy, "10.1.2.3:5555"));
    assert!(permits(&policy, "[::1]:80"));
    assert!(permits(&policy, "8.8.8.8:80"));
    assert!(!permits(&policy, "10.2.0.0:80"));
    assert!(!permits(&policy, "127.0.0.1:80"));
    assert!(!permits(&policy, "[::ffff:10.1.2.3]:80"));
}

#[test]
fn own_listeners_are_refused_even_where_the_network_is_open() {
    let exact = policy(
        &["127.0.0.0/8", "::ffff:127.0.0.0/104"],
        &["127.0.0.1:3000"],
        None,
    );
    assert!(!permits(&exact, "127.0.0.1:3000"));
    assert!(!permits(&exact, "[::ffff:127.0.0.1]:3000"));
    assert!(permits(&exact, "127.0.0.1:3001"));
    assert!(permits(&exact, "127.0.0.2:3000"));
    let any = policy(&["127.0.0.0/8", "10.0.0.0/8"], &["0.0.0.0:3000"], None);
    assert!(!permits(&any, "127.0.0.2:3000"));
    assert!(!permits(&any, "10.0.0.9:3000"));
    assert!(permits(&any, "8.8.8.8:3000"));
    let all = policy(&["0.0.0.0/0", "::/0"], &["127.0.0.1:3000"], None);
    for unspecified in ["0.0.0.0:3000", "[::]:3000", "[::ffff:0.0.0.0]:3000"] {
        assert!(!permits(&all, unspecified), "{unspecified}");
    }
    assert!(permits(&all, "0.0.0.0:3001"));
}

#[test]
fn a_stated_nat64_prefix_is_unwrapped_and_its_inside_checked() {
    let well_known = policy(&[], &["93.184.216.34:80"], Some("64:ff9b::/96"));
    assert!(permits(&well_known, "[64:ff9b::8.8.8.8]:80"));
    assert!(!permits(&well_known, "[64:ff9b::127.0.0.1]:80"));
    assert!(!permits(&well_known, "[64:ff9b::169.254.169.254]:80"));
    assert!(
        !permits(&well_known, "[64:ff9b::93.184.216.34]:80"),
        "own listener"
    );
    assert!(
        !permits(&well_known, "[64:ff9b:1::8.8.8.8]:80"),
        "another prefix"
    );
    let opened = policy(&["10.0.0.0/8"], &[], Some("64:ff9b::/96"));
    assert!(permits(&opened, "[64:ff9b::10.0.0.1]:80"));
}

#[test]
fn nat64_prefixes_of_every_length_embed_as_in_rfc_6052() {
    // Section 2.4 of the RFC: 192.0.2.33 under 2001:db8::/32 and its longer kin.
    for (prefix, address) in [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ] {
        let IpNet::V6(prefix) = prefix.parse().unwrap() else {
            unreachable!()
        };
        let found = embedded_ipv4(prefix, address.parse().unwrap());
        assert_eq!(found, Some(Ipv4Addr::new(192, 0, 2, 33)), "{prefix}");
    }
    let odd = policy(&[], &[], Some("2001:db8::/33"));
    assert!(
        !permits(&odd, "[2001:db8::8.8.8.8]:80"),
        "a length that the RFC does not know"
    );
}
