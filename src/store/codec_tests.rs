//! Every stored shape comes back as it went in, reads older and newer rows, and never panics.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;

use jiff::Timestamp;
use proptest::prelude::*;

use super::codec::{Stored, VERSION, decode, encode};
use super::codec_device::{ConfigRow, TokenRow};
use super::rows::{AuditEntry, Job, JobState, Published, TokenKind};
use crate::model::activation::{
    Activation, Check, CheckKind, Flag, Outcome, Proof, Registration, State,
};
use crate::model::device::{Boot, Config, Key, Lifecycle, Line, Seen, Status};
use crate::model::enrolment::{Arming, Place, Ratchet, Serving, Window};
use crate::model::event::{Alert, AlertKind};
use crate::model::identity::{Assurance, BootId, Channel, DeviceId, Digest, LevelBy, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};
use crate::model::profile::{Layer, Scope, Value, Variables};
use crate::model::secret::Sealed;
use crate::model::site::{Corroborate, Doubt, Pbx, Site, Waiver};

/// Rows made from a seed: any of their values, any of them missing.
struct Maker(u64);

impl Maker {
    fn number(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, most: u64) -> u64 {
        self.number() % most
    }
    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }
    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| make(self))
    }
    fn list<T>(&mut self, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| make(self)).collect()
    }
    fn text(&mut self) -> String {
        let texts = [
            "",
            "hq",
            "é\u{202e}\0\n",
            "1",
            "true",
            "null",
            "a.b",
            &"x".repeat(300),
        ];
        texts[usize::try_from(self.below(8)).unwrap()].to_owned()
    }
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(u64::try_from(of.len()).unwrap())).unwrap()].clone()
    }
    fn word<T>(&mut self, words: &[&str], parse: impl Fn(&str) -> Option<T>) -> T {
        let word = self.one(words);
        parse(word).expect(word)
    }
    fn small(&mut self) -> u16 {
        u16::try_from(self.below(65536)).unwrap()
    }
    fn n32(&mut self) -> u32 {
        u32::try_from(self.number() >> 32).unwrap()
    }
    fn time(&mut self) -> Timestamp {
        match self.below(6) {
            0 => Timestamp::MIN,
            1 => Timestamp::MAX,
            2 => Timestamp::UNIX_EPOCH,
            3 => Timestamp::new(-1, -999_999_999).unwrap(),
            _ => {
                let nanoseconds = i32::try_from(self.below(1_000_000_000)).unwrap();
                Timestamp::new(1_700_000_000 + i64::from(self.small()), nanoseconds).unwrap()
            }
        }
    }
    fn digest(&mut self) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        Digest(bytes)
    }
    fn id(&mut self) -> DeviceId {
        DeviceId(u128::from(self.number()) << 64 | u128::from(self.number()))
    }
    fn mac(&mut self) -> Mac {
        let number = self.number().to_be_bytes();
        Mac::new([number[0] & 0xfe | 2, number[1], number[2], number[3], 0, 1]).unwrap()
    }
    fn serial(&mut self) -> Serial {
        Serial::parse(&format!("S{}", self.number())).unwrap()
    }
    fn ip(&mut self) -> IpAddr {
        if self.yes() {
            IpAddr::from(self.n32().to_be_bytes())
        } else {
            IpAddr::from(self.id().0.to_be_bytes())
        }
    }
    fn port(&mut self) -> RelayPort {
        RelayPort {
            circuit: self.number().to_be_bytes().to_vec(),
            remote: self.list(|maker| maker.number().to_be_bytes()[0]),
        }
    }
    fn value(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => Value::Bool(self.yes()),
            1 => {
                let numbers = [i64::MIN, -1, 0, 127, 128, i64::MAX];
                Value::Int(self.one(&numbers))
            }
            2 => Value::Text(self.text()),
            3 => Value::Secret,
            4 => Value::List(self.list(|maker| maker.value(depth - 1))),
            _ => {
                let pairs = self.list(|maker| (maker.text(), maker.value(depth - 1)));
                Value::Table(BTreeMap::from_iter(pairs))
            }
        }
    }
    fn variables(&mut self) -> Variables {
        Variables(
            self.list(|maker| (maker.text(), maker.value(2)))
                .into_iter()
                .collect(),
        )
    }
    fn place(&mut self) -> Place {
        Place {
            site: self.maybe(Self::text),
            certificate: self.maybe(Self::digest),
            port: self.maybe(Self::port),
            lease: self.maybe(Self::mac),
            prefix: self.maybe(Self::text),
        }
    }
    fn lifecycle(&mut self) -> Lifecycle {
        self.word(
            &["listed", "suspended", "retired", "replaced"],
            Lifecycle::parse,
        )
    }
    fn level(&mut self) -> Assurance {
        self.word(&["L0", "L1", "L2", "L3", "L4"], Assurance::parse)
    }
    fn line(&mut self) -> Line {
        Line {
            n: self.small(),
            enabled: self.yes(),
            user: self.text(),
            auth: self.maybe(Self::text),
            has_password: self.yes(),
            pbx: self.maybe(Self::text),
            server: self.maybe(Self::text),
            display: self.maybe(Self::text),
            label: self.maybe(Self::text),
            port: self.maybe(Self::small),
            handset: self.maybe(Self::small),
            ipei: self.maybe(Self::text),
            shared: self.yes(),
        }
    }
    fn key(&mut self) -> Key {
        Key {
            page: self.text(),
            n: self.small(),
            kind: self.text(),
            value: self.text(),
            label: self.text(),
            line: self.small(),
        }
    }
    fn config(&mut self) -> ConfigRow {
        let config = Config {
            mac: self.maybe(Self::mac),
            serial: self.maybe(Self::serial),
            vendor: self.text(),
            family: self.text(),
            model: self.text(),
            site: self.maybe(Self::text),
            groups: self.list(Self::text),
            user: self.maybe(Self::text),
            profile: self.text(),
            variables: self.variables(),
            lines: self.list(Self::line),
            keys: self.list(Self::key),
            lifecycle: self.lifecycle(),
            arming: Arming {
                generation: self.n32(),
                from: self.time(),
                until: self.time(),
                open_at: self.maybe(Self::time),
                keys: self.yes(),
                without_certificate: self.yes(),
                exposed: self.list(Self::text),
            },
            note: self.text(),
            changed_at: self.time(),
            created_at: self.time(),
            release: self.yes(),
            version: self.number(),
        };
        let tokens = self.list(|maker| TokenRow {
            digest: maker.digest(),
            generation: maker.n32(),
            kind: maker.one(&[TokenKind::Unit, TokenKind::Report]),
        });
        ConfigRow { config, tokens }
    }
    fn activation(&mut self) -> Activation {
        let states = [
            "expected",
            "seen",
            "served",
            "active",
            "stalled",
            "failed",
            "handed-over",
        ];
        let proofs = ["report", "registrar", "firmware", "config", "none-possible"];
        Activation {
            state: self.word(&states, State::parse),
            since: self.maybe(Self::time),
            stage: self.maybe(Self::text),
            proof: self.maybe(|maker| maker.word(&proofs, Proof::parse)),
            registration: self.word(&["yes", "lost", "unknown"], Registration::parse),
            flags: self
                .list(|maker| maker.word(&["needs-waiver", "exposed", "reboot-loop"], Flag::parse)),
        }
    }
    fn status(&mut self) -> Status {
        Status {
            generation: self.n32(),
            activation: self.activation(),
            assurance: self.level(),
            window: Window {
                open_since: self.maybe(Self::time),
                open_until: self.maybe(Self::time),
                closed_at: self.maybe(Self::time),
                bound_to: self.maybe(Self::place),
                servings: self.n32(),
                recent: self.list(Self::time),
                current: self.maybe(|maker| Serving {
                    boot: BootId(maker.number()),
                    files: maker.list(|maker| (maker.text(), maker.number().to_be_bytes()[0])),
                    whole: maker.list(Self::text),
                }),
            },
            ratchet: Ratchet {
                mark: self.level(),
                certificate: self.maybe(Self::digest),
                served_at: self.maybe(Self::place),
                shared_noted: self.maybe(Self::time),
                shared_since: self.maybe(Self::time),
                void: self.yes(),
            },
            seen: Seen {
                ip: self.maybe(Self::ip),
                firmware: self.maybe(Self::text),
                agent: self.maybe(Self::text),
                relay: self.maybe(Self::port),
                asking_mac: self.maybe(Self::mac),
                at: self.maybe(Self::time),
            },
            boots: self.list(|maker| Boot {
                id: BootId(maker.number()),
                began: maker.time(),
                last: maker.time(),
                asked: maker.list(Self::text),
                refused: maker.list(Self::text),
            }),
            revision: self.maybe(Self::digest),
            digest: self.maybe(Self::digest),
            served_whole_at: self.maybe(Self::time),
            given: self.list(Self::text),
            lines: self.list(|maker| (maker.small(), maker.yes(), maker.time())),
            numbers: self.list(|maker| (maker.text(), maker.number(), maker.digest())),
            version: self.number(),
        }
    }
    fn check(&mut self) -> Check {
        let channels = [
            "dhcp",
            "sip-pnp",
            "tftp",
            "http",
            "https",
            "registrar",
            "report",
            "admin",
        ];
        let kinds = [
            CheckKind::Seen,
            CheckKind::Tls,
            CheckKind::Request,
            CheckKind::Delivery,
            CheckKind::Firmware,
            CheckKind::Registration,
        ];
        Check {
            seq: self.number(),
            at: self.time(),
            device: self.id(),
            boot: BootId(self.number()),
            channel: self.word(&channels, Channel::parse),
            kind: self.one(&kinds),
            outcome: self.word(&["pass", "fail", "refused", "partial"], Outcome::parse),
            path: self.maybe(Self::text),
            assurance: self.level(),
            level_by: self.word(
                &["token", "lease", "body-key", "person", ""],
                LevelBy::parse,
            ),
            revision: self.maybe(Self::digest),
            digest: self.maybe(Self::digest),
            bytes: self.maybe(Self::number),
            ip: self.maybe(Self::ip),
            reason: self.text(),
            text: self.text(),
        }
    }
    fn site(&mut self) -> Site {
        let prefixes = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"];
        Site {
            name: self.text(),
            prefixes: self.list(|maker| maker.one(&prefixes).parse().unwrap()),
            timezone: self.text(),
            nat: self.yes(),
            expect: self.n32(),
            corroborate: self.one(&[Corroborate::Lease, Corroborate::Prefix]),
            believed_since: self.maybe(Self::time),
            doubt: self.maybe(|maker| maker.one(&[Doubt::MoreThanExpected, Doubt::NeverReported])),
            keys_at_l2: self.yes(),
            public_url: self.maybe(Self::text),
            public_http_url: self.maybe(Self::text),
            public_tftp: self.maybe(Self::text),
            change_window: self.text(),
            version: self.number(),
        }
    }
}

fn same<T: Stored + PartialEq + Debug>(row: &T) {
    let bytes = encode(row).unwrap();
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(row));
}

proptest! {
    #[test]
    fn devices_come_back(seed in any::<u64>()) {
        let mut maker = Maker(seed);
        same(&maker.config());
        same(&maker.status());
    }

    #[test]
    fn records_come_back(seed in any::<u64>()) {
        let mut maker = Maker(seed);
        same(&maker.check());
        same(&Alert {
            kind: maker.one(&AlertKind::ALL),
            device: maker.id(),
            first: maker.time(),
            last: maker.time(),
            count: maker.number(),
            places: maker.list(Maker::text),
            text: maker.text(),
        });
        same(&Lease {
            ip: maker.ip(),
            mac: maker.mac(),
            serial: maker.maybe(Maker::serial),
            port: maker.maybe(Maker::port),
            source: maker.one(&[LeaseSource::Own, LeaseSource::Observed]),
            since: maker.time(),
            until: maker.time(),
        });
        same(&AuditEntry {
            seq: maker.number(),
            at: maker.time(),
            actor: maker.text(),
            action: maker.text(),
            subject: maker.text(),
            outcome: maker.text(),
            detail: maker.text(),
        });
        same(&Job {
            id: maker.text(),
            kind: maker.text(),
            title: maker.text(),
            actor: maker.text(),
            state: maker.word(&["planned", "running", "done", "partly", "failed"], JobState::parse),
            began: maker.time(),
            updated: maker.time(),
            total: maker.number(),
            done: maker.number(),
            failed: maker.number(),
            body: None,
        });
    }

    #[test]
    fn places_come_back(seed in any::<u64>()) {
        let mut maker = Maker(seed);
        same(&maker.site());
        same(&Scope {
            layer: maker.word(&["global", "tenant", "site", "group", "user"], Layer::parse),
            name: maker.text(),
            variables: maker.variables(),
            changed_at: maker.maybe(Maker::time),
            version: maker.number(),
        });
        same(&Waiver {
            site: maker.text(),
            models: maker.list(Maker::text),
            until: maker.time(),
            why: maker.text(),
        });
        same(&Pbx {
            name: maker.text(),
            sip_server: maker.text(),
            backup: maker.maybe(Maker::text),
            outbound_proxy: maker.maybe(Maker::text),
            transport: maker.maybe(Maker::text),
            srtp: maker.yes(),
            sites: maker.list(Maker::text),
        });
        same(&Published {
            vendor: maker.text(),
            family: maker.text(),
            profile: maker.text(),
            digest: maker.digest(),
            at: maker.time(),
            by: maker.text(),
            reason: maker.text(),
        });
        let sealed = Sealed {
            key_id: maker.n32(),
            bytes: maker.list(|maker| maker.number().to_be_bytes()[0]),
        };
        same(&sealed);
    }

    #[test]
    fn any_bytes_decode_or_not_and_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(decode::<ConfigRow>(&bytes));
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        drop(decode::<ConfigRow>(&bytes));
        drop(decode::<Status>(&bytes));
        drop(decode::<Check>(&bytes));
        drop(decode::<Scope>(&bytes));
    }

    #[test]
    fn a_cut_row_is_no_row(seed in any::<u64>(), cut in any::<proptest::sample::Index>()) {
        let bytes = encode(&Maker(seed).status()).unwrap();
        let at = cut.index(bytes.len());
        prop_assert!(decode::<Status>(&bytes[..at]).is_err());
    }
}

/// A map of MessagePack (fixmap) with these fields.
fn row(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![VERSION, 0x80 | u8::try_from(fields.len()).unwrap()];
    for (name, value) in fields {
        bytes.push(0xa0 | u8::try_from(name.len()).unwrap());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

#[test]
fn a_newer_rows_fields_are_passed_over_and_an_older_rows_are_filled_in() {
    let newer = row(&[
        ("name", b"\xa6berlin"),
        ("colour", b"\x81\xa1a\x93\x01\x02\xc3"),
        ("srtp", b"\xc3"),
        ("shade", b"\xc0"),
    ]);
    let expect = Pbx {
        name: "berlin".to_owned(),
        srtp: true,
        ..Pbx::default()
    };
    assert_eq!(decode::<Pbx>(&newer), Ok(expect));
    let older = row(&[("version", b"\x07")]);
    let expect = Status {
        version: 7,
        ..Status::default()
    };
    assert_eq!(decode::<Status>(&older), Ok(expect));
}

#[test]
fn a_shape_of_another_version_is_named() {
    let mut bytes = encode(&Pbx::default()).unwrap();
    bytes[0] = VERSION + 1;
    let error = decode::<Pbx>(&bytes).unwrap_err();
    assert_eq!(error.0, format!("shape of version {}", VERSION + 1));
    assert!(decode::<Pbx>(&[]).is_err());
}

#[test]
fn rows_are_small() {
    let status = Status {
        version: 3,
        ..Status::default()
    };
    assert!(encode(&status).unwrap().len() < 16);
}
