//! Which packet begins a boot, and what is written of a contact.

use dialtone::engine::boot::{self, Beginning};
use dialtone::engine::facts::{Facts, PnpFacts};
use dialtone::engine::known::Known;
use dialtone::engine::verdict::Decision;
use dialtone::engine::{point, target};
use dialtone::model::activation::{CheckKind, Outcome, State};
use dialtone::model::identity::{BootId, Channel, Mac};
use jiff::{SignedDuration, Timestamp};

use super::{CHADDR, asks, decide, device, is_pointed, listed};

/// Plays a unit's packets and says which of them began a boot.
fn boots(packets: &[(i64, Packet)]) -> Vec<bool> {
    let mut unit = device("acme", "gear", "G1");
    let mut before: Option<Beginning> = None;
    let mut begun = Vec::new();
    for (at, packet) in packets {
        let mut facts = asks(&[(60, b"Acme G1")]);
        match packet {
            Packet::Discover(segment) => {
                facts.dhcp.as_mut().unwrap().interface = Some((*segment).to_owned());
            }
            Packet::Said(segment) => {
                let dhcp = facts.dhcp.as_mut().unwrap();
                dhcp.interface = Some((*segment).to_owned());
                dhcp.unplaced = true;
            }
            Packet::Request(codes, ciaddr) => {
                let dhcp = facts.dhcp.as_mut().unwrap();
                dhcp.message = "request".to_owned();
                dhcp.ciaddr = ciaddr.then(|| [10, 99, 0, 7].into());
                dhcp.options
                    .extend(codes.iter().map(|code| (*code, vec![10, 99, 0, 1])));
            }
            Packet::Subscribe(call_id) => {
                facts = Facts::new(Channel::SipPnp, target::parse(b"/").unwrap());
                facts.pnp = Some(PnpFacts {
                    vendor: Some("Acme".to_owned()),
                    mac: Mac::parse(CHADDR).ok(),
                    call_id: (*call_id).to_owned(),
                    ..PnpFacts::default()
                });
            }
            Packet::File => {
                let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(*at);
                let id = BootId(u64::try_from(*at).unwrap() + 1);
                boot::note(unit.status_mut(), Some("config"), false, id, now);
                continue;
            }
        }
        let known = Known {
            by_mac: Some(unit.clone()),
            ..Known::default()
        };
        let verdict = decide(&facts, &known, before.as_ref(), *at);
        let change = verdict.unit.expect("the unit");
        let new = unit.status.boots.last().map(|boot| boot.id) != Some(change.boot);
        let arrival = point::arrival(&facts);
        before = Some(Beginning::after(before.as_ref(), &arrival, new));
        begun.push(new);
        if !change.quiet {
            unit.status = (*change.status).into();
        }
    }
    begun
}

enum Packet {
    Discover(&'static str),
    /// A DISCOVER through a relay that speaks from elsewhere than it says.
    Said(&'static str),
    Request(&'static [u8], bool),
    Subscribe(&'static str),
    File,
}

#[test]
fn a_boot_begins_where_the_contract_says() {
    use Packet::{Discover, File, Request, Said, Subscribe};
    let check = |packets: &[(i64, Packet)], expect: &[bool]| {
        assert_eq!(boots(packets), expect);
    };
    // Discover, request and PnP of one boot; then a restart, which has another Call-ID.
    check(
        &[
            (0, Discover("eth1")),
            (1, Request(&[50, 54], false)),
            (3, Subscribe("a")),
            (4, Subscribe("a")),
            (5, File),
            (20, Discover("eth1")),
            (21, Subscribe("b")),
            (22, File),
            (30, Subscribe("c")),
        ],
        &[true, false, false, false, true, false, true],
    );
    // A DISCOVER that is sent again; then one on another VLAN, after the file that named it.
    check(
        &[
            (0, Discover("eth1")),
            (4, Discover("eth1")),
            (8, File),
            (60, Discover("eth2")),
            (61, File),
            (300, Discover("eth2")),
        ],
        &[true, false, false, true],
    );
    // Anybody can say that a relay saw it.
    check(
        &[
            (0, Discover("eth1")),
            (8, File),
            (20, Said("eth1")),
            (200, Said("eth1")),
        ],
        &[true, false, false],
    );
    // INIT-REBOOT begins one; renewing and rebinding (a client address) do not, nor does a file.
    check(
        &[
            (0, Request(&[50], false)),
            (1, File),
            (600, Request(&[], true)),
            (900, Request(&[50, 54], false)),
            (1000, Request(&[50], false)),
        ],
        &[true, false, false, true],
    );
}

#[test]
fn a_contact_moves_the_unit_and_is_written_once_a_boot() {
    let known = listed("acme", "gear", "G1");
    let verdict = decide(&asks(&[(60, b"Acme G1")]), &known, None, 0);
    let change = verdict.unit.unwrap();
    assert_eq!(
        (change.kind, change.outcome),
        (CheckKind::Seen, Outcome::Pass)
    );
    assert_eq!(change.status.activation.state, State::Seen);
    assert!(!change.quiet && !change.before_answer);
    let mut again = known;
    again.by_mac.as_mut().unwrap().status = (*change.status).into();
    let verdict = decide(&asks(&[(60, b"Acme G1")]), &again, None, 2);
    assert!(is_pointed(&verdict) && verdict.unit.unwrap().quiet);
    // Where a family has no PnP there is none to tell, and a person sees why.
    let mut facts = Facts::new(Channel::SipPnp, target::parse(b"/").unwrap());
    facts.pnp = Some(PnpFacts {
        vendor: Some("Acme".to_owned()),
        call_id: "x".to_owned(),
        ..PnpFacts::default()
    });
    let verdict = decide(&facts, &Known::default(), None, 0);
    let Decision::Point(reply) = verdict.decision else {
        panic!("a pointer")
    };
    assert_eq!(
        reply.url.as_deref(),
        Some("https://prov.example.net:8443/x/")
    );
    assert!(reply.options.is_empty());
}
