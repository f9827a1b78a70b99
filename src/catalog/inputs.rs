//! What a template may see: filled in by whoever serves, withheld by class when it is rendered.

use std::collections::BTreeMap;

use crate::model::access::Grant;
use crate::model::identity::{Mac, Serial};
use crate::model::profile::Value;
use crate::model::secret::Secret;

/// Everything that one rendering may need. Neither `Debug` nor `Clone`: opened secrets are in it.
pub struct Inputs<'a> {
    /// What is not allowed here is not defined in the template.
    pub grant: Grant,
    /// What the request's own name holds; of a listed unit, what its record says.
    pub unit: Unit<'a>,
    pub urls: Urls,
    /// Our CA as PEM (public).
    pub ca_pem: &'a str,
    /// Resolved variables by their name in the vocabulary, which gives their class.
    pub values: &'a BTreeMap<String, Filled>,
    /// Class `credential`.
    pub lines: &'a [AccountLine],
    /// Class `credential`.
    pub keys: &'a [FunctionKey],
    /// `device release`: the file takes pin, URL and CA out again.
    pub release: bool,
    /// The number of a file that units take only where it is higher than the last one. No secret, but
    /// filled in as they are: the rest of the file decides which it is.
    pub version: Option<Secret>,
}

/// Which unit a file is for. For a family-scope file at most the model is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unit<'a> {
    pub mac: Option<Mac>,
    pub serial: Option<&'a Serial>,
    pub model: Option<&'a str>,
}

/// Base URLs; each ends in `/`.
#[derive(Default)]
pub struct Urls {
    /// `public_url` of the unit's site (public).
    pub https: Option<String>,
    /// `public_http_url` of the unit's site (public).
    pub http: Option<String>,
    /// `BASE/u/TOKEN/` (credential); none where the unit has no token.
    pub token: Option<Secret>,
    /// `BASE/r/SECRET`, without a `/` at the end (credential).
    pub report: Option<Secret>,
}

/// A resolved value with its secret opened.
pub enum Filled {
    Plain(Value),
    Secret(Secret),
}

/// One account, with its call server resolved.
pub struct AccountLine {
    pub n: u16,
    pub enabled: bool,
    pub user: String,
    pub auth: Option<String>,
    pub password: Option<Secret>,
    pub display: Option<String>,
    pub label: Option<String>,
    pub server: Option<String>,
    pub backup: Option<String>,
    pub outbound_proxy: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub transport: Option<String>,
    pub srtp: bool,
    pub port: Option<u16>,
    pub handset: Option<u16>,
    pub shared: bool,
}

/// One programmable key: see `model::device::Key`.
pub struct FunctionKey {
    pub page: String,
    pub n: u16,
    pub kind: String,
    pub value: String,
    pub label: String,
    pub line: u16,
}
