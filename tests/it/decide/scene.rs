//! One request and the world around it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dialtone::catalog::manifest::Always;
use dialtone::catalog::{Catalog, Files};
use dialtone::engine::decide::{UnitSide, decide};
use dialtone::engine::facts::Facts;
use dialtone::engine::https::Front;
use dialtone::engine::identify::{claims, digest_of};
use dialtone::engine::known::{Known, Needs, World};
use dialtone::engine::select::{Subject, select};
use dialtone::engine::target;
use dialtone::engine::verdict::Verdict;
use dialtone::model::access::Class;
use dialtone::model::certificate::{Name, PeerCertificate};
use dialtone::model::device::{Config, Device, Lifecycle, Status};
use dialtone::model::enrolment::Arming;
use dialtone::model::identity::{BootId, Channel, DeviceId, Digest, Mac};
use dialtone::model::lease::{Lease, LeaseSource};
use dialtone::model::profile::Variables;
use dialtone::model::secret::Secret;
use dialtone::model::site::{Site, Waiver};
use jiff::{SignedDuration, Timestamp};

pub(super) const MAC: &str = "02:00:5e:00:00:01";
pub(super) const OTHER: &str = "02:00:5e:00:00:02";

const VENDOR: &str = r#"
vendor = "acme"
names = ["Acme"]
oui = ["02005e"]
[[recognise]]
channel = "http"
agent = "Acme {model} {mac:colon}"
[[recognise]]
channel = "http"
agent = "AcmeS {model} {mac:colon} {serial}"
[[recognise]]
channel = "http"
agent = "AcmeF {model} {firmware} {mac:colon}"
[[certificate]]
issuer = { O = "Acme" }
subject = { CN = "{mac}" }
shared = [{ CN = "generic" }]
always = ["C1"]
"#;

fn family(id: &str, models: &str, more: &str) -> String {
    format!(
        r#"
family = "{id}"
label = "{id}"
reach = "full"
models = [{models}]
{more}
[[artefact]]
id = "common"
kind = "common-config"
paths = ["{id}/common.cfg"]
scope = "family"
order = 1
template = "common.j2"
format = "text"
[[artefact]]
id = "device"
kind = "device-config"
paths = ["{id}/{{mac:lower}}.cfg"]
scope = "unit"
order = 2
template = "device.j2"
bootstrap = "bootstrap.j2"
format = "text"
useful_from = "credential"
[[artefact]]
id = "spare"
kind = "device-config"
paths = ["{id}/spare.cfg"]
scope = "family"
order = 3
required = false
template = "common.j2"
format = "text"
fallback_of = "device"
"#
    )
}

const DEVICE: &str = "{% if release %}{% include \"ID/release.j2\" %}{% else %}\
{% if url.https is defined %}ask {{ url.https }}\n{% endif %}\
{% if grant.credential %}{% include \"ID/pin.j2\" %}\
{% if url.token is defined %}next {{ url.token }}\n{% endif %}\
{% for line in lines %}user {{ line.user }}\n{% endfor %}\
{% if report.registered is defined %}say {{ report.registered }}\n{% endif %}{% endif %}\
{% if grant.key and community is defined %}community {{ community }}\n{% endif %}{% endif %}";

const SOURCES: &str = r#"
[sources]
order = ["dhcp"]
pin = PIN
ceiling = "CEILING"
[report]
registered = "{report}/ok"
proof = ["report"]
stall_after = "15m"
"#;

fn transport(tls: &str) -> String {
    format!(
        "[transport]\nfirst = [\"https\", \"http\"]\ntrusts = \"public\"\nafter = \"own-ca\"\ntls = \"{tls}\"\n"
    )
}

fn catalog() -> Arc<Catalog> {
    let sources =
        |pin: &str, ceiling: &str| SOURCES.replace("PIN", pin).replace("CEILING", ceiling);
    let keep = "[absent]\nmeans = \"keep\"\nsource = \"a test\"\n[refusal]\nhttp = 404\n[bootstrap]\nnext = \"setting\"\n";
    let reset =
        "[absent]\nmeans = \"reset\"\n[refusal]\nhttp = 503\n[bootstrap]\nnext = \"setting\"\n";
    let modern = transport("1.2");
    let old = transport("1.0");
    let same = modern.replace("own-ca", "same");
    let families = [
        (
            "keeps",
            "\"K1\", \"C1\"",
            format!(
                "asks = \"every boot\"\nfirmware_range = {{ K1 = \">=2.2\" }}\n{modern}{}{keep}",
                sources("true", "L2")
            ),
        ),
        (
            "resets",
            "\"R1\"",
            format!(
                "asks = \"every boot\"\n{modern}{}{reset}",
                sources("true", "L2")
            ),
        ),
        (
            "once",
            "\"O1\"",
            format!(
                "asks = \"once\"\nmac_offset = 2\n{modern}{}{reset}",
                sources("false", "L2")
            ),
        ),
        (
            "old",
            "\"P1\"",
            format!(
                "asks = \"every boot\"\n{old}{}{keep}",
                sources("false", "L1")
            ),
        ),
        (
            "same",
            "\"S1\"",
            format!(
                "asks = \"every boot\"\n{same}{}{keep}",
                sources("true", "L2")
            ),
        ),
    ];
    let mut files = BTreeMap::from([
        ("acme/vendor.toml".to_owned(), VENDOR.as_bytes().to_vec()),
        (
            "schema.toml".to_owned(),
            b"[locale]\ntype = \"text\"\nclass = \"public\"\nmeaning = \"a language\"\n[domain]\ntype = \"text\"\nclass = \"site\"\nmeaning = \"a domain\"\n[community]\ntype = \"text\"\nclass = \"key\"\nmeaning = \"a key\"\n".to_vec(),
        ),
    ]);
    for (id, models, more) in families {
        let mut put = |name: &str, text: String| {
            files.insert(format!("acme/{id}/{name}"), text.into_bytes());
        };
        put("family.toml", family(id, models, &more));
        put(
            "common.j2",
            "hello{% if locale is defined %} {{ locale }}{% endif %}\n".to_owned(),
        );
        put("bootstrap.j2", "ask {{ url.https }}\n{% if grant.credential and url.token is defined %}next {{ url.token }}\n{% endif %}".to_owned());
        put("device.j2", DEVICE.replace("ID", id));
        put("pin.j2", "pin\n".to_owned());
        put("release.j2", "unpin\n".to_owned());
        put(
            "sample.toml",
            format!(
                "[unit]\nmac = \"02005e000009\"\nmodel = {}\n[variables]\nlocale = \"de\"\ndomain = \"example.net\"\ncommunity = \"k\"\n[[lines]]\nn = 1\nuser = \"1\"\npassword = \"p\"\n",
                models.split(',').next().unwrap()
            ),
        );
    }
    let (catalog, problems) = Catalog::from_files(&Files(files));
    catalog.unwrap_or_else(|| panic!("{problems:#?}"))
}

/// A request, and the world around it.
pub(super) struct Scene {
    pub(super) catalog: Arc<Catalog>,
    pub(super) now: Timestamp,
    pub(super) sites: BTreeMap<String, Site>,
    pub(super) waivers: Vec<Waiver>,
    pub(super) anchored: BTreeSet<String>,
    /// Names that somebody else certified.
    pub(super) certified: Vec<String>,
    pub(super) device: Device,
    pub(super) listed: bool,
    pub(super) lease: bool,
    /// Whose it is, and until when.
    pub(super) lease_of: Mac,
    pub(super) lease_until: Timestamp,
    pub(super) channel: Channel,
    pub(super) path: String,
    pub(super) agent: Option<String>,
    pub(super) token: Option<u32>,
    pub(super) certificate: Option<PeerCertificate>,
    pub(super) needs: Class,
    pub(super) refused: BTreeSet<String>,
    /// Other units that the site's prefix was believed for.
    pub(super) beside: u32,
}

pub(super) fn at(hour: i64) -> Timestamp {
    // A Monday, nine in the morning, and so many hours later.
    "2026-11-23T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

impl Scene {
    pub(super) fn new(family: &str, model: &str) -> Self {
        let config = Config {
            mac: Mac::parse(MAC).ok(),
            serial: None,
            vendor: "acme".to_owned(),
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
                from: at(0),
                until: at(24 * 60),
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
        };
        let site = Site {
            prefixes: vec!["10.0.0.0/8".parse().unwrap()],
            ..Site::new("hq")
        };
        Self {
            catalog: catalog(),
            now: at(1),
            sites: BTreeMap::from([("hq".to_owned(), site)]),
            waivers: Vec::new(),
            anchored: BTreeSet::new(),
            certified: Vec::new(),
            device: Device {
                id: DeviceId(1),
                config: Arc::new(config),
                status: Arc::new(Status {
                    generation: 1,
                    ..Status::default()
                }),
            },
            listed: true,
            lease: false,
            lease_of: Mac::parse(MAC).unwrap(),
            lease_until: at(10_000),
            channel: Channel::Https,
            path: format!("{family}/02005e000001.cfg"),
            agent: None,
            token: None,
            certificate: None,
            needs: Class::Credential,
            refused: BTreeSet::new(),
            beside: 0,
        }
    }

    pub(super) fn leased(mut self) -> Self {
        self.lease = true;
        self
    }

    pub(super) fn plain(mut self) -> Self {
        self.channel = Channel::Http;
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn certified(mut self, cn: &str, verified: bool) -> Self {
        let pair = |name: &str, value: &str| Name(vec![(name.to_owned(), value.to_owned())]);
        self.certificate = Some(PeerCertificate {
            subject: pair("CN", cn),
            issuer: Some(pair("O", "Acme")),
            alternatives: Vec::new(),
            fingerprint: Some(Digest([9; 32])),
            verified: if verified {
                vec!["acme".to_owned()]
            } else {
                Vec::new()
            },
            own: false,
            trouble: (!verified).then(|| "no-anchor".to_owned()),
        });
        self
    }

    pub(super) fn decide(&self) -> Verdict {
        let source: IpAddr = [10, 0, 0, 7].into();
        let token = Secret::new("abcdefghijklmnopqrstuvwxyz234567".to_owned());
        let raw = match self.token {
            Some(_) => format!("/u/{}/{}", token.expose(), self.path),
            None => format!("/{}", self.path),
        };
        let mut facts = Facts::new(self.channel, target::parse(raw.as_bytes()).unwrap());
        facts.source = Some(source);
        facts.certificate = self.certificate.clone();
        if let Some(agent) = &self.agent {
            let value = dialtone::model::secret::Foreign::new(agent.as_bytes());
            facts.headers.push(("user-agent".to_owned(), value));
        }
        let claims = claims(&facts, &self.catalog);
        let own = claims.mac.is_some() && claims.mac == self.device.config.mac;
        let known = Known {
            by_mac: (self.listed && own).then(|| self.device.clone()),
            by_token: self
                .token
                .filter(|_| self.listed)
                .map(|n| (self.device.clone(), n)),
            lease: self.lease.then(|| Lease {
                ip: source,
                mac: self.lease_of,
                serial: None,
                port: None,
                source: LeaseSource::Own,
                since: at(0),
                until: self.lease_until,
            }),
            refused: self.refused.clone(),
            beside: self.beside,
            ..Known::default()
        };
        assert!(self.token.is_none() || claims.token == Some(digest_of(&token)));
        let (zones, published) = (BTreeMap::new(), BTreeMap::new());
        let world = World {
            now: self.now,
            fresh_boot: BootId(7),
            sites: &self.sites,
            zones: &zones,
            waivers: &self.waivers,
            published: &published,
            anchored: &self.anchored,
            registrar: false,
            front: Front {
                base: Some("https://prov.example.net/"),
                certified: &self.certified,
            },
        };
        let selected = select(&facts, &claims, &known, &self.catalog);
        let config = &self.device.config;
        let vendor = self.catalog.vendors.get("acme").unwrap();
        let always: Vec<&Always> = vendor
            .certificates
            .iter()
            .map(|rule| &rule.always)
            .collect();
        let family = self.catalog.family("acme", &config.family).unwrap();
        let side = matches!(selected.subject, Subject::Unit(_)).then_some(UnitSide {
            family,
            revision: Digest([1; 32]),
            needs: Needs {
                class: self.needs,
                changed_at: Some(config.changed_at),
            },
            always: &always,
        });
        decide(&facts, &claims, &known, &selected, side, &world)
    }
}
