//! Where a unit takes its server from, and what it asks there.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Values, When};

/// Where the unit takes its server from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Sources {
    /// First one first. A source that gave no file at all is followed by the next one.
    pub(in super::super) order: Vec<Source>,
    /// The order where it asks without being switched on; empty: the same.
    #[serde(default)]
    pub(in super::super) polls: Vec<Source>,
    /// A setting that holds the order in words of the unit's own.
    pub(in super::super) order_setting: Option<OrderSetting>,
    /// The setting that holds the stored address.
    #[serde(default)]
    pub(in super::super) stored: String,
    /// Stored addresses that are put together from several settings; each that is complete is
    /// asked, first one first.
    #[serde(default)]
    pub(in super::super) stored_url: Vec<StoredUrl>,
    /// The pointer is ignored when every one of these settings has one of its values.
    #[serde(default)]
    pub(in super::super) ignore_pointer: BTreeMap<String, Values>,
    /// Beginnings of addresses of the maker's own services. They do not know this unit, so they are
    /// not asked.
    #[serde(default)]
    pub(in super::super) makers: Vec<String>,
    /// An address that a file stored is asked in the same run.
    #[serde(default)]
    pub(in super::super) follows: bool,
    /// What a pointer means that names a file: one whose last part has a dot.
    #[serde(default)]
    pub(in super::super) pointer_file: PointerFile,
}

/// The order of sources as a setting: words with blanks between them, each up to its `:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct OrderSetting {
    pub(in super::super) setting: String,
    /// What each word stands for; others are passed over.
    pub(in super::super) words: BTreeMap<String, Source>,
}

/// An address made of settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct StoredUrl {
    pub(in super::super) when: Option<When>,
    /// `<NAME>` is a setting, and nothing is asked where it is empty; `[…]` is left out then.
    pub(in super::super) url: String,
    /// A setting that holds a whole URL, with its scheme, is no address.
    #[serde(default)]
    pub(in super::super) bare: bool,
}

/// One place that names the server.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Source {
    /// What DHCP or PnP hands out; here: what the caller gives.
    Pointer,
    /// What the unit keeps.
    Stored,
}

/// What a pointer means that names a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum PointerFile {
    /// The folder that it stands in; a first request by a setting takes it as it is.
    #[default]
    Folder,
    /// It is asked in place of the first request.
    First,
    /// It is asked, and nothing else. A stored address is taken the same way.
    Alone,
}

/// One file that the unit asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Request {
    /// The name below the server's address.
    #[serde(default)]
    pub(in super::super) name: String,
    /// The setting that holds the name or a whole URL, in place of `name`.
    #[serde(default)]
    pub(in super::super) setting: String,
    /// Only at this source.
    pub(in super::super) source: Option<Source>,
    /// Only where the request before it was not given.
    #[serde(default)]
    pub(in super::super) fallback: bool,
    /// Headers of this request, in place of the unit's own of these names.
    #[serde(default)]
    pub(in super::super) headers: BTreeMap<String, String>,
    /// How often a name is tried that is not given.
    #[serde(default = "once")]
    pub(in super::super) tries: u8,
    /// The file names others.
    #[serde(default)]
    pub(in super::super) includes: Includes,
    /// What comes is not read: another stage of the unit wants it.
    #[serde(default)]
    pub(in super::super) unread: bool,
    /// A file with nothing in it ends the run's asking.
    #[serde(default)]
    pub(in super::super) empty_ends: bool,
    /// Nothing is asked after it, where it was asked at all.
    #[serde(default)]
    pub(in super::super) ends: bool,
    /// What happens when it is not given.
    #[serde(default)]
    pub(in super::super) missing: Missing,
}

fn once() -> u8 {
    1
}

/// What becomes of the files that a file names.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Includes {
    #[default]
    None,
    /// They replace every request after this one.
    Replace,
    /// They are asked before the requests after this one.
    Before,
}

/// What a unit does about a file that it does not get.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Missing {
    #[default]
    Next,
    /// The whole run has failed.
    Stop,
}
