//! `[dhcp]`: how DHCP is served, and the networks.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::raw::{RawDhcp, RawSubnet};
use super::resolve::{Tell, prefix};
use super::values;
use crate::model::dhcp::{Dhcp, Mode, OWN_OPTIONS, Serve, Subnet};

/// Where the configuration says nothing, in seconds.
const LEASE_TIME: u32 = 3600;
/// Shorter leases would keep every client busy asking.
const LEAST_LEASE: u64 = 60;

impl Tell<'_, '_> {
    pub(super) fn dhcp(&self, raw: &RawDhcp) -> Dhcp {
        let line = raw.mode.as_ref().map_or(1, |mode| mode.line);
        let modes = ["off", "server", "observe", "inform"];
        let mode = match self.word("dhcp.mode", raw.mode.clone(), &modes, "off") {
            "server" => Mode::Server,
            "observe" => Mode::Observe,
            "inform" => Mode::Inform,
            _ => Mode::Off,
        };
        let serve = ["all", "known", "known-and-recognised"];
        let serve = self.word(
            "dhcp.serve",
            raw.serve.clone(),
            &serve,
            "known-and-recognised",
        );
        let dhcp = Dhcp {
            mode,
            interfaces: self.each("dhcp.interface", raw.interface.clone(), interface),
            serve: match serve {
                "all" => Serve::All,
                "known" => Serve::Known,
                _ => Serve::KnownAndRecognised,
            },
            client_id: raw.client_id.as_ref().is_none_or(|at| at.value),
            relays: self.each("dhcp.relays", raw.relays.clone(), address),
            probe: raw.probe.as_ref().is_none_or(|at| at.value),
            allow_other: self.each("dhcp.allow_other", raw.allow_other.clone(), address),
            subnets: raw
                .subnets
                .iter()
                .filter_map(|raw| self.subnet(raw))
                .collect(),
        };
        if mode != Mode::Off && dhcp.interfaces.is_empty() {
            self.wrong(line, "dhcp.interface names no interface to listen on");
        }
        if mode == Mode::Server && raw.subnets.is_empty() {
            self.wrong(line, "dhcp.mode = \"server\" needs a [[dhcp.subnet]]");
        }
        for (at, subnet) in dhcp.subnets.iter().enumerate() {
            if dhcp
                .subnets
                .iter()
                .take(at)
                .any(|other| other.net == subnet.net)
            {
                self.wrong(line, format!("a second [[dhcp.subnet]] {}", subnet.net));
            }
        }
        dhcp
    }

    fn subnet(&self, raw: &RawSubnet) -> Option<Subnet> {
        if raw.subnet.is_none() {
            self.wrong(raw.line, "this dhcp.subnet has no subnet");
        }
        let net = self.optional("dhcp.subnet.subnet", raw.subnet.clone(), network);
        let pools = self.each("dhcp.subnet.pools", raw.pools.clone(), range);
        let exclude = self.each("dhcp.subnet.exclude", raw.exclude.clone(), |text| {
            address(text).map(|one| (one, one)).or_else(|_| range(text))
        });
        let router = self.optional("dhcp.subnet.router", raw.router.clone(), address);
        let dns = self.each("dhcp.subnet.dns", raw.dns.clone(), address);
        let ntp = self.each("dhcp.subnet.ntp", raw.ntp.clone(), address);
        let domain = self.optional("dhcp.subnet.domain", raw.domain.clone(), values::host);
        let lease_time = self.optional("dhcp.subnet.lease_time", raw.lease_time.clone(), lease);
        let site = self.optional("dhcp.subnet.site", raw.site.clone(), values::name);
        let mut options = Vec::new();
        for (code, at) in &raw.options {
            let known = code
                .parse::<u8>()
                .ok()
                .filter(|code| (1..=254).contains(code));
            match known.map(|code| (code, option(code, &at.value))) {
                Some((code, Ok(octets))) => options.push((code, octets)),
                Some((code, Err(what))) => {
                    self.wrong(at.line, format!("dhcp.subnet.options.{code}: {what}"));
                }
                None => self.wrong(
                    at.line,
                    format!("dhcp.subnet.options: {code:?} is no option code"),
                ),
            }
        }
        options.sort_by_key(|(code, _)| *code);
        let net = net?;
        let ends = pools.iter().flat_map(|(from, to)| [from, to]);
        let relevant = ends.chain(router.iter());
        for outside in relevant.filter(|ip| !net.contains(*ip)) {
            self.wrong(
                raw.line,
                format!("{outside} lies outside dhcp.subnet {net}"),
            );
        }
        Some(Subnet {
            net,
            pools,
            exclude,
            router,
            dns,
            ntp,
            domain,
            lease_time: lease_time.unwrap_or(LEASE_TIME),
            site,
            options,
        })
    }
}

fn interface(text: &str) -> Result<String, String> {
    let good = (1..16).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of an interface, such as eth1"))
    }
}

fn network(text: &str) -> Result<Ipv4Net, String> {
    match prefix(text)? {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(_) => Err(format!("{text:?} is IPv6; DHCPv6 is not served")),
    }
}

fn address(text: &str) -> Result<Ipv4Addr, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is not an IPv4 address"))
}

fn range(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let ends = text
        .split_once('-')
        .and_then(|(from, to)| Some((address(from).ok()?, address(to).ok()?)));
    ends.filter(|(from, to)| from <= to)
        .ok_or_else(|| format!("{text:?} is not a range such as 10.99.10.0-10.99.99.255"))
}

fn lease(text: &str) -> Result<u32, String> {
    let seconds = values::duration(text)?.as_secs();
    let seconds = u32::try_from(seconds)
        .ok()
        .filter(|_| seconds >= LEAST_LEASE);
    seconds.ok_or_else(|| format!("{text:?} is not between 60s and 136 years"))
}

/// `hex:0a0b`, `ip:10.0.0.1,10.0.0.2`, `u8:5`, `u16:5`, `u32:5`, else a text.
fn option(code: u8, text: &str) -> Result<Vec<u8>, String> {
    if OWN_OPTIONS.contains(&code) {
        return Err("the server writes this option itself".to_owned());
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let read = match text.split_once(':') {
        Some(("hex", hex)) => octets(hex),
        Some(("ip", list)) => {
            let list: Result<Vec<Ipv4Addr>, String> = list.split(',').map(address).collect();
            Some(list?.iter().flat_map(Ipv4Addr::octets).collect())
        }
        Some(("u8", text)) => number(text)
            .and_then(|number| u8::try_from(number).ok())
            .map(|number| vec![number]),
        Some(("u16", text)) => number(text)
            .and_then(|number| u16::try_from(number).ok())
            .map(|number| number.to_be_bytes().to_vec()),
        Some(("u32", text)) => number(text).map(|number| number.to_be_bytes().to_vec()),
        Some(_) | None => Some(text.as_bytes().to_vec()),
    };
    read.ok_or_else(|| {
        format!("{text:?} is not hex:0a0b, ip:10.0.0.1,10.0.0.2, u8:5, u16:5, u32:5 or a text")
    })
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_written_as_its_form_says() {
        fn check(text: &str, expect: Option<&[u8]>) {
            assert_eq!(option(160, text).ok().as_deref(), expect, "{text}");
        }
        check("http://a.example/", Some(b"http://a.example/"));
        check("hex:00fF", Some(&[0, 255]));
        check("hex:00f", None);
        check("ip:10.0.0.1, 10.0.0.2", Some(&[10, 0, 0, 1, 10, 0, 0, 2]));
        check("ip:10.0.0", None);
        check("u8:256", None);
        for own in [51, 54, 58, 59, 61, 82, 118] {
            assert!(option(own, "u32:5").is_err(), "{own}");
        }
        check("u16:256", Some(&[1, 0]));
        check("u32:1", Some(&[0, 0, 0, 1]));
        assert!(option(54, "ip:10.0.0.1").is_err());
    }
}
