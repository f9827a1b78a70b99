//! What a unit is told by DHCP and PnP, and who it is taken for: the pure part.

mod behaviours;
mod boots;
mod replies;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dialtone::catalog::{Catalog, Files};
use dialtone::engine::boot::Beginning;
use dialtone::engine::facts::{DhcpFacts, Facts};
use dialtone::engine::https::Front;
use dialtone::engine::identify::claims;
use dialtone::engine::known::{Known, World};
use dialtone::engine::point;
use dialtone::engine::reply::Bases;
use dialtone::engine::resolve::Values;
use dialtone::engine::target;
use dialtone::engine::verdict::{Decision, Verdict};
use dialtone::model::device::{Config, Device, Lifecycle, Status};
use dialtone::model::enrolment::Arming;
use dialtone::model::identity::{BootId, Channel, DeviceId, Mac};
use dialtone::model::profile::Variables;
use jiff::{SignedDuration, Timestamp};

use crate::render::folders;

const VENDOR: &str = r#"
vendor = "acme"
names = ["Acme"]
default_family = "gear"
oui = ["02005e"]
[[recognise]]
channel = "dhcp"
options = { 60 = "Acme {model}" }
[[recognise]]
channel = "dhcp"
options = { 60 = "Acme;{serial}" }
[[recognise]]
channel = "sip-pnp"
event = { vendor = "Acme" }
[table.number]
"4" = "http"
"5" = "https"
[table.kind]
"1" = "hostname"
"2" = "ipv4"
"#;

const OTHER: &str = r#"
vendor = "bolt"
names = ["Bolt"]
default_family = "thing"
[[recognise]]
channel = "dhcp"
options = { 60 = "Bolt" }
"#;

/// Two vendors; the first one's family says `more`.
pub(super) fn catalog(more: &str) -> Arc<Catalog> {
    catalog_where(more, "", "")
}

/// The same, and the first one's family says `to` for `from`.
pub(super) fn catalog_where(more: &str, from: &str, to: &str) -> Arc<Catalog> {
    let mut files = folders("ini", "a = 1\n");
    let family = &files.0["acme/gear/family.toml"];
    let family = String::from_utf8(family.clone()).unwrap();
    let family = family.replacen("models = [\"G1\"]", "models = [\"G1\", \"G2\"]", 1);
    let family = family.replacen("first = [\"http\"]", "first = [\"https\", \"http\"]", 1);
    put(&mut files, "acme/vendor.toml", VENDOR);
    let thing = family.replace("family = \"gear\"", "family = \"thing\"");
    put(&mut files, "bolt/vendor.toml", OTHER);
    put(&mut files, "bolt/thing/family.toml", &thing);
    for name in ["sample.toml", "config.j2", "common.j2"] {
        let held = files.0[&format!("acme/gear/{name}")].clone();
        files.0.insert(format!("bolt/thing/{name}"), held);
    }
    let gear = family.replacen("[report]", &format!("{more}\n[report]"), 1);
    let gear = gear.replacen(from, to, 1);
    put(&mut files, "acme/gear/family.toml", &gear);
    let (catalog, problems) = Catalog::from_files(&files);
    catalog.unwrap_or_else(|| panic!("{problems:#?}"))
}

pub(super) fn put(files: &mut Files, path: &str, text: &str) {
    files.0.insert(path.to_owned(), text.as_bytes().to_vec());
}

pub(super) fn bases() -> Bases {
    Bases {
        https: Some("https://prov.example.net:8443/x/".to_owned()),
        http: Some("http://prov.example.net/".to_owned()),
        tftp: Some("192.0.2.1".to_owned()),
        public_certificate: false,
    }
}

pub(super) const CHADDR: &str = "02005e000001";

pub(super) fn asks(options: &[(u8, &[u8])]) -> Facts {
    let mut facts = Facts::new(Channel::Dhcp, target::parse(b"/").unwrap());
    let options = options
        .iter()
        .map(|(code, octets)| (*code, octets.to_vec()));
    facts.dhcp = Some(DhcpFacts {
        message: "discover".to_owned(),
        chaddr: Mac::parse(CHADDR).ok(),
        options: options.collect(),
        ..DhcpFacts::default()
    });
    facts
}

pub(super) fn device(vendor: &str, family: &str, model: &str) -> Device {
    let start = Timestamp::UNIX_EPOCH;
    Device {
        id: DeviceId(1),
        config: Arc::new(Config {
            mac: Mac::parse(CHADDR).ok(),
            serial: None,
            vendor: vendor.to_owned(),
            family: family.to_owned(),
            model: model.to_owned(),
            site: Some("hq".to_owned()),
            groups: Vec::new(),
            user: None,
            profile: "default".to_owned(),
            variables: Variables::default(),
            lines: Vec::new(),
            keys: Vec::new(),
            lifecycle: Lifecycle::Listed,
            arming: Arming {
                generation: 1,
                from: start,
                until: start,
                open_at: None,
                keys: false,
                without_certificate: false,
                exposed: Vec::new(),
            },
            note: String::new(),
            changed_at: start,
            created_at: start,
            release: false,
            version: 1,
        }),
        status: Arc::new(Status {
            generation: 1,
            ..Status::default()
        }),
    }
}

/// Decides for a unit, at second `at` of its time.
pub(super) fn decide(facts: &Facts, known: &Known, before: Option<&Beginning>, at: i64) -> Verdict {
    decide_by(&catalog(POINTERS), facts, known, before, at)
}

/// Options and a URL that units of the family are told.
pub(super) const POINTERS: &str =
    "[[dhcp]]\noptions = { 66 = \"{pointer}\" }\n[sip_pnp]\nurl = \"{pointer}/\"";

/// The same by other folders.
pub(super) fn decide_by(
    catalog: &Catalog,
    facts: &Facts,
    known: &Known,
    before: Option<&Beginning>,
    at: i64,
) -> Verdict {
    let claims = claims(facts, catalog);
    let who = point::who(facts.channel, &claims, known, catalog);
    world(at, |world| {
        let told = (&bases(), &Values::new());
        point::decide(facts, &claims, &who, told, before, world)
    })
}

/// A world without sites, at second `at` of its time.
pub(super) fn world<T>(at: i64, what: impl FnOnce(&World<'_>) -> T) -> T {
    let sites = (BTreeMap::new(), BTreeMap::new());
    let (published, anchored) = (BTreeMap::new(), BTreeSet::new());
    let world = World {
        now: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(at),
        fresh_boot: BootId(u64::try_from(at).unwrap() + 1),
        sites: &sites.0,
        zones: &sites.1,
        waivers: &[],
        published: &published,
        anchored: &anchored,
        registrar: false,
        front: Front {
            base: Some("https://prov.example.net/"),
            certified: &[],
        },
    };
    what(&world)
}

pub(super) fn listed(vendor: &str, family: &str, model: &str) -> Known {
    Known {
        by_mac: Some(device(vendor, family, model)),
        ..Known::default()
    }
}

pub(super) fn is_pointed(verdict: &Verdict) -> bool {
    matches!(verdict.decision, Decision::Point(_))
}
