//! The machine's own networks, as they stand now.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Each IPv4 address of the machine with its network, and the interface that has it.
pub(crate) fn networks() -> Vec<(String, Ipv4Net)> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    let one = |one: nix::ifaddrs::InterfaceAddress| {
        let ip = one.address.as_ref().and_then(ipv4)?;
        let mask = one.netmask.as_ref().and_then(ipv4);
        let net = mask.and_then(|mask| Ipv4Net::with_netmask(ip, mask).ok());
        Some((one.interface_name, net.unwrap_or_else(|| Ipv4Net::from(ip))))
    };
    all.filter_map(one).collect()
}

fn ipv4(address: &SockaddrStorage) -> Option<Ipv4Addr> {
    address.as_sockaddr_in().map(|found| found.ip())
}
