//! How many connections an address of a site may hold.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::site::Site;

/// Sites' prefixes with their caps, the longest prefix first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps(Vec<(IpNet, usize)>);

impl Caps {
    /// `least` is what any address may hold, `most` what one may hold however large its site is.
    /// `listed` counts the units of sites that do not say how many they expect.
    pub(super) fn of<'a>(
        sites: impl Iterator<Item = &'a Site>,
        listed: &BTreeMap<String, usize>,
        least: usize,
        most: usize,
    ) -> Self {
        let mut caps: Vec<(IpNet, usize)> = sites
            .flat_map(|site| {
                let units = match usize::try_from(site.expect).unwrap_or(usize::MAX) {
                    0 => listed.get(&site.name).copied().unwrap_or(0),
                    expected => expected,
                };
                // A phone holds one connection, and opens the next before the last one is gone.
                let cap = units.saturating_mul(2).max(least).min(most);
                site.prefixes.iter().map(move |prefix| (*prefix, cap))
            })
            .collect();
        caps.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Self(caps)
    }

    /// `None` for an address of no site.
    pub(super) fn cap(&self, source: IpAddr) -> Option<usize> {
        let source = source.to_canonical();
        let found = self.0.iter().find(|(prefix, _)| prefix.contains(&source));
        found.map(|(_, cap)| *cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn site(name: &str, prefix: &str, expect: u32) -> Site {
        Site {
            prefixes: vec![prefix.parse().expect("a prefix")],
            expect,
            ..Site::new(name)
        }
    }

    #[test]
    fn the_narrowest_site_counts_and_the_cap_has_two_ends() {
        let sites = [
            site("all", "10.0.0.0/8", 5000),
            site("hq", "10.9.0.0/16", 0),
            site("new", "10.8.0.0/16", 0),
        ];
        let listed = BTreeMap::from([("hq".to_owned(), 100)]);
        let caps = Caps::of(sites.iter(), &listed, 64, 1000);
        let check = |source: &str, expect| {
            assert_eq!(caps.cap(source.parse().expect("an address")), expect);
        };
        check("10.1.0.1", Some(1000));
        check("10.9.0.1", Some(200));
        check("::ffff:10.9.0.1", Some(200));
        check("10.8.0.1", Some(64));
        check("192.0.2.1", None);
    }
}
