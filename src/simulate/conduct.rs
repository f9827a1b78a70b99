//! `boot.toml`: what a real unit of one family does, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Problem;
use super::fill;

/// What a unit of one family does. Texts with `{…}` are filled by the module `fill`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// `vendor/family`, as in the catalogue; for people only.
    pub family: String,
    pub(super) reads: Reads,
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
}

/// What a unit that runs scripts has around them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptRules {
    /// The agent of requests that a script makes.
    pub(super) agent: String,
    /// The file that ends the unit's asking for good, once it holds something.
    pub(super) configuration: String,
    /// A file that ends it as well, by being there.
    #[serde(default)]
    pub(super) disabled_by: String,
    /// Beginnings of paths that outlive the power.
    pub(super) survives: Vec<String>,
    /// Files that are always there; the text is filled.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// What programs answer; the first that fits counts.
    #[serde(default, rename = "program")]
    pub(super) programs: Vec<Program>,
    /// Seconds until it asks again when it was not given a script, or the script failed.
    pub(super) again_after: u64,
    /// How its configuration names what runs after each start.
    pub(super) handler: Option<Handler>,
}

/// One program of the unit, as far as a script can tell.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    pub(super) name: String,
    /// Texts that its words must hold.
    #[serde(default)]
    pub(super) holds: Vec<String>,
    /// What it writes; filled.
    #[serde(default)]
    pub(super) says: String,
    #[serde(default)]
    pub(super) code: i32,
    /// It restarts the unit at once.
    #[serde(default)]
    pub(super) reloads: bool,
}

/// A section of a configuration that runs a command: beginnings of its lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handler {
    pub(super) section: String,
    /// The whole line without which it does not run.
    pub(super) trigger: String,
    pub(super) action: String,
    /// Seconds before it runs.
    #[serde(default)]
    pub(super) delay: String,
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
    /// One element per key below a root.
    Xml,
    /// A script that the unit runs, or the configuration of a switch.
    Script,
    /// Nothing is known of it: what comes is taken and not obeyed.
    Nothing,
}

/// Where the unit takes its server from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sources {
    /// First one first. A source that gave no file at all is followed by the next one.
    pub(super) order: Vec<Source>,
    /// The setting that holds the stored address.
    #[serde(default)]
    pub(super) stored: String,
    /// The pointer is ignored when every one of these settings has this value.
    #[serde(default)]
    pub(super) ignore_pointer: BTreeMap<String, String>,
}

/// One place that names the server.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Source {
    /// What DHCP or PnP hands out; here: what the caller gives.
    Pointer,
    /// What the unit keeps.
    Stored,
}

/// One file that the unit asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The name below the server's address.
    #[serde(default)]
    pub(super) name: String,
    /// The setting that holds the name or a whole URL, in place of `name`.
    #[serde(default)]
    pub(super) setting: String,
    /// How often a name is tried that is not given.
    #[serde(default = "once")]
    pub(super) tries: u8,
    /// The file names others: they replace every request after this one.
    #[serde(default)]
    pub(super) includes: bool,
    /// What happens when it is not given.
    #[serde(default)]
    pub(super) missing: Missing,
}

fn once() -> u8 {
    1
}

/// What a unit does about a file that it does not get.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Missing {
    #[default]
    Next,
    /// The whole run has failed.
    Stop,
}

/// Whom the unit believes on TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    /// The newest version that it speaks: `1.0`, `1.2`, `1.3`.
    pub(super) tls: Version,
    /// What the factory unit trusts.
    pub(super) factory: Anchors,
    /// Setting that switches the check off at this value.
    pub(super) unchecked: Option<When>,
    /// Setting that makes it compare the name in the certificate; without it, it always does.
    pub(super) name_checked: Option<When>,
    pub(super) ca: Option<CaRules>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Version {
    #[serde(rename = "1.0")]
    V10,
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Anchors {
    /// Does not check.
    Anything,
    /// The usual public roots.
    Public,
    /// The maker's own CA only: none of ours.
    Vendor,
}

/// A setting at a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    pub(super) setting: String,
    pub(super) is: String,
}

/// How the unit is given a CA. It is in force from the next run on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaRules {
    /// The setting that holds the URL of the certificate.
    pub(super) setting: String,
    /// Setting that says which list counts; without it both do.
    #[serde(default)]
    pub(super) list: String,
    /// Values of `list` with which the given CAs count.
    #[serde(default)]
    pub(super) given_counts: Vec<String>,
    /// Values of `list` with which the factory's anchors count.
    #[serde(default)]
    pub(super) factory_counts: Vec<String>,
    /// Takes every given CA out.
    pub(super) delete: Option<When>,
}

/// What a file does to the settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRules {
    /// The first line that a file must have; other files are not taken.
    #[serde(default)]
    pub(super) first_line: String,
    /// The root element that a file must have.
    #[serde(default)]
    pub(super) root: String,
    /// What a file does to a setting that it does not name.
    #[serde(default)]
    pub(super) absent: Absent,
    /// This setting at this value makes a file reset what it does not name.
    pub(super) overwrite: Option<When>,
    /// Beginnings of names that `overwrite` does not touch.
    #[serde(default)]
    pub(super) overwrite_spares: Vec<String>,
    /// Values that put a setting back to the factory's; the empty value is one if listed.
    #[serde(default)]
    pub(super) resets: Vec<String>,
    /// Each file counts at once (`each`), or nothing does before all are there (`all`).
    #[serde(default)]
    pub(super) apply: Apply,
    /// Beginnings of names whose change needs a restart; `""` is every one.
    #[serde(default)]
    pub(super) restart: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Absent {
    #[default]
    Keep,
    Reset,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Apply {
    #[default]
    All,
    Each,
}

/// When the unit asks again without being switched off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgainRules {
    /// After a run that failed.
    pub(super) failed: Option<Timer>,
    /// After a run that did not.
    pub(super) poll: Option<Timer>,
}

/// A setting with a number in it; 0 and no number mean never.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timer {
    pub(super) setting: String,
    /// Seconds in one of the setting.
    pub(super) seconds: u32,
    pub(super) only: Option<When>,
}

/// Which settings are an account. `{n}` is the line, from 1.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountRules {
    #[serde(default)]
    pub(super) lines: u16,
    pub(super) enabled: Option<When>,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) password: String,
    #[serde(default)]
    pub(super) server: String,
    /// A setting's whole name that is an account: an expression with `user` and `password`.
    #[serde(default)]
    pub(super) pattern: String,
}

impl AccountRules {
    /// The expression of `pattern`, where there is one.
    pub(super) fn lines_of(&self) -> Option<regex::Regex> {
        let set = !self.pattern.is_empty();
        set.then(|| regex::Regex::new(&self.pattern).ok()).flatten()
    }
}

/// Which settings hold the addresses that the unit reports to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportRules {
    #[serde(default)]
    pub(super) registered: String,
    #[serde(default)]
    pub(super) failed: String,
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

    /// The model words that a text may hold.
    fn check(&self) -> Result<(), Problem> {
        let mut texts: Vec<&String> = self.headers.values().chain(self.macros.values()).collect();
        if let Some(script) = &self.script {
            texts.extend(script.files.values());
            texts.extend(script.programs.iter().map(|program| &program.says));
        }
        texts.extend(self.requests.iter().map(|request| &request.name));
        for text in texts {
            for hole in fill::holes(text)? {
                let own = fill::OWN.contains(&hole.as_str());
                let known =
                    own || self.words.contains_key(&hole) || self.unit.more.contains_key(&hole);
                if !known {
                    return Err(Problem(format!("{text:?}: no {{{hole}}} is known")));
                }
            }
        }
        if self.account.lines_of().is_none() && !self.account.pattern.is_empty() {
            return Err(Problem("account.pattern is no expression".to_owned()));
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
