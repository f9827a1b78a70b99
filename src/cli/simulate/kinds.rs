//! What is played: a family's `boot.toml`, or what can be made of its manifest.

use std::sync::Arc;

use rust_embed::RustEmbed;
use toml::{Table, Value};

use super::super::exit::Fail;
use super::super::server::folders;
use crate::catalog::Catalog;
use crate::catalog::manifest::{ArtefactKind, Condition, Family, Trusts, Vendor};
use crate::catalog::pattern::Found;
use crate::config::Config;
use crate::model::identity::{Channel, Mac};
use crate::simulate::{Conduct, Identity};

/// The conduct of each family that has one, as it was when the binary was made.
#[derive(RustEmbed)]
#[folder = "tests/fixtures/vendors/"]
#[include = "*/*/boot.toml"]
struct Conducts;

/// One kind of unit.
pub(super) struct Kind {
    conduct: Arc<Conduct>,
    /// It has no `boot.toml`: what it shows is only that the server agrees with itself.
    pub(super) self_consistent: bool,
    live: Option<Live>,
}

/// A family with its vendor.
type Live = (Arc<Vendor>, Arc<Family>);

/// The families with a conduct.
pub(super) fn known() -> Vec<String> {
    let name =
        |file: std::borrow::Cow<'static, str>| file.strip_suffix("/boot.toml").map(str::to_owned);
    let mut names: Vec<String> = Conducts::iter().filter_map(name).collect();
    names.sort();
    names
}

impl Kind {
    /// A conduct from a file.
    pub(super) fn of_text(name: &str, text: &str) -> Result<Self, Fail> {
        let conduct = Conduct::parse(text)
            .map_err(|problem| Fail::usage("boot-invalid", format!("{name}: {problem}")))?;
        Ok(Self {
            conduct: Arc::new(conduct),
            self_consistent: false,
            live: None,
        })
    }

    /// A family by its name: its own conduct, else its manifest.
    pub(super) fn of_family(
        family: &str,
        model: Option<&str>,
        catalog: &Catalog,
    ) -> Result<Self, Fail> {
        let live = named(catalog, family);
        let own = Conducts::get(&format!("{family}/boot.toml"));
        if let Some(file) = own {
            let text = String::from_utf8_lossy(&file.data);
            return Ok(Self {
                live,
                ..Self::of_text(family, &text)?
            });
        }
        let Some((vendor, manifest)) = live else {
            let mut fail = Fail::usage("family-unknown", format!("there is no family {family:?}"));
            fail.details = known();
            return Err(fail);
        };
        let who = sample(&vendor, &manifest, model)?;
        let conduct = made(&vendor, &manifest, &who)?;
        Ok(Self {
            conduct: Arc::new(conduct),
            self_consistent: true,
            live: Some((vendor, manifest)),
        })
    }

    /// The unit to play where nobody names one.
    pub(super) fn sample(&self) -> Result<Identity, Fail> {
        Identity::sample(&self.conduct)
            .map_err(|problem| Fail::usage("boot-invalid", problem.to_string()))
    }

    /// The conduct of one unit. Names by the manifest are that unit's own.
    pub(super) fn of_unit(&self, who: &Identity) -> Result<Arc<Conduct>, Fail> {
        match &self.live {
            Some((vendor, family)) if self.self_consistent => {
                Ok(Arc::new(made(vendor, family, who)?))
            }
            Some(_) | None => Ok(Arc::clone(&self.conduct)),
        }
    }

    /// Whether it is known what its units say by DHCP.
    pub(super) fn knows_dhcp(&self) -> bool {
        self.conduct.knows_dhcp()
    }

    /// The family as it is named.
    pub(super) fn family(&self) -> &str {
        &self.conduct.family
    }

    /// What DHCP would hand out: the folder, or the whole name of the family's first file where
    /// the family takes no folder.
    pub(super) fn pointer(&self, server: &str, who: &Identity) -> String {
        if !server.ends_with('/') || !self.conduct.takes_whole_name() {
            return server.to_owned();
        }
        let first = self.live.as_ref().and_then(|(_, family)| {
            let mut scripts: Vec<_> = family
                .artefacts
                .iter()
                .filter(|artefact| artefact.kind == ArtefactKind::Script)
                .collect();
            scripts.sort_by_key(|artefact| artefact.order);
            let found = found(who);
            let mut paths = scripts.iter().flat_map(|artefact| &artefact.paths);
            paths.find_map(|path| path.format(&found))
        });
        format!("{server}{}", first.unwrap_or_default())
    }
}

/// The families as the configuration's folders have them.
pub(super) fn catalogue(config: &Config) -> Result<Arc<Catalog>, Fail> {
    let (catalog, problems) = folders::catalogue(config);
    catalog.ok_or_else(|| {
        let mut fail = Fail::usage("catalog-invalid", "the vendor folders have problems")
            .next("`dialtone check` tells them all");
        fail.details = problems.iter().map(ToString::to_string).collect();
        fail
    })
}

fn named(catalog: &Catalog, family: &str) -> Option<Live> {
    let (vendor, name) = family.split_once('/')?;
    let family = catalog.family(vendor, name)?;
    Some((Arc::clone(catalog.vendors.get(vendor)?), Arc::clone(family)))
}

/// A unit of a family that has no conduct.
fn sample(vendor: &Vendor, family: &Family, model: Option<&str>) -> Result<Identity, Fail> {
    let model = model.or_else(|| family.models.first().map(String::as_str));
    let oui = vendor.oui.first().map_or("020000", String::as_str);
    let mac = Mac::parse(&format!("{oui}000001"))
        .map_err(|error| Fail::failed("oui-invalid", format!("{oui}: {error}")))?;
    Ok(Identity {
        mac,
        serial: "SIM0000001".to_owned(),
        model: model.unwrap_or_default().to_owned(),
        firmware: "1.0".to_owned(),
    })
}

fn found(who: &Identity) -> Found {
    Found {
        mac: Some(who.mac),
        serial: Some(who.serial.clone()),
        model: Some(who.model.clone()),
        firmware: Some(who.firmware.clone()),
        ..Found::default()
    }
}

/// A conduct out of a manifest: its names in order, and its own words about itself. What comes is
/// taken and not obeyed: no manifest says how a unit reads it.
fn made(vendor: &Vendor, family: &Family, who: &Identity) -> Result<Conduct, Fail> {
    let found = found(who);
    let text = |text: &str| Value::String(text.replace('{', "{{").replace('}', "}}"));
    let mut requests = Vec::new();
    let mut artefacts: Vec<_> = family.artefacts.iter().collect();
    artefacts.sort_by_key(|artefact| artefact.order);
    for artefact in artefacts {
        let asked = match artefact.kind {
            ArtefactKind::Boot
            | ArtefactKind::CommonConfig
            | ArtefactKind::ModelConfig
            | ArtefactKind::DeviceConfig
            | ArtefactKind::Script => true,
            ArtefactKind::Asset
            | ArtefactKind::Ca
            | ArtefactKind::FirmwareList
            | ArtefactKind::Image
            | ArtefactKind::Phonebook
            | ArtefactKind::UserData => false,
        };
        let name = artefact.paths.iter().find_map(|path| path.format(&found));
        if let Some(name) = name.filter(|_| asked) {
            let mut request = Table::from_iter([("name".to_owned(), text(&name))]);
            if artefact.required {
                request.insert("missing".to_owned(), text("stop"));
            }
            requests.push(Value::Table(request));
        }
    }
    let mut headers = Table::new();
    let ours = |name: &Option<String>| name.as_ref().is_none_or(|name| *name == family.id);
    for rule in vendor.rules.iter().filter(|rule| ours(&rule.family)) {
        let fits = rule.model.as_ref().is_none_or(|model| *model == who.model);
        if !rule.channels.contains(&Channel::Http) || !fits {
            continue;
        }
        match &rule.condition {
            Condition::Agent(agent)
                if rule.beside.is_none() && !headers.contains_key("user-agent") =>
            {
                if let Some(agent) = agent.format(&found) {
                    headers.insert("user-agent".to_owned(), text(&agent));
                }
            }
            Condition::Headers(patterns) => {
                for (name, pattern) in patterns {
                    let value = pattern.format(&found).filter(|value| !value.is_empty());
                    if let Some(value) = value {
                        headers.entry(name.clone()).or_insert_with(|| text(&value));
                    }
                }
            }
            Condition::Agent(_)
            | Condition::Options(_)
            | Condition::Path(_)
            | Condition::Pnp(_) => {}
        }
    }
    let transport = &family.transport;
    let tls = match transport.tls.of(&who.model) {
        Some(0..=11) => "1.0",
        Some(13..) => "1.3",
        Some(_) | None => "1.2",
    };
    let factory = match transport.trusts.of(&who.model) {
        Some(Trusts::None | Trusts::Own) => "anything",
        Some(Trusts::VendorCa(_)) => "vendor",
        Some(Trusts::Public) | None => "public",
    };
    let table = |pairs: &[(&str, Value)]| {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Table(Table::from_iter(pairs))
    };
    let plain = |text: &str| Value::String(text.to_owned());
    let unit = table(&[
        ("mac", plain(&who.mac.to_string())),
        ("serial", plain(&who.serial)),
        ("model", plain(&who.model)),
        ("firmware", plain(&who.firmware)),
    ]);
    let whole = Table::from_iter([
        (
            "family".to_owned(),
            plain(&format!("{}/{}", vendor.id, family.id)),
        ),
        ("reads".to_owned(), plain("nothing")),
        ("unit".to_owned(), unit),
        ("headers".to_owned(), Value::Table(headers)),
        (
            "sources".to_owned(),
            table(&[("order", Value::Array(vec![plain("pointer")]))]),
        ),
        ("request".to_owned(), Value::Array(requests)),
        (
            "trust".to_owned(),
            table(&[("tls", plain(tls)), ("factory", plain(factory))]),
        ),
    ]);
    Conduct::parse(&whole.to_string())
        .map_err(|problem| Fail::failed("manifest-unplayable", problem.to_string()))
}
