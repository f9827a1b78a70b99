//! What a unit that runs scripts has around them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a unit that runs scripts has around them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ScriptRules {
    /// The agent of requests that a script makes.
    pub(in super::super) agent: String,
    /// What the unit is given.
    #[serde(default)]
    pub(in super::super) given: Given,
    /// The file that ends the unit's asking for good, once it holds something.
    pub(in super::super) configuration: String,
    /// A script that ends well ends the asking: that file is then made by the unit.
    #[serde(default)]
    pub(in super::super) done_by_exit: bool,
    /// A line of the configuration with which it goes on asking. A script that commits one without
    /// it is stopped there.
    #[serde(default)]
    pub(in super::super) asks_while: String,
    /// An expression for a line of the configuration that deletes another one after a while; its group
    /// `line` is what goes. It is played once a script ended well.
    #[serde(default)]
    pub(in super::super) deletes_later: String,
    /// The beginning of a line without which no configuration is committed.
    #[serde(default)]
    pub(in super::super) needs: String,
    /// The beginning of a line that holds, in quotes, the MD5 of the script without such lines.
    #[serde(default)]
    pub(in super::super) sum_line: String,
    /// A text that a script must hold.
    #[serde(default)]
    pub(in super::super) marker: String,
    /// A file that ends it as well, by being there.
    #[serde(default)]
    pub(in super::super) disabled_by: String,
    /// Beginnings of paths that outlive the power.
    pub(in super::super) survives: Vec<String>,
    /// Files that are always there; the text is filled.
    #[serde(default)]
    pub(in super::super) files: BTreeMap<String, String>,
    /// Usual programs that the unit has not got.
    #[serde(default)]
    pub(in super::super) lacks: Vec<String>,
    /// What programs answer; the first that fits counts.
    #[serde(default, rename = "program")]
    pub(in super::super) programs: Vec<Program>,
    /// What stands around a script in Python; filled.
    #[serde(default)]
    pub(in super::super) environment: BTreeMap<String, String>,
    /// The command line that such a script has.
    pub(in super::super) cli: Option<CliRules>,
    /// Seconds until it asks again when it was not given a script, or the script failed; 0: not before
    /// it is switched on again.
    pub(in super::super) again_after: u64,
    /// How its configuration names what runs after each start.
    pub(in super::super) handler: Option<Handler>,
}

/// The command line of a switch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CliRules {
    /// `flash:` and the like, and the folders that they are for a script.
    pub(in super::super) file_systems: BTreeMap<String, String>,
    /// Whom `copy https:` believes.
    pub(in super::super) https: CliHttps,
    /// What a configuration is copied to that is to be played after the restart.
    #[serde(default)]
    pub(in super::super) replay: String,
    /// A command that fails raises an error in the script.
    #[serde(default)]
    pub(in super::super) raises: bool,
}

/// Whom a `copy` over HTTPS believes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum CliHttps {
    /// The CA of the trustpoint that the running configuration names.
    Trustpoint,
    /// Nobody: it works only without a check.
    Unchecked,
}

/// What a unit is given in place of a file of settings.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Given {
    /// A script by its first line, else its configuration.
    #[default]
    ScriptOrConfiguration,
    /// A program: whatever comes is run.
    Installer,
    /// JSON with sections that are gone through in the order of their names.
    Sections,
}

/// One program of the unit, as far as a script can tell.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Program {
    pub(in super::super) name: String,
    /// Texts that its words must hold.
    #[serde(default)]
    pub(in super::super) holds: Vec<String>,
    /// What it writes; filled.
    #[serde(default)]
    pub(in super::super) says: String,
    #[serde(default)]
    pub(in super::super) code: i32,
    /// It restarts the unit at once.
    #[serde(default)]
    pub(in super::super) reloads: bool,
    /// What it was told, and what it read, is a setting from then on: its words, then each line that
    /// it read behind ` < `.
    #[serde(default)]
    pub(in super::super) keeps: bool,
    /// What it says goes into the file that its last word names.
    #[serde(default)]
    pub(in super::super) writes: bool,
    /// After it the unit no longer counts as new: where its script then fails, it asks no more.
    #[serde(default)]
    pub(in super::super) spoils: bool,
    /// Its words, split at `;`, and what it reads, are statements of a candidate configuration:
    /// `set`, `delete`, `load KIND FILE`, `rollback`, `commit`. What is none of them is asked of the
    /// next program of this name.
    #[serde(default)]
    pub(in super::super) edits: bool,
}

/// A section of a configuration that runs a command: beginnings of its lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Handler {
    pub(in super::super) section: String,
    /// The beginning of the line without which it does not run.
    #[serde(default)]
    pub(in super::super) trigger: String,
    pub(in super::super) action: String,
    /// Each action is what stands in quotes, a command of the unit's command line.
    #[serde(default)]
    pub(in super::super) quoted: bool,
    /// Seconds before it runs.
    #[serde(default)]
    pub(in super::super) delay: String,
}
