//! Whom a unit believes on TLS, and how it is given a CA.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::When;

/// Whom the unit believes on TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Trust {
    /// The newest version that it speaks: `1.0`, `1.2`, `1.3`.
    pub(in super::super) tls: Version,
    /// The same for models that differ.
    #[serde(default)]
    pub(in super::super) tls_of: BTreeMap<String, Version>,
    /// What the factory unit trusts.
    pub(in super::super) factory: Anchors,
    /// Setting that switches the check off at this value.
    pub(in super::super) unchecked: Option<When>,
    /// Setting that makes it compare the name in the certificate; without it, it always does.
    pub(in super::super) name_checked: Option<When>,
    pub(in super::super) ca: Option<CaRules>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(in super::super) enum Version {
    #[serde(rename = "1.0")]
    V10,
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Anchors {
    /// Does not check.
    Anything,
    /// The usual public roots.
    Public,
    /// The maker's own CA only: none of ours.
    Vendor,
}

/// How the unit is given a CA. It is in force from the next run on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CaRules {
    /// The setting that holds the URL of the certificate, whole or below the server's address.
    #[serde(default)]
    pub(in super::super) setting: String,
    /// What stands between several URLs in `setting`.
    #[serde(default)]
    pub(in super::super) split: String,
    /// A CA whose URL is no longer in `setting` is deleted.
    #[serde(default)]
    pub(in super::super) only_named: bool,
    /// Settings that hold the certificate itself: PEM, or its base64 alone.
    #[serde(default)]
    pub(in super::super) inline: Vec<String>,
    /// A given CA counts from the next request on, not from the next run.
    #[serde(default)]
    pub(in super::super) at_once: bool,
    /// Setting that says which list counts; without it both do.
    #[serde(default)]
    pub(in super::super) list: String,
    /// Values of `list` with which the given CAs count.
    #[serde(default)]
    pub(in super::super) given_counts: Vec<String>,
    /// Values of `list` with which the factory's anchors count.
    #[serde(default)]
    pub(in super::super) factory_counts: Vec<String>,
    /// Takes every given CA out.
    pub(in super::super) delete: Option<When>,
}
