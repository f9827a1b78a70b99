//! Who may hold a connection: a cap for each address, one for strangers, one for all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::limits::Limits;

/// Tells how many connections an address of a site may hold; `None` for a stranger.
pub type SiteCap = Box<dyn Fn(IpAddr) -> Option<usize> + Send + Sync>;

/// Counts connections. Shared by every listener of the device plane.
pub struct Admission {
    site_cap: SiteCap,
    per_address: usize,
    all: usize,
    strangers: usize,
    crowded: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Entries live as long as a connection of theirs: bounded by `all`.
    held: HashMap<IpAddr, usize>,
    strangers: usize,
    all: usize,
}

/// One admitted connection; leaves when dropped.
pub struct Admitted {
    admission: Arc<Admission>,
    key: IpAddr,
    stranger: bool,
}

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    Address,
    Full,
}

impl Admission {
    /// `site_cap` is asked at every connection and must not block.
    pub fn new(limits: &Limits, site_cap: SiteCap) -> Self {
        Self {
            site_cap,
            per_address: limits.per_address,
            all: limits.connections,
            strangers: limits.connections.saturating_mul(limits.strangers_percent) / 100,
            crowded: limits.connections.saturating_mul(limits.crowded_percent) / 100,
            counts: Mutex::default(),
        }
    }

    /// Everybody is a stranger.
    pub fn strangers(limits: &Limits) -> Self {
        Self::new(limits, Box::new(|_| None))
    }

    /// Takes a place for a connection from `source`.
    pub fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Admitted, TurnedAway> {
        let key = network(source);
        let site = (self.site_cap)(source);
        let stranger = site.is_none();
        let cap = site.unwrap_or(self.per_address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= self.all || stranger && counts.strangers >= self.strangers {
            return Err(TurnedAway::Full);
        }
        let held = counts.held.entry(key).or_insert(0);
        if *held >= cap {
            if *held == 0 {
                counts.held.remove(&key);
            }
            return Err(TurnedAway::Address);
        }
        *held += 1;
        counts.all += 1;
        counts.strangers += usize::from(stranger);
        Ok(Admitted {
            admission: Arc::clone(self),
            key,
            stranger,
        })
    }

    /// Whether places run short, so that nobody may keep one between two requests.
    pub fn is_crowded(&self) -> bool {
        self.held() >= self.crowded
    }

    /// Connections held now.
    pub fn held(&self) -> usize {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self
            .admission
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        counts.strangers = counts.strangers.saturating_sub(usize::from(self.stranger));
        if let Some(held) = counts.held.get_mut(&self.key) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                counts.held.remove(&self.key);
            }
        }
    }
}

/// An IPv6 host owns its /64; an IPv4 address in IPv6 clothes is an IPv4 address.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(site: &str) -> Arc<Admission> {
        let limits = Limits {
            per_address: 2,
            connections: 8,
            strangers_percent: 50,
            ..Limits::default()
        };
        let site: IpAddr = site.parse().unwrap();
        Arc::new(Admission::new(
            &limits,
            Box::new(move |ip| (ip == site).then_some(6)),
        ))
    }

    #[test]
    fn an_address_has_its_cap_and_a_site_a_higher_one() {
        let admission = admission("10.9.0.1");
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        let held: Vec<_> = (0..2).map(|_| admission.admit(stranger).unwrap()).collect();
        assert_eq!(admission.admit(stranger).err(), Some(TurnedAway::Address));
        let site: Vec<_> = (0..6)
            .map(|_| admission.admit("10.9.0.1".parse().unwrap()).unwrap())
            .collect();
        assert_eq!(
            admission.admit("10.9.0.1".parse().unwrap()).err(),
            Some(TurnedAway::Full)
        );
        drop((held, site));
        assert_eq!(admission.held(), 0);
        assert!(admission.counts.lock().unwrap().held.is_empty());
    }

    #[test]
    fn strangers_cannot_fill_what_sites_need() {
        let admission = admission("10.9.0.1");
        let strangers: Vec<_> = (1..=4)
            .map(|n| admission.admit(IpAddr::from([192, 0, 2, n])).unwrap())
            .collect();
        assert_eq!(
            admission.admit("192.0.2.9".parse().unwrap()).err(),
            Some(TurnedAway::Full)
        );
        assert!(admission.admit("10.9.0.1".parse().unwrap()).is_ok());
        drop(strangers);
    }

    #[test]
    fn a_64_is_one_address() {
        let admission = admission("10.9.0.1");
        let _one = admission.admit("2001:db8::1".parse().unwrap()).unwrap();
        let _two = admission.admit("2001:db8::2".parse().unwrap()).unwrap();
        assert!(admission.admit("2001:db8::3".parse().unwrap()).is_err());
        assert!(admission.admit("2001:db8:0:1::3".parse().unwrap()).is_ok());
    }
}
