//! One unit: who it is, what is around it, and what it keeps without power.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;

use super::Problem;
use super::belief::Belief;
use super::client::{Client, ClientCertificate};
use super::conduct::{Anchors, Conduct, When};
use super::fill::Filler;
use super::story::{Again, Story};
use crate::model::identity::Mac;
use crate::model::secret::Secret;

/// What is printed on the unit, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub mac: Mac,
    /// May be empty where the family names none.
    pub serial: String,
    pub model: String,
    pub firmware: String,
}

impl Identity {
    /// The unit that the conduct names for whoever names none.
    pub fn sample(conduct: &Conduct) -> Result<Self, Problem> {
        let unit = &conduct.unit;
        let mac = Mac::parse(&unit.mac)
            .map_err(|error| Problem(format!("unit.mac {:?}: {error}", unit.mac)))?;
        Ok(Self {
            mac,
            serial: unit.serial.clone(),
            model: unit.model.clone(),
            firmware: unit.firmware.clone(),
        })
    }
}

/// The unit's time: a test's own, or the machine's.
pub trait Clock: Send + Sync {
    /// What the unit takes for now.
    fn now(&self) -> Timestamp;
    /// Lets time pass. `false`: nobody waits any longer, and the unit is switched off.
    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// What is around a unit. The caller may change it between runs.
#[derive(Clone)]
pub struct Surroundings {
    /// The server's address as DHCP or PnP would hand it out.
    pub pointer: Option<String>,
    /// The unit's own address.
    pub bind: Option<IpAddr>,
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What a unit that trusts the public roots trusts; empty: none.
    pub public_roots: Vec<CertificateDer<'static>>,
    /// What a unit that trusts its maker's CA only trusts.
    pub vendor_roots: Vec<CertificateDer<'static>>,
    /// Whether the call server takes its account.
    pub registrar_ok: bool,
    /// Whether a script in Python may run as a process of this machine. It has stand-ins around it,
    /// and no prison: only for servers that are trusted as far.
    pub python: bool,
    /// The longest that its scripts may wait in one run: then somebody switches it off.
    pub longest: Duration,
    pub clock: Arc<dyn Clock>,
}

/// A line that the unit could register with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub line: u16,
    pub user: String,
    pub password: Secret,
    pub server: String,
}

/// CAs that a unit was given, by where it took them from.
pub(super) type Cas = BTreeMap<String, Vec<CertificateDer<'static>>>;

/// What a unit keeps without power.
#[derive(Clone, Debug, Default)]
pub(super) struct Flash {
    pub(super) settings: BTreeMap<String, String>,
    pub(super) cas: Cas,
    /// Digests of the files that it last took, by name.
    pub(super) digests: BTreeMap<String, Vec<u8>>,
    /// Versions of the files that it last took, by name, where it looks at them.
    pub(super) versions: BTreeMap<String, String>,
    /// Files that scripts made, by their whole path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// A simulated unit.
pub struct Unit {
    pub(super) conduct: Arc<Conduct>,
    pub(super) who: Identity,
    pub around: Surroundings,
    pub(super) filler: Filler,
    pub(super) client: Client,
    pub(super) flash: Flash,
    /// Requests left until the power is cut.
    pub(super) left: Option<u32>,
    pub(super) again: Option<Again>,
    /// How far its clock runs from the one around it.
    pub(super) skew: SignedDuration,
    /// How long its scripts waited in this run.
    pub(super) waited: Duration,
}

impl Unit {
    /// A unit as it comes from the factory.
    pub fn factory(
        conduct: Arc<Conduct>,
        who: Identity,
        around: Surroundings,
    ) -> Result<Self, Problem> {
        let filler = Filler::new(&conduct, &who)?;
        let certificate = around.client_certificate.clone();
        let trust = &conduct.trust;
        let tls = trust.tls_of.get(&who.model).unwrap_or(&trust.tls);
        let client = Client::new(around.bind, *tls, certificate);
        let mut unit = Self {
            conduct,
            who,
            around,
            filler,
            client,
            flash: Flash::default(),
            left: None,
            again: None,
            skew: SignedDuration::ZERO,
            waited: Duration::ZERO,
        };
        unit.factory_reset();
        Ok(unit)
    }

    /// Puts everything back to what the factory set.
    pub fn factory_reset(&mut self) {
        self.flash = Flash {
            settings: self.conduct.factory.clone(),
            ..Flash::default()
        };
        self.again = None;
    }

    /// Cuts the power in the next run, after this many requests.
    pub fn power_cut_after(&mut self, requests: u32) {
        self.left = Some(requests);
    }

    /// Sets its clock apart from the one around it, as an empty battery does.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.skew = now.duration_since(self.around.clock.now());
    }

    /// Lets time pass in a script. `false`: nobody waits any longer, and the unit is switched off.
    pub(super) async fn pass(&mut self, time: Duration) -> bool {
        self.waited = self.waited.saturating_add(time);
        let clock = Arc::clone(&self.around.clock);
        self.waited <= self.around.longest && clock.pass(time).await
    }

    /// What it takes for now.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.around.clock.now();
        now.checked_add(self.skew).unwrap_or(now)
    }

    /// A file that it keeps; `None` where there is none.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.flash.files.get(path).map(Vec::as_slice)
    }

    /// `vendor/family`.
    pub fn family(&self) -> &str {
        &self.conduct.family
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.who
    }

    /// Its settings now: the factory's, and what it took since.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.flash.settings
    }

    /// One setting; empty where it is not set.
    pub fn setting(&self, name: &str) -> &str {
        self.flash.settings.get(name).map_or("", String::as_str)
    }

    /// How many CAs it was given and holds.
    pub fn given_cas(&self) -> usize {
        self.flash.cas.values().map(Vec::len).sum()
    }

    /// When it would ask again without being switched off.
    pub fn wants_again(&self) -> Option<&Again> {
        self.again.as_ref()
    }

    /// The first account that is complete and switched on.
    pub fn account(&self) -> Option<Account> {
        self.accounts().into_iter().next()
    }

    /// Every account that is complete and switched on, by line.
    pub fn accounts(&self) -> Vec<Account> {
        accounts_in(&self.conduct, &self.flash.settings)
    }

    /// Switches it on, and again for as long as it restarts by itself; at most `limit` runs.
    pub async fn boot_until_quiet(&mut self, limit: usize) -> Vec<Story> {
        let mut stories = Vec::new();
        while stories.len() < limit {
            let story = self.boot().await;
            let goes_on = matches!(story.again, Some(Again::Now(_)));
            stories.push(story);
            if !goes_on {
                break;
            }
        }
        stories
    }

    /// Lets the time pass that the unit wants to wait, and plays the run that follows. `None`
    /// where it wants nothing, or nobody waits.
    pub async fn wait(&mut self) -> Option<Story> {
        match self.again.clone()? {
            Again::Now(_) => Some(self.boot().await),
            Again::After(time) => {
                let clock = Arc::clone(&self.around.clock);
                if !clock.pass(time).await {
                    return None;
                }
                Some(self.fetch().await)
            }
        }
    }

    /// Whether a setting has the value of a condition.
    pub(super) fn holds(&self, when: &When) -> bool {
        when.is.has(self.setting(&when.setting))
    }

    /// Whom it believes now.
    pub(super) fn belief(&self) -> Belief {
        let trust = &self.conduct.trust;
        let mut roots = Vec::new();
        let list = trust.ca.as_ref().filter(|ca| !ca.list.is_empty());
        let value = list.map_or("", |ca| self.setting(&ca.list));
        let counts = |values: &[String]| values.iter().any(|known| known == value);
        if list.is_none_or(|ca| counts(&ca.factory_counts)) {
            roots.extend(match trust.factory {
                Anchors::Public => self.around.public_roots.clone(),
                Anchors::Vendor => self.around.vendor_roots.clone(),
                Anchors::Anything => Vec::new(),
            });
        }
        if list.is_none_or(|ca| counts(&ca.given_counts)) {
            roots.extend(self.flash.cas.values().flatten().cloned());
        }
        let unchecked = trust
            .unchecked
            .as_ref()
            .is_some_and(|when| self.holds(when));
        Belief {
            anything: unchecked || trust.factory == Anchors::Anything,
            roots,
            names: trust
                .name_checked
                .as_ref()
                .is_none_or(|when| self.holds(when)),
        }
    }
}

/// Every account that is complete and switched on in these settings.
pub(super) fn accounts_in(conduct: &Conduct, settings: &BTreeMap<String, String>) -> Vec<Account> {
    let rules = &conduct.account;
    let mut found = Vec::new();
    if let Some(pattern) = rules.lines_of() {
        for name in settings.keys() {
            let Some(parts) = pattern.captures(name) else {
                continue;
            };
            let part = |name: &str| parts.name(name).map_or("", |part| part.as_str()).to_owned();
            found.push(Account {
                line: u16::try_from(found.len())
                    .unwrap_or(u16::MAX)
                    .saturating_add(1),
                user: part("user"),
                password: Secret::new(part("password")),
                server: String::new(),
            });
        }
    }
    for (line, number) in (1..=u16::MAX).zip(rules.numbers(settings)) {
        let value = |name: &str| {
            let name = name.replace("{n}", &number);
            settings.get(&name).cloned().unwrap_or_default()
        };
        let on = rules
            .enabled
            .as_ref()
            .is_none_or(|when| when.is.has(&value(&when.setting)));
        let (user, password) = (value(&rules.user), value(&rules.password));
        if on && !user.is_empty() && !password.is_empty() {
            found.push(Account {
                line,
                user,
                password: Secret::new(password),
                server: value(&rules.server),
            });
        }
    }
    found
}
