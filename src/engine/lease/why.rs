//! Why a client got what it got: a stable code and a sentence (`dhcp leases --why`).

/// The reason of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The address that the inventory keeps for it.
    Reserved,
    /// The inventory's address is in somebody else's hands: one of the pool.
    ReservedInUse,
    /// The address that it has, or had.
    Same,
    /// The one that it asked for.
    AsAsked,
    /// A free one of the pool.
    Free,
    Renewed,
    /// We do not remember it, it speaks from the address, and that was free: it goes on with it.
    Adopted,
    NoRecord,
    Options,
    Released,
    Declined,
    GaveWay,
    OtherServer,
    NotServed,
    NoNetwork,
    NoMac,
    LongClient,
    Outside,
    NoAddress,
    PoolFull,
    PoolKept,
    PortFull,
    RelayFull,
    OneMac,
    WrongNetwork,
    Taken,
    NotOurs,
    NotOfPool,
    NotItsOwn,
    InUse,
    NotDurable,
    Overload,
    Observed,
    Mode,
}

impl Why {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    /// A sentence for people.
    pub fn text(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Reserved => (
                "reserved",
                "the inventory keeps this address for it (dhcp_address)",
            ),
            Self::ReservedInUse => (
                "reserved-in-use",
                "the address that the inventory keeps for it is used by another: one of the pool until that ends",
            ),
            Self::Same => ("same-address", "the address that it has, or had before"),
            Self::AsAsked => ("as-asked", "the address that it asked for was free"),
            Self::Free => ("free-address", "a free address of the pool"),
            Self::Renewed => ("renewed", "its lease goes on"),
            Self::Adopted => (
                "adopted",
                "we had no lease of it, and the address that it uses was free",
            ),
            Self::NoRecord => (
                "no-record",
                "we have no lease of it: another server may have given it the address",
            ),
            Self::Options => ("options", "it has an address and asked for the options"),
            Self::Released => ("released", "it gave the address back"),
            Self::Declined => (
                "declined",
                "it found the address in use by another: left alone for half an hour",
            ),
            Self::GaveWay => (
                "gave-way",
                "another DHCP server is there: we say nothing (dhcp.allow_other, dhcp.probe)",
            ),
            Self::OtherServer => ("other-server", "it took the offer of another server"),
            Self::NotServed => (
                "not-served",
                "neither listed nor recognised: dhcp.serve says who gets an address",
            ),
            Self::NoNetwork => (
                "no-network",
                "no dhcp.subnet holds its relay, or the interface that it came in by",
            ),
            Self::NoMac => (
                "no-mac",
                "its hardware address is no Ethernet address that a unit can have",
            ),
            Self::LongClient => (
                "long-client",
                "its client identifier is longer than an option is",
            ),
            Self::Outside => (
                "outside",
                "it came from an address where no client of ours is, or its answer would go to one",
            ),
            Self::NoAddress => ("no-address", "it named no address where it must"),
            Self::PoolFull => ("pool-full", "no address of the pool is free"),
            Self::PoolKept => (
                "pool-kept",
                "what is left of the pool is kept for listed units",
            ),
            Self::PortFull => (
                "port-full",
                "too many unlisted clients behind this port of the relay",
            ),
            Self::RelayFull => (
                "relay-full",
                "too many offers to unlisted clients wait here",
            ),
            Self::OneMac => ("one-mac", "one MAC under too many client identifiers"),
            Self::WrongNetwork => (
                "wrong-network",
                "the address belongs to another network than the client is on",
            ),
            Self::Taken => ("taken", "the address is another client's"),
            Self::NotOurs => ("not-ours", "the address is in no network that we serve"),
            Self::NotOfPool => (
                "not-of-pool",
                "the address is in no pool: somebody else may have given it",
            ),
            Self::NotItsOwn => ("not-its-own", "the address is not its own"),
            Self::InUse => (
                "in-use",
                "somebody else answers at the address: another is looked for",
            ),
            Self::NotDurable => ("not-durable", "the lease could not be written: no answer"),
            Self::Overload => (
                "overload",
                "more requests than can be answered: it asks again",
            ),
            Self::Observed => (
                "observed",
                "another server's lease, learned from what it asks for",
            ),
            Self::Mode => ("mode", "dhcp.mode does not answer this kind of message"),
        }
    }
}
