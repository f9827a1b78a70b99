//! `boot.toml`: what a real unit of one family does, as data.

mod ask;
mod dhcp;
mod file;
mod script;
mod tell;
mod trust;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(super) use self::ask::{Includes, Missing, PointerFile, Request, Source, Sources};
pub(super) use self::dhcp::{DhcpRules, PnpRules};
pub(super) use self::file::{Absent, AgainRules, Apply, FileRules, LineRules, Timer, XmlRules};
pub(super) use self::script::{CliHttps, CliRules, Given, ScriptRules};
pub(super) use self::tell::{AccountRules, ReportRules};
pub(super) use self::trust::{Anchors, CaRules, Trust, Version};
use super::Problem;
use super::fill;

/// What a unit of one family does. Texts with `{…}` are filled by the module `fill`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// `vendor/family`, as in the catalogue; for people only.
    pub family: String,
    pub(super) reads: Reads,
    /// For `reads = "xml"`.
    #[serde(default)]
    pub(super) xml: XmlRules,
    /// For `reads = "lines"`.
    #[serde(default)]
    pub(super) lines: LineRules,
    /// A unit of this family, for whoever names none.
    pub unit: Sample,
    /// Words that depend on the model: name, then model, then text.
    #[serde(default)]
    pub(super) words: BTreeMap<String, BTreeMap<String, String>>,
    /// What the unit puts in its own URLs and settings, such as `$mac`; the text is filled.
    #[serde(default)]
    pub(super) macros: BTreeMap<String, String>,
    /// Headers of each request that the unit makes by itself.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) sources: Sources,
    #[serde(default, rename = "request")]
    pub(super) requests: Vec<Request>,
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) file: FileRules,
    /// Settings as they come from the factory, where they matter here.
    #[serde(default)]
    pub(super) factory: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) again: AgainRules,
    #[serde(default)]
    pub(super) account: AccountRules,
    #[serde(default)]
    pub(super) report: ReportRules,
    /// For `reads = "script"`.
    pub(super) script: Option<ScriptRules>,
    /// What it says by DHCP; none: it has never been seen there.
    pub(super) dhcp: Option<DhcpRules>,
    /// What it says by SIP PnP; none: it has none.
    pub(super) pnp: Option<PnpRules>,
}

/// A unit to play where nobody names one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    pub mac: String,
    #[serde(default)]
    pub serial: String,
    pub model: String,
    pub firmware: String,
    /// Everything else that the unit says of itself, by name.
    #[serde(default)]
    pub more: BTreeMap<String, String>,
}

/// How the unit reads what it gets.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reads {
    /// `key = value` lines.
    Ini,
    /// Name and value on a line, as `[lines]` says.
    Lines,
    /// XML, as `[xml]` says; without it one element per key below a root.
    Xml,
    /// `SET NAME value` lines with `IF`, `GOTO` and `GET`.
    SetScript,
    /// A script that the unit runs, or the configuration of a switch.
    Script,
    /// Nothing is known of it: what comes is taken and not obeyed.
    Nothing,
}

/// A setting at a value, or at one of several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    pub(super) setting: String,
    pub(super) is: Values,
}

/// One text or several.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "OneOrMany")]
pub(super) struct Values(pub(super) Vec<String>);

impl Values {
    pub(super) fn has(&self, value: &str) -> bool {
        self.0.iter().any(|one| one == value)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Values {
    fn from(values: OneOrMany) -> Self {
        match values {
            OneOrMany::One(value) => Self(vec![value]),
            OneOrMany::Many(values) => Self(values),
        }
    }
}

impl Conduct {
    /// Reads a `boot.toml`. Unknown keys and texts that cannot be filled are refused.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let conduct: Self = toml::from_str(text).map_err(|error| Problem(error.to_string()))?;
        conduct.check()?;
        Ok(conduct)
    }

    /// Whether the pointer names a file, not a folder.
    pub fn takes_whole_name(&self) -> bool {
        self.reads == Reads::Script
    }

    /// Whether it is known what the unit says by DHCP, and what it reads there.
    pub fn knows_dhcp(&self) -> bool {
        self.dhcp.is_some()
    }

    /// Whether it asks by SIP PnP.
    pub fn knows_pnp(&self) -> bool {
        self.pnp.is_some()
    }

    /// The model words that a text may hold.
    fn check(&self) -> Result<(), Problem> {
        let mut texts: Vec<&String> = self.headers.values().chain(self.macros.values()).collect();
        texts.push(&self.report.body);
        if let Some(script) = &self.script {
            texts.extend(script.files.values().chain(script.environment.values()));
            texts.extend(script.programs.iter().map(|program| &program.says));
        }
        if let Some(dhcp) = &self.dhcp {
            texts.extend(dhcp.send.values().chain(dhcp.send_hex.values()));
        }
        if let Some(pnp) = &self.pnp {
            texts.extend([&pnp.user, &pnp.event, &pnp.agent]);
        }
        for request in &self.requests {
            texts.push(&request.name);
            texts.extend(request.headers.values());
        }
        for text in texts {
            for hole in fill::holes(text)? {
                let own = fill::OWN.contains(&hole.as_str());
                let known = own
                    || self.words.contains_key(&hole)
                    || self.unit.more.contains_key(&hole)
                    || self.report.words.contains_key(&hole);
                if !known {
                    return Err(Problem(format!("{text:?}: no {{{hole}}} is known")));
                }
            }
        }
        if !self.account.check() {
            let what = "account.pattern or account.each is no expression";
            return Err(Problem(what.to_owned()));
        }
        let later = self
            .script
            .as_ref()
            .map_or("", |script| &script.deletes_later);
        if regex::Regex::new(later).is_err() {
            return Err(Problem("script.deletes_later is no expression".to_owned()));
        }
        if (self.reads == Reads::Script) != self.script.is_some() {
            let what = "[script] goes with reads = \"script\"";
            return Err(Problem(what.to_owned()));
        }
        for request in &self.requests {
            if self.reads == Reads::Script {
                break;
            }
            if request.name.is_empty() == request.setting.is_empty() {
                let what = "a request has either a name or a setting";
                return Err(Problem(what.to_owned()));
            }
        }
        if (self.requests.is_empty() && self.script.is_none()) || self.sources.order.is_empty() {
            let what = "a conduct needs a request and a source";
            return Err(Problem(what.to_owned()));
        }
        Ok(())
    }
}
