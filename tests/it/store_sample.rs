//! A store with one of everything, and what reading it must give: for restarts, backups, other
//! engines and old data.

use std::collections::BTreeMap;
use std::path::Path;

use dialtone::model::activation::{Activation, Check, CheckKind, Flag, Outcome, Proof, State};
use dialtone::model::device::{Config, Key, Lifecycle, Line, Seen, Status};
use dialtone::model::enrolment::{Arming, Place, Ratchet, Serving, Window};
use dialtone::model::event::{Alert, AlertKind};
use dialtone::model::identity::{
    Assurance, BootId, Channel, DeviceId, Digest, LevelBy, Mac, Serial,
};
use dialtone::model::lease::{Lease, LeaseSource, RelayPort};
use dialtone::model::profile::{Layer, Scope, Value, Variables};
use dialtone::model::secret::Sealed;
use dialtone::model::site::{Corroborate, Doubt, Pbx, Site, Waiver};
use dialtone::store::{
    AuditEntry, Batch, CheckFilter, Expect, Filter, Job, JobState, KnownAsk, Options, Owner,
    Published, Store, TokenKind, Write,
};
use jiff::Timestamp;

/// The engines that every test is run through.
pub(crate) const ENGINES: [&str; 1] = ["sled:store"];

pub(crate) fn options(dir: &Path, url: &str) -> Options {
    Options {
        url: url.to_owned(),
        cache_bytes: 8 << 20,
        spare_bytes: 0,
        // Small, so that much is folded while it is written.
        journal_bytes: 48 << 10,
        ..Options::new(dir)
    }
}

pub(crate) fn open(dir: &Path, url: &str) -> Store {
    Store::open(&options(dir, url)).expect("the store opens")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
}

/// Runs a test through every engine, each in a folder of its own.
pub(crate) fn each<F: Future<Output = ()>>(test: impl Fn(tempfile::TempDir, &'static str) -> F) {
    for url in ENGINES {
        let dir = tempfile::tempdir().expect("a folder");
        runtime().block_on(test(dir, url));
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_800_000_000 + second, 123_456_789).unwrap()
}

pub(crate) fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

pub(crate) fn mac(n: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 0, n]).unwrap()
}

/// A device that has little: MAC 02:00:00:00:00:n.
pub(crate) fn plain(n: u8) -> Config {
    Config {
        mac: Some(mac(n)),
        serial: None,
        vendor: "acme".to_owned(),
        family: "desk".to_owned(),
        model: "D1".to_owned(),
        site: None,
        groups: Vec::new(),
        user: None,
        profile: "default".to_owned(),
        variables: Variables::default(),
        lines: Vec::new(),
        keys: Vec::new(),
        lifecycle: Lifecycle::Listed,
        arming: Arming {
            generation: 1,
            from: at(0),
            until: at(5_184_000),
            open_at: None,
            keys: false,
            without_certificate: false,
            exposed: Vec::new(),
        },
        note: String::new(),
        changed_at: at(0),
        created_at: at(0),
        release: false,
        version: 1,
    }
}

/// A device that has everything.
pub(crate) fn rich(n: u8) -> Config {
    Config {
        serial: Serial::parse("SN-1"),
        site: Some("hq".to_owned()),
        groups: vec!["sales".to_owned(), "floor-2".to_owned()],
        user: Some("214".to_owned()),
        variables: variables(),
        lines: vec![Line {
            n: 1,
            enabled: true,
            user: "214".to_owned(),
            auth: Some("214a".to_owned()),
            has_password: true,
            pbx: Some("berlin".to_owned()),
            port: Some(5061),
            label: Some("Zoë".to_owned()),
            ..Line::default()
        }],
        keys: vec![Key {
            page: "phone".to_owned(),
            n: 2,
            kind: "blf".to_owned(),
            value: "215".to_owned(),
            label: "Ann".to_owned(),
            line: 1,
        }],
        lifecycle: Lifecycle::Suspended,
        arming: Arming {
            generation: 4,
            open_at: Some(at(9)),
            keys: true,
            without_certificate: true,
            exposed: vec!["line.1.password".to_owned()],
            ..plain(n).arming
        },
        note: "by the door".to_owned(),
        release: true,
        ..plain(n)
    }
}

fn variables() -> Variables {
    let table = BTreeMap::from([("x".to_owned(), Value::Int(-7))]);
    let values = [
        ("language", Value::Text("de".to_owned())),
        ("vlan", Value::Int(40)),
        ("dnd", Value::Bool(false)),
        ("admin_password", Value::Secret),
        (
            "codecs",
            Value::List(vec![
                Value::Text("g722".to_owned()),
                Value::List(Vec::new()),
            ]),
        ),
        ("more", Value::Table(table)),
    ];
    Variables(values.map(|(name, value)| (name.to_owned(), value)).into())
}

pub(crate) fn place() -> Place {
    Place {
        site: Some("hq".to_owned()),
        certificate: Some(digest(9)),
        port: Some(RelayPort {
            circuit: vec![0, 255, 1],
            remote: Vec::new(),
        }),
        lease: Some(mac(1)),
        prefix: Some("192.0.2.0/24".to_owned()),
    }
}

fn seen() -> Status {
    Status {
        generation: 4,
        activation: Activation {
            state: State::Active,
            since: Some(at(50)),
            proof: Some(Proof::Report),
            flags: vec![Flag::Exposed],
            ..Activation::default()
        },
        assurance: Assurance::L2,
        window: Window {
            open_since: Some(at(10)),
            open_until: Some(at(20)),
            bound_to: Some(place()),
            servings: 2,
            recent: vec![at(11), at(12)],
            current: Some(Serving {
                boot: BootId(77),
                files: vec![("device".to_owned(), 2)],
                whole: vec!["device".to_owned()],
            }),
            closed_at: None,
        },
        ratchet: Ratchet {
            mark: Assurance::L2,
            certificate: Some(digest(9)),
            served_at: Some(place()),
            ..Ratchet::default()
        },
        seen: Seen {
            ip: Some("192.0.2.7".parse().unwrap()),
            firmware: Some("1.2.3".to_owned()),
            at: Some(at(51)),
            ..Seen::default()
        },
        revision: Some(digest(3)),
        given: vec!["line.1.password".to_owned()],
        lines: vec![(1, true, at(52))],
        version: 1,
        ..Status::default()
    }
}

pub(crate) fn check(device: DeviceId, boot: u64, second: i64) -> Check {
    Check {
        seq: 0,
        at: at(second),
        device,
        boot: BootId(boot),
        channel: Channel::Https,
        kind: CheckKind::Delivery,
        outcome: Outcome::Pass,
        path: Some("u/~/device.cfg".to_owned()),
        assurance: Assurance::L2,
        level_by: LevelBy::Token,
        revision: Some(digest(3)),
        digest: None,
        bytes: Some(6000),
        ip: Some("2001:db8::7".parse().unwrap()),
        reason: "served".to_owned(),
        text: String::new(),
    }
}

pub(crate) fn put(id: u128, config: Config, expect: Expect) -> Write {
    Write::PutConfig {
        id: DeviceId(id),
        config: Box::new(config),
        expect,
        tokens: Vec::new(),
    }
}

pub(crate) fn lease(ip: &str, n: u8) -> Lease {
    Lease {
        ip: ip.parse().unwrap(),
        mac: mac(n),
        serial: Serial::parse("SN-1"),
        port: place().port,
        source: LeaseSource::Observed,
        since: at(1),
        until: at(3600),
    }
}

pub(crate) fn site(name: &str) -> Site {
    Site {
        name: name.to_owned(),
        prefixes: vec![
            "192.0.2.0/24".parse().unwrap(),
            "2001:db8::/48".parse().unwrap(),
        ],
        timezone: "Europe/Berlin".to_owned(),
        nat: false,
        expect: 12,
        corroborate: Corroborate::Prefix,
        believed_since: Some(at(4)),
        doubt: Some(Doubt::NeverReported),
        keys_at_l2: true,
        public_url: Some("https://p.example.net/".to_owned()),
        public_http_url: None,
        public_tftp: None,
        change_window: "Mon-Thu 20:00-05:00".to_owned(),
        version: 0,
    }
}

pub(crate) fn alert(device: DeviceId) -> Alert {
    Alert {
        kind: AlertKind::TokenMismatch,
        device,
        first: at(5),
        last: at(5),
        count: 1,
        places: vec!["hq port 3".to_owned()],
        text: "look".to_owned(),
    }
}

pub(crate) fn job(id: &str, second: i64) -> Job {
    Job {
        id: id.to_owned(),
        kind: "import".to_owned(),
        title: "phones.csv".to_owned(),
        actor: "root".to_owned(),
        state: JobState::Partly,
        began: at(second),
        updated: at(second),
        total: 1000,
        done: 970,
        failed: 30,
        body: Some(vec![b'{'; 10_000]),
    }
}

pub(crate) fn published() -> Published {
    Published {
        vendor: "acme".to_owned(),
        family: "desk".to_owned(),
        profile: "default".to_owned(),
        digest: digest(3),
        at: at(2),
        by: "root".to_owned(),
        reason: "first".to_owned(),
    }
}

/// Writes one of everything.
pub(crate) async fn fill(store: &Store) {
    let (one, two) = (DeviceId(1), DeviceId(2));
    let sealed = |n| {
        Some(Sealed {
            key_id: 1,
            bytes: vec![n; 40],
        })
    };
    let secret = |owner, field: &str, n| Write::PutSecret {
        owner,
        field: field.to_owned(),
        sealed: sealed(n),
    };
    let writes = vec![
        Write::PutConfig {
            id: one,
            config: Box::new(rich(1)),
            expect: Expect::New,
            tokens: vec![
                (digest(11), 4, TokenKind::Unit),
                (digest(12), 4, TokenKind::Report),
            ],
        },
        put(2, plain(2), Expect::New),
        Write::PutStatus {
            id: one,
            status: Box::new(seen()),
            expect: 0,
        },
        secret(Owner::Device(one), "line.1.password", 5),
        secret(Owner::Device(one), "admin_password", 6),
        secret(Owner::Scope(Layer::Site, "hq".to_owned()), "wifi", 7),
        Write::AddCheck(check(one, 77, 50)),
        Write::AddCheck(check(two, 78, 60)),
        Write::PutAlert(alert(one)),
        Write::PutLease(lease("192.0.2.7", 1)),
        Write::PutLease(lease("2001:db8::7", 1)),
        Write::PutScope(Scope {
            layer: Layer::Site,
            name: "hq".to_owned(),
            variables: variables(),
            changed_at: Some(at(3)),
            version: 0,
        }),
        Write::PutSite(site("hq")),
        Write::PutWaiver(Waiver {
            site: "hq".to_owned(),
            models: vec!["D1".to_owned(), "*".to_owned()],
            until: at(1000),
            why: "old".to_owned(),
        }),
        Write::PutPbx(Pbx {
            name: "berlin".to_owned(),
            sip_server: "pbx.example.net".to_owned(),
            srtp: true,
            ..Pbx::default()
        }),
        Write::PutBundle {
            digest: digest(3),
            bytes: (0..20_000_u32).flat_map(u32::to_be_bytes).collect(),
        },
        Write::Publish(published()),
        Write::PutAnchor {
            vendor: "acme".to_owned(),
            der: vec![0x30; 700],
        },
        Write::PutJob(job("j1", 4)),
        Write::PinCertificate {
            device: one,
            fingerprint: digest(9),
        },
        Write::Audit(AuditEntry {
            seq: 0,
            at: at(6),
            actor: "root".to_owned(),
            action: "device add".to_owned(),
            subject: one.to_string(),
            outcome: "done".to_owned(),
            detail: String::new(),
        }),
        Write::PutMeta("catalog".to_owned(), vec![1, 2, 3]),
    ];
    let committed = store.commit(Batch::now(writes)).await.expect("committed");
    assert_eq!(committed.first_check_seq, Some(1));
    assert_eq!(committed.versions[..3], [1, 1, 1]);
}

/// Everything that can be asked, as one text: equal texts are equal stores.
pub(crate) async fn told(store: &Store) -> String {
    let ask = KnownAsk {
        macs: vec![mac(1), mac(2), mac(3)],
        serials: vec![Serial::parse("SN-1").unwrap()],
        token: Some(digest(11)),
        report: Some(digest(12)),
        source: Some("192.0.2.7".parse().unwrap()),
    };
    let owners = [
        Owner::Device(DeviceId(1)),
        Owner::Scope(Layer::Site, "hq".to_owned()),
    ];
    let mut text = String::new();
    let mut say = |what: &dyn std::fmt::Debug| text.push_str(&format!("{what:?}\n"));
    say(&store.known(&ask).await.unwrap());
    say(&store.devices(&Filter::default(), None, 99).await.unwrap());
    for owner in &owners {
        for (field, sealed) in store.secrets(owner).await.unwrap() {
            assert_eq!(
                store.secret(owner, &field).await.unwrap().as_ref(),
                Some(&sealed)
            );
            say(&(field, sealed.key_id, sealed.bytes));
        }
    }
    say(&store.scopes().await.unwrap());
    say(&store.scope(Layer::Site, "hq").await.unwrap());
    say(&store.sites().await.unwrap());
    say(&store.waivers().await.unwrap());
    say(&store.pbxs().await.unwrap());
    say(&store.published().await.unwrap());
    say(&store.history("acme", "desk", "default").await.unwrap());
    say(&store.bundle(digest(3)).await.unwrap());
    let filter = CheckFilter {
        limit: 99,
        ..CheckFilter::default()
    };
    say(&store.checks(&filter).await.unwrap());
    say(&store.alerts().await.unwrap());
    say(&store.anchors().await.unwrap());
    say(&store.leases().await.unwrap());
    say(&store.jobs().await.unwrap());
    say(&store.job("j1").await.unwrap());
    say(&store.audit(0, 99).await.unwrap());
    say(&store.meta("catalog").await.unwrap());
    text
}
