//! A server with an inventory, and the units that stand around it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use dialtone::engine::https;
use dialtone::hub::{Bases, Hub};
use dialtone::model::activation::{Activation, Check};
use dialtone::model::device::{Config, Device, Lifecycle, Line, TENANT};
use dialtone::model::enrolment::Arming;
use dialtone::model::event::AlertKind;
use dialtone::model::identity::{DeviceId, Mac, Serial};
use dialtone::model::lease::{Lease, LeaseSource};
use dialtone::model::profile::{Layer, Scope, Value, Variables};
use dialtone::model::secret::Secret;
use dialtone::model::site::{Site, Waiver};
use dialtone::service::Service;
use dialtone::simulate::{Clock, Identity, Surroundings, Unit};
use dialtone::store::{Batch, CheckFilter, Expect, Owner, Published, TokenKind, Write};
use jiff::{SignedDuration, Span, Timestamp};
use rustls::pki_types::CertificateDer;

use crate::simulate_bench::conduct;
use crate::support::{Server, TestClock};

/// The site of every walk: loopback, which stands for a branch office.
const SITE: &str = r#"
[[site]]
name = "hq"
prefixes = ["127.0.0.0/8"]
timezone = "Europe/Berlin"
CORROBORATE
"#;

/// The server, its clock and its door.
pub(super) struct Scene {
    pub(super) server: Server,
    pub(super) service: Service,
}

/// A unit of the inventory, as an import would list it.
pub(super) struct Listed<'a> {
    pub(super) family: &'a str,
    pub(super) model: &'a str,
    pub(super) mac: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
    /// User and password of its one line.
    pub(super) account: Option<(&'a str, &'a str)>,
    /// Secret variables.
    pub(super) secrets: &'a [(&'a str, &'a str)],
    /// Plain ones.
    pub(super) texts: &'a [(&'a str, &'a str)],
}

impl Default for Listed<'_> {
    fn default() -> Self {
        Self {
            family: "yealink/sip-t4-t5",
            model: "T46S",
            mac: Some("805ec0d57d72"),
            serial: None,
            account: Some(("214", "s3cret-of-214")),
            secrets: &[("admin_password", "adm1n-of-214")],
            texts: &[],
        }
    }
}

impl Scene {
    /// A server whose site corroborates by lease.
    pub(super) async fn by_lease() -> Self {
        Self::new("", &[]).await
    }

    /// The same with files of a folder that stands before the built-in profiles.
    pub(super) async fn with_profiles(files: &[(&str, String)]) -> Self {
        Self::new("", files).await
    }

    /// A server whose site corroborates by prefix.
    pub(super) async fn by_prefix() -> Self {
        Self::new("corroborate = \"prefix\"", &[]).await
    }

    /// The same, and the site says how many units it has.
    pub(super) async fn by_prefix_expecting(units: u32) -> Self {
        let lines = format!("corroborate = \"prefix\"\nexpect = {units}");
        Self::new(&lines, &[]).await
    }

    async fn new(corroborate: &str, files: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profiles = folder.path().join("profiles");
        std::fs::create_dir(&profiles).unwrap();
        for (name, text) in files {
            let file = profiles.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let site = SITE.replace("CORROBORATE", corroborate);
        let more = format!(
            "profiles = [{:?}, \"builtin:\"]\n{site}",
            profiles.display().to_string()
        );
        let mut made = None;
        let door = |hub: &Arc<Hub>| made.insert(Service::new(Arc::clone(hub))).clone();
        let server = Server::start_in(folder, TestClock::new(), &more, door).await;
        Self::of(server.unwrap(), made).await
    }

    /// A server with these lines of a configuration and of `[listen]`.
    pub(super) async fn listening(more: &str, listen: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut made = None;
        let door = |hub: &Arc<Hub>| made.insert(Service::new(Arc::clone(hub))).clone();
        let server = Server::start_at(folder, TestClock::new(), (more, listen), door).await;
        Self::of(server.unwrap(), made).await
    }

    async fn of(server: Server, made: Option<Service>) -> Self {
        let scene = Self {
            server,
            service: made.expect("the door was asked for"),
        };
        scene.settle().await;
        scene.publish().await;
        scene
    }

    pub(super) fn hub(&self) -> &Hub {
        self.server.hub()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.server.clock.now()
    }

    /// Lets time pass, and the sweep look.
    pub(super) async fn pass(&self, span: Span) {
        self.server.clock.pass(span);
        self.service.sweep().await.unwrap();
    }

    /// The configuration's sites, as rows.
    async fn settle(&self) {
        let text = std::fs::read_to_string(self.server.path("dialtone.toml")).unwrap();
        let config = dialtone::config::Config::parse("dialtone.toml", &text).unwrap();
        let rows = self.hub().store.settings().unwrap();
        let fresh = config
            .rows
            .sites
            .iter()
            .filter(|site| !rows.sites.contains_key(&site.name))
            .map(|site| site.over(Site::new(&site.name)));
        let writes: Vec<Write> = fresh.map(Write::PutSite).collect();
        self.write(writes).await;
    }

    /// Puts the folders' drafts in force, as a reload does.
    pub(super) async fn publish(&self) {
        let catalog = self.hub().catalog.load_full();
        let mut writes = Vec::new();
        for vendor in catalog.vendors.values() {
            for family in vendor.families.keys() {
                let Some(bundle) = catalog.draft(&vendor.id, family, "default") else {
                    continue;
                };
                writes.push(Write::PutBundle {
                    digest: bundle.digest,
                    bytes: bundle.bytes,
                });
                writes.push(Write::Publish(Published {
                    vendor: vendor.id.clone(),
                    family: family.clone(),
                    profile: "default".to_owned(),
                    digest: bundle.digest,
                    at: self.now(),
                    by: "test".to_owned(),
                    reason: String::new(),
                }));
            }
        }
        self.write(writes).await;
    }

    /// Whether the certificate that is shown counts as one that somebody else signed.
    pub(super) fn certify(&self, public: bool) {
        let mut bases = Bases::clone(&self.hub().bases.load());
        let host = bases.https.as_deref().and_then(https::host).unwrap();
        let host = public.then(|| host.to_owned());
        bases.certified = host.into_iter().collect();
        self.hub().bases.store(Arc::new(bases));
    }

    pub(super) async fn write(&self, writes: Vec<Write>) {
        self.hub().store.commit(Batch::now(writes)).await.unwrap();
    }

    /// Puts a unit into the inventory, armed for 60 days.
    pub(super) async fn list(&self, listed: &Listed<'_>) -> DeviceId {
        let id = DeviceId((self.hub().random)().unwrap());
        let (vendor, family) = listed.family.split_once('/').unwrap();
        let now = self.now();
        let mut variables = Variables::default();
        let mut writes = Vec::new();
        let owner = Owner::Device(id);
        let mut seal = |field: &str, secret: &str| {
            let secret = Secret::new(secret.to_owned());
            let sealed = self.hub().keys.seal(&secret, &owner.aad(field)).unwrap();
            writes.push(Write::PutSecret {
                owner: owner.clone(),
                field: field.to_owned(),
                sealed: Some(sealed),
            });
        };
        for (name, secret) in listed.secrets {
            seal(name, secret);
            variables.0.insert((*name).to_owned(), Value::Secret);
        }
        for (name, text) in listed.texts {
            variables
                .0
                .insert((*name).to_owned(), Value::Text((*text).to_owned()));
        }
        let mut lines = Vec::new();
        if let Some((user, password)) = listed.account {
            seal("line.1.password", password);
            lines.push(Line {
                n: 1,
                enabled: true,
                user: user.to_owned(),
                has_password: true,
                server: Some("pbx.test".to_owned()),
                ..Line::default()
            });
        }
        let config = Config {
            mac: listed.mac.map(|mac| Mac::parse(mac).unwrap()),
            serial: listed.serial.map(|serial| Serial::parse(serial).unwrap()),
            vendor: vendor.to_owned(),
            family: family.to_owned(),
            model: listed.model.to_owned(),
            site: Some("hq".to_owned()),
            groups: Vec::new(),
            user: None,
            profile: "default".to_owned(),
            variables,
            lines,
            keys: Vec::new(),
            lifecycle: Lifecycle::Listed,
            arming: Arming {
                generation: 1,
                from: now,
                until: now + SignedDuration::from_hours(24 * 60),
                open_at: None,
                keys: false,
                without_certificate: false,
                exposed: Vec::new(),
            },
            note: String::new(),
            changed_at: now,
            created_at: now,
            release: false,
            version: 0,
        };
        writes.insert(0, self.put(id, config, Expect::New));
        self.write(writes).await;
        id
    }

    fn put(&self, id: DeviceId, config: Config, expect: Expect) -> Write {
        let keys = &self.hub().keys;
        let generation = config.arming.generation;
        let unit = keys.digest_of(&keys.unit_token(id, generation));
        let report = keys.digest_of(&keys.report_secret(id, generation));
        Write::PutConfig {
            id,
            config: Box::new(config),
            expect,
            tokens: vec![
                (unit, generation, TokenKind::Unit),
                (report, generation, TokenKind::Report),
            ],
        }
    }

    /// What a person changes about a unit.
    pub(super) async fn change(&self, id: DeviceId, change: impl FnOnce(&mut Config)) {
        let device = self.device(id).await;
        let mut config = Config::clone(&device.config);
        let expect = Expect::Version(config.version);
        change(&mut config);
        let put = self.put(id, config, expect);
        self.write(vec![put]).await;
    }

    /// A secret that a person sets.
    pub(super) async fn secret(&self, id: DeviceId, field: &str, secret: &str) {
        let owner = Owner::Device(id);
        let secret = Secret::new(secret.to_owned());
        let sealed = self.hub().keys.seal(&secret, &owner.aad(field)).unwrap();
        let field = field.to_owned();
        self.write(vec![Write::PutSecret {
            owner,
            field,
            sealed: Some(sealed),
        }])
        .await;
        let now = self.now();
        self.change(id, |config| config.changed_at = now).await;
    }

    /// Our own CA.
    pub(super) fn ca(&self) -> CertificateDer<'static> {
        crate::tls::pem_to_der(&self.hub().ca_pem).into()
    }

    /// What bare switches of the site install.
    pub(super) async fn offers_image(&self, url: &str) {
        let image = [("url".to_owned(), Value::Text(url.to_owned()))];
        let images = Value::List(vec![Value::Table(image.into())]);
        let variables = Variables([("nos_images".to_owned(), images)].into());
        let scope = Scope {
            layer: Layer::Site,
            name: "hq".to_owned(),
            variables,
            changed_at: Some(self.now()),
            version: 0,
        };
        self.write(vec![Write::PutScope(scope)]).await;
    }

    /// `device arm`.
    pub(super) async fn arm(&self, id: DeviceId) {
        let now = self.now();
        self.change(id, |config| {
            config.arming.generation += 1;
            config.arming.from = now;
            config.arming.until = now + SignedDuration::from_hours(24 * 60);
        })
        .await;
    }

    /// Our own DHCP's lease.
    pub(super) async fn lease(&self, ip: &str, mac: &str) {
        self.lease_of(ip, mac, None).await;
    }

    /// The same to a client that named its serial.
    pub(super) async fn lease_of(&self, ip: &str, mac: &str, serial: Option<Serial>) {
        let lease = Lease {
            ip: ip.parse().unwrap(),
            mac: Mac::parse(mac).unwrap(),
            serial,
            port: None,
            source: LeaseSource::Own,
            since: self.now(),
            until: self.now() + SignedDuration::from_hours(24 * 365),
        };
        self.write(vec![Write::PutLease(lease)]).await;
    }

    pub(super) async fn waive(&self, model: &str) {
        let waiver = Waiver {
            site: "hq".to_owned(),
            models: vec![model.to_owned()],
            until: self.now() + SignedDuration::from_hours(24 * 90),
            why: "speaks TLS 1.0 only".to_owned(),
        };
        self.write(vec![Write::PutWaiver(waiver)]).await;
    }

    pub(super) async fn device(&self, id: DeviceId) -> Device {
        self.hub().store.device(id).await.unwrap().unwrap()
    }

    /// Where it stands now.
    pub(super) async fn activation(&self, id: DeviceId) -> Activation {
        self.device(id).await.status_copy().activation
    }

    /// Its checks, oldest first.
    pub(super) async fn checks(&self, id: DeviceId) -> Vec<Check> {
        let filter = CheckFilter {
            device: Some(id),
            limit: 1000,
            ..CheckFilter::default()
        };
        self.hub().store.checks(&filter).await.unwrap()
    }

    /// `channel kind outcome reason path level` of each check.
    pub(super) async fn told(&self, id: DeviceId) -> Vec<String> {
        let checks = self.checks(id).await;
        let line = |check: &Check| {
            format!(
                "{} {} {} {} {} {}",
                check.channel.as_str(),
                check.kind.as_str(),
                check.outcome.as_str(),
                check.reason,
                check.path.as_deref().unwrap_or("-"),
                check.assurance,
            )
        };
        checks.iter().map(line).collect()
    }

    pub(super) async fn alerts(&self, id: DeviceId) -> Vec<AlertKind> {
        let alerts = self.hub().store.alerts().await.unwrap();
        alerts
            .into_iter()
            .filter(|alert| alert.device == id)
            .map(|alert| alert.kind)
            .collect()
    }

    /// A factory unit at an address of its own, pointed at our plain address by DHCP.
    pub(super) fn unit(&self, family: &str, mac: &str, ip: &str) -> Unit {
        self.unit_in(family, mac, self.around(ip))
    }

    /// The same in other surroundings.
    #[expect(clippy::unused_self, reason = "a unit stands in its scene")]
    pub(super) fn unit_in(&self, family: &str, mac: &str, around: Surroundings) -> Unit {
        let conduct = conduct(family);
        let mut who = Identity::sample(&conduct).unwrap();
        who.mac = Mac::parse(mac).unwrap();
        Unit::factory(conduct, who, around).unwrap()
    }

    /// The same, pointed at our TFTP address.
    pub(super) fn unit_by_tftp(&self, family: &str, mac: &str, ip: &str) -> Unit {
        let around = Surroundings {
            pointer: Some(self.server.tftp()),
            ..self.around(ip)
        };
        self.unit_in(family, mac, around)
    }

    pub(super) fn around(&self, ip: &str) -> Surroundings {
        Surroundings {
            pointer: Some(self.server.http()),
            bind: Some(ip.parse::<IpAddr>().unwrap()),
            client_certificate: None,
            public_roots: Vec::new(),
            vendor_roots: Vec::new(),
            registrar_ok: true,
            python: true,
            longest: Duration::from_secs(6 * 3600),
            clock: Arc::new(UnitClock(self.server.clock.clone())),
        }
    }

    pub(super) async fn stop(self) {
        assert_eq!(TENANT, "default");
        drop(self.service);
        self.server.stop().await;
    }
}

/// The unit lives in the server's time.
struct UnitClock(TestClock);

impl Clock for UnitClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        self.0.pass(
            Span::new()
                .milliseconds(i64::try_from(time.as_millis()).expect("a time that a unit waits")),
        );
        Box::pin(std::future::ready(true))
    }
}
