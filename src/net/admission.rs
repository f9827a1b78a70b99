//! Who may hold a connection: a cap for each address, a share for strangers, and a queue for all.
//!
//! ```text
//! accept -> admit(): may it be here at all? -> take_place(): in the order of arrival -> served
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;

/// Tells how many connections an address of a site may hold; `None` for a stranger.
pub type SiteCap = Box<dyn Fn(IpAddr) -> Option<usize> + Send + Sync>;

/// Counts connections. Shared by every listener of the device plane.
pub struct Admission {
    site_cap: SiteCap,
    per_address: usize,
    connections: usize,
    crowded: usize,
    /// Connections that are served or wait for it.
    room: Seats,
    /// Connections that are served.
    places: Seats,
    /// By network. Entries live as long as a connection of theirs: bounded by `room`.
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// Seats, of which strangers may fill a share. Whoever finds none waits in a line.
pub(super) struct Seats {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// A seat; free again when dropped.
pub(super) struct Seat {
    _one: OwnedSemaphorePermit,
    _of_strangers: Option<OwnedSemaphorePermit>,
}

/// One admitted connection; leaves when dropped.
pub struct Admitted {
    place: Option<Seat>,
    stranger: bool,
    _room: Seat,
    held: Held,
}

/// One connection in the count of its address.
struct Held {
    admission: Arc<Admission>,
    key: IpAddr,
}

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    Address,
    Full,
}

impl Seats {
    pub(super) fn new(all: usize, strangers_percent: usize) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        // Of however few, one.
        let strangers = all.saturating_mul(strangers_percent).div_ceil(100);
        Self {
            all: Arc::new(Semaphore::new(all)),
            strangers: Arc::new(Semaphore::new(strangers)),
        }
    }

    /// A seat, as soon as those who came before have theirs. `None` never happens: nobody closes
    /// these semaphores.
    pub(super) async fn wait(&self, stranger: bool) -> Option<Seat> {
        let strangers = Arc::clone(&self.strangers);
        // First the smaller share: a stranger who waits for it keeps nobody else from a seat.
        let of_strangers = match stranger {
            true => Some(strangers.acquire_owned().await.ok()?),
            false => None,
        };
        Some(Seat {
            _one: Arc::clone(&self.all).acquire_owned().await.ok()?,
            _of_strangers: of_strangers,
        })
    }

    /// A seat, if there is one now.
    fn take(&self, stranger: bool) -> Option<Seat> {
        let strangers = Arc::clone(&self.strangers);
        let of_strangers = match stranger {
            true => Some(strangers.try_acquire_owned().ok()?),
            false => None,
        };
        Some(Seat {
            _one: Arc::clone(&self.all).try_acquire_owned().ok()?,
            _of_strangers: of_strangers,
        })
    }
}

impl Admission {
    /// `site_cap` is asked at every connection and must not block.
    pub fn new(limits: &Limits, site_cap: SiteCap) -> Self {
        let share = limits.strangers_percent;
        let room = limits.connections.saturating_add(limits.waiting);
        Self {
            site_cap,
            per_address: limits.per_address,
            connections: limits.connections,
            crowded: limits.connections.saturating_mul(limits.crowded_percent) / 100,
            room: Seats::new(room, share),
            places: Seats::new(limits.connections, share),
            held: Mutex::default(),
        }
    }

    /// Everybody is a stranger.
    pub fn strangers(limits: &Limits) -> Self {
        Self::new(limits, Box::new(|_| None))
    }

    /// Lets a connection from `source` in. A stranger who finds no room is turned away. A unit of a
    /// site is not: this waits until there is room, and whoever accepts waits with it, so that the
    /// kernel keeps the others.
    pub async fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Admitted, TurnedAway> {
        let key = network(source);
        let site = (self.site_cap)(source);
        let stranger = site.is_none();
        let held = self.hold(key, site.unwrap_or(self.per_address))?;
        let room = match stranger {
            true => self.room.take(true),
            false => self.room.wait(false).await,
        };
        Ok(Admitted {
            place: None,
            stranger,
            _room: room.ok_or(TurnedAway::Full)?,
            held,
        })
    }

    /// Whether places run short, so that nobody may keep one between two requests.
    pub fn is_crowded(&self) -> bool {
        self.served() >= self.crowded
    }

    /// Connections that are served now.
    pub fn served(&self) -> usize {
        let free = self.places.all.available_permits();
        self.connections.saturating_sub(free)
    }

    fn hold(self: &Arc<Self>, key: IpAddr, cap: usize) -> Result<Held, TurnedAway> {
        let mut counts = self.counts();
        let count = counts.get(&key).copied().unwrap_or(0);
        if count >= cap {
            return Err(TurnedAway::Address);
        }
        counts.insert(key, count.saturating_add(1));
        Ok(Held {
            admission: Arc::clone(self),
            key,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Whether it comes from outside every site.
    pub fn is_stranger(&self) -> bool {
        self.stranger
    }

    /// Waits for a place to be served at, in the order of arrival.
    pub async fn take_place(&mut self) {
        let places = &self.held.admission.places;
        self.place = places.wait(self.stranger).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
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

    const SITE: &str = "10.9.0.1";
    const STRANGER: &str = "192.0.2.1";

    fn admission(waiting: usize) -> Arc<Admission> {
        let limits = Limits {
            per_address: 2,
            connections: 8,
            waiting,
            strangers_percent: 50,
            ..Limits::default()
        };
        let site: IpAddr = SITE.parse().unwrap();
        Arc::new(Admission::new(
            &limits,
            Box::new(move |ip| (ip == site).then_some(9)),
        ))
    }

    /// What `future` gives without anything else happening.
    async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = std::future::ready(()) => None,
        }
    }

    async fn admit(
        admission: &Arc<Admission>,
        source: &str,
    ) -> Option<Result<Admitted, TurnedAway>> {
        now(admission.admit(source.parse().unwrap())).await
    }

    async fn served(admission: &Arc<Admission>, source: &str) -> Option<Admitted> {
        let mut admitted = admit(admission, source).await?.ok()?;
        now(admitted.take_place()).await?;
        Some(admitted)
    }

    #[tokio::test]
    async fn an_address_has_its_cap_and_a_site_a_higher_one() {
        let admission = admission(8);
        let _two = [
            served(&admission, STRANGER).await.unwrap(),
            served(&admission, STRANGER).await.unwrap(),
        ];
        let third = admit(&admission, STRANGER).await.unwrap();
        assert_eq!(third.err(), Some(TurnedAway::Address));
        let mut site = Vec::new();
        for _ in 0..9 {
            site.push(admit(&admission, SITE).await.unwrap().unwrap());
        }
        let tenth = admit(&admission, SITE).await.unwrap();
        assert_eq!(tenth.err(), Some(TurnedAway::Address));
        drop((_two, site));
        assert_eq!(admission.served(), 0);
        assert!(admission.counts().is_empty());
    }

    #[tokio::test]
    async fn strangers_cannot_fill_what_sites_need() {
        let admission = admission(0);
        let mut strangers = Vec::new();
        for n in 1..=4 {
            let one = served(&admission, &format!("192.0.2.{n}")).await;
            strangers.push(one.unwrap());
        }
        let fifth = admit(&admission, "192.0.2.9").await.unwrap();
        assert_eq!(fifth.err(), Some(TurnedAway::Full));
        assert!(served(&admission, SITE).await.is_some());
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_it_in_a_line() {
        let admission = admission(2);
        let mut served_now = Vec::new();
        for _ in 0..8 {
            served_now.push(served(&admission, SITE).await.unwrap());
        }
        let mut first = admit(&admission, SITE).await.unwrap().unwrap();
        let mut second = admit(&admission, STRANGER).await.unwrap().unwrap();
        let (mut one, mut two) = (Box::pin(first.take_place()), Box::pin(second.take_place()));
        assert!(now(&mut one).await.is_none());
        assert!(now(&mut two).await.is_none());
        served_now.pop();
        assert!(now(&mut two).await.is_none(), "the other one came first");
        assert!(now(&mut one).await.is_some());
        served_now.pop();
        assert!(now(&mut two).await.is_some());
    }

    #[tokio::test]
    async fn a_unit_of_a_site_is_kept_at_the_door_and_a_stranger_is_not() {
        let admission = admission(0);
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(admit(&admission, SITE).await.unwrap().unwrap());
        }
        let stranger = admit(&admission, STRANGER).await.unwrap();
        assert_eq!(stranger.err(), Some(TurnedAway::Full));
        let mut ninth = Box::pin(admission.admit(SITE.parse().unwrap()));
        assert!(now(&mut ninth).await.is_none());
        held.pop();
        assert!(now(&mut ninth).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_64_is_one_address() {
        let admission = admission(0);
        let _one = admit(&admission, "2001:db8::1").await.unwrap().unwrap();
        let _two = admit(&admission, "2001:db8::2").await.unwrap().unwrap();
        assert!(admit(&admission, "2001:db8::3").await.unwrap().is_err());
        assert!(admit(&admission, "2001:db8:0:1::3").await.unwrap().is_ok());
    }
}
