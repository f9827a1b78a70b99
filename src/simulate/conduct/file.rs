//! How a file is read, and what it does to the settings.

use serde::Deserialize;

use super::{Values, When};

/// What a file does to the settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FileRules {
    /// The beginning of the first line that a file must have; other files are not taken.
    #[serde(default)]
    pub(in super::super) first_line: String,
    /// The root elements that a file may have; none: any.
    #[serde(default)]
    pub(in super::super) root: Values,
    /// Settings of a file that name other files, with what stands between several names.
    #[serde(default)]
    pub(in super::super) names_files: Vec<NamesFiles>,
    /// A file that has this setting is taken only where it is the unit's own MAC, in any form.
    #[serde(default)]
    pub(in super::super) own_mac: String,
    /// A file is taken only where this setting, a number with dots, is higher than it was in the
    /// last file of this name.
    #[serde(default)]
    pub(in super::super) version: String,
    /// The first of two equal names counts, within a file and over files; else the last.
    #[serde(default)]
    pub(in super::super) first_counts: bool,
    /// What a file does to a setting that it does not name.
    #[serde(default)]
    pub(in super::super) absent: Absent,
    /// This setting at this value makes a file reset what it does not name.
    pub(in super::super) overwrite: Option<When>,
    /// Beginnings of names that such a file resets; none: all.
    #[serde(default)]
    pub(in super::super) overwrite_only: Vec<String>,
    /// Beginnings of names that no file resets by not naming them.
    #[serde(default)]
    pub(in super::super) spares: Vec<String>,
    /// Settings that are taken only where another one stands beside them.
    pub(in super::super) guarded: Option<Guarded>,
    /// Values that put a setting back to the factory's; the empty value is one if listed.
    #[serde(default)]
    pub(in super::super) resets: Vec<String>,
    /// Each file counts at once (`each`), or nothing does before all are there (`all`).
    #[serde(default)]
    pub(in super::super) apply: Apply,
    /// Beginnings of names whose change needs a restart; `""` is every one.
    #[serde(default)]
    pub(in super::super) restart: Vec<String>,
    /// A file that changed anything restarts the unit while this setting has this value.
    pub(in super::super) restart_when: Option<When>,
}

/// A setting that names other files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct NamesFiles {
    pub(in super::super) setting: String,
    #[serde(default)]
    pub(in super::super) split: String,
}

/// Settings that need a switch beside them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Guarded {
    /// The beginning of their names.
    pub(in super::super) start: String,
    /// What is put behind the name of one to get that of its switch.
    pub(in super::super) switch: String,
    /// The switch of all of them.
    pub(in super::super) all: String,
    /// The value at which both are on.
    pub(in super::super) is: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Absent {
    #[default]
    Keep,
    Reset,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Apply {
    #[default]
    All,
    Each,
}

/// How XML becomes settings. A setting's name is its elements below the root, with `join` between
/// them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct XmlRules {
    pub(in super::super) join: String,
    /// Elements that group others and are no part of a name.
    pub(in super::super) groups: Vec<String>,
    /// Attributes that tell elements of one name apart: `line` with `index="2"` is `line[2]`.
    pub(in super::super) index: Vec<String>,
    /// Attribute that is the name, in place of the element's.
    pub(in super::super) name: String,
    /// Attribute that is the value, in place of the text.
    pub(in super::super) value: String,
    /// Every attribute is a setting, whatever element it stands in, and nothing else is.
    pub(in super::super) attributes: bool,
    /// Elements whose attributes are settings as well: `name@attribute`.
    pub(in super::super) attributes_of: Vec<String>,
}

impl Default for XmlRules {
    fn default() -> Self {
        Self {
            join: "/".to_owned(),
            groups: Vec::new(),
            index: Vec::new(),
            name: String::new(),
            value: String::new(),
            attributes: false,
            attributes_of: Vec::new(),
        }
    }
}

/// How lines become settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct LineRules {
    /// What stands between name and value.
    pub(in super::super) separator: String,
    /// Values stand in quotes, right behind the separator, and the line ends with them.
    pub(in super::super) quoted: bool,
    /// Characters before a name that are no part of it.
    pub(in super::super) marks: String,
    /// Names are read in lower case.
    pub(in super::super) lower: bool,
    /// `#` behind a blank begins a comment in a value too.
    pub(in super::super) trailing_comments: bool,
    /// Each line ends with CR LF.
    pub(in super::super) crlf: bool,
    /// The most octets of a line with its end, of a name and of a value; 0: no limit.
    pub(in super::super) longest: [usize; 3],
}

/// When the unit asks again without being switched off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AgainRules {
    /// After a run that failed.
    pub(in super::super) failed: Option<Timer>,
    /// After a run that did not.
    pub(in super::super) poll: Option<Timer>,
}

/// A setting with a number in it; 0 and no number mean never.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Timer {
    pub(in super::super) setting: String,
    /// Seconds in one of the setting.
    pub(in super::super) seconds: u32,
    pub(in super::super) only: Option<When>,
}
