//! An interface's address and network, from what the kernel tells in `/proc/net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The first address of an interface with its network; IPv4 before IPv6.
pub(super) fn address_of(interface: &str) -> Option<IpNet> {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let four = v4(
        interface,
        &read("/proc/net/route"),
        &read("/proc/net/fib_trie"),
    );
    four.map(IpNet::V4)
        .or_else(|| v6(interface, &read("/proc/net/if_inet6")).map(IpNet::V6))
}

/// Interfaces with an IPv4 network, each once, without loopback.
pub(super) fn interfaces() -> Vec<String> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let mut names: Vec<String> = networks(&routes).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

/// The router of the default route, if it is on this network.
pub(super) fn router_in(net: &IpNet) -> Option<Ipv4Addr> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    gateways(&routes).find(|gateway| net.contains(&IpAddr::V4(*gateway)))
}

/// The DNS servers that this machine asks, as far as others can ask them too.
pub(super) fn resolvers() -> Vec<Ipv4Addr> {
    // Where a resolver of the machine's own stands between, its file has the real ones.
    let files = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
    let texts = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok());
    texts
        .map(|text| nameservers(&text))
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

fn nameservers(text: &str) -> Vec<Ipv4Addr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let named = words.next() == Some("nameserver");
        words.next().filter(|_| named)?.parse().ok()
    });
    servers.filter(|ip: &Ipv4Addr| !ip.is_loopback()).collect()
}

/// The local address that lies in a network which the interface is attached to.
fn v4(interface: &str, routes: &str, trie: &str) -> Option<Ipv4Net> {
    let nets = networks(routes).filter(|(name, _)| name == interface);
    nets.into_iter().find_map(|(_, net)| {
        let local = locals(trie).find(|address| net.contains(address))?;
        Ipv4Net::new(local, net.prefix_len()).ok()
    })
}

/// Attached networks: routes without a gateway, and not the default one.
fn networks(routes: &str) -> impl Iterator<Item = (String, Ipv4Net)> {
    let attached = |route: &Route| route.gateway.is_unspecified() && route.to.prefix_len() > 0;
    each_route(routes)
        .filter(attached)
        .map(|route| (route.interface, route.to))
}

/// Routers of default routes.
fn gateways(routes: &str) -> impl Iterator<Item = Ipv4Addr> {
    let default = |route: &Route| !route.gateway.is_unspecified() && route.to.prefix_len() == 0;
    each_route(routes)
        .filter(default)
        .map(|route| route.gateway)
}

/// A line of `/proc/net/route`.
struct Route {
    interface: String,
    to: Ipv4Net,
    gateway: Ipv4Addr,
}

fn each_route(routes: &str) -> impl Iterator<Item = Route> {
    routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The kernel writes addresses as numbers of the machine's own order.
        let address = |at: usize| {
            let number = u32::from_str_radix(fields.get(at)?, 16).ok()?;
            Some(Ipv4Addr::from(number.to_ne_bytes()))
        };
        Some(Route {
            interface: fields.first().copied().unwrap_or_default().to_owned(),
            to: Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?,
            gateway: address(2)?,
        })
    })
}

/// The machine's own addresses: leaves of the trie that are `host LOCAL`.
fn locals(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let lines = trie.lines().map(str::trim);
    lines
        .clone()
        .zip(lines.skip(1))
        .filter(|(_, kind)| kind.starts_with("/32 host LOCAL"))
        .filter_map(|(leaf, _)| leaf.trim_start_matches("|-- ").parse().ok())
}

/// Each line: address, index, prefix length, scope, flags, name; numbers in hex. Scope 00 is
/// global.
fn v6(interface: &str, addresses: &str) -> Option<Ipv6Net> {
    addresses.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.get(5) == Some(&interface) && fields.get(3) == Some(&"00");
        let address = u128::from_str_radix(fields.first()?, 16).ok()?;
        let length = u8::from_str_radix(fields.get(2)?, 16).ok()?;
        let net = Ipv6Net::new(Ipv6Addr::from(address), length).ok()?;
        ours.then_some(net)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n           \
        |-- 127.0.0.1\n              /32 host LOCAL\n           |-- 192.0.2.2\n              /32 host LOCAL\n        \
        |-- 192.0.2.255\n           /32 link BROADCAST\n";

    #[test]
    fn an_address_is_found_by_its_network() {
        // The kernel's own form on this machine's order of octets.
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
        let line = |name: &str, to, gateway, mask| {
            let (to, gateway, mask) = (hex(to), hex(gateway), hex(mask));
            format!("{name}\t{to}\t{gateway}\t0001\t0\t0\t0\t{mask}\t0\n")
        };
        let zero = [0; 4];
        let routes = [
            head.to_owned(),
            line("eth0", zero, [192, 0, 2, 1], zero),
            line("eth0", [192, 0, 2, 0], zero, [255, 255, 255, 0]),
        ]
        .concat();
        let found = v4("eth0", &routes, TRIE).map(|net| net.to_string());
        assert_eq!(found.as_deref(), Some("192.0.2.2/24"));
        assert_eq!(v4("eth1", &routes, TRIE), None);
        let routers: Vec<String> = gateways(&routes).map(|ip| ip.to_string()).collect();
        assert_eq!(routers, ["192.0.2.1"]);
    }

    #[test]
    fn a_resolver_on_loopback_is_nobody_s() {
        let text = "# a comment\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n\
                    search example.net\n";
        assert_eq!(nameservers(text), [Ipv4Addr::new(192, 0, 2, 53)]);
    }

    #[test]
    fn a_global_v6_address_is_found() {
        let lines = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                     20010db8000000000000000000000002 04 40 00 82     eth0\n";
        let found = v6("eth0", lines).map(|net| net.to_string());
        assert_eq!(found.as_deref(), Some("2001:db8::2/64"));
        assert_eq!(v6("eth1", lines), None);
    }
}
