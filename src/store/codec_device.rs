//! Stored shapes of a device: the wanted half with its tokens, and the seen half.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codec::{plain, shapes, stored};
use super::rows::TokenKind;
use crate::model::activation::{Activation, Flag, Proof, Registration, State};
use crate::model::device::{Boot, Config, Key, Lifecycle, Line, Seen, Status};
use crate::model::enrolment::{Arming, Place, Ratchet, Serving, Window};
use crate::model::identity::{Assurance, BootId, Digest, Mac, Serial};
use crate::model::lease::RelayPort;
use crate::model::profile::Variables;

/// The row of the table of devices.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigRow {
    pub(crate) config: Config,
    /// Digest, generation, kind: every token that is good, so that they go when the row goes.
    pub(crate) tokens: Vec<TokenRow>,
}

/// One token of a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenRow {
    pub(crate) digest: Digest,
    pub(crate) generation: u32,
    pub(crate) kind: TokenKind,
}

impl TokenKind {
    /// The word that is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Report => "report",
        }
    }

    /// Reads what [`TokenKind::as_str`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Unit, Self::Report]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

super::codec::words!(TokenKind);
shapes!(
    Activation => ActivationShape,
    Arming => ArmingShape,
    Boot => BootShape,
    Config => ConfigShape,
    ConfigRow => ConfigRowShape,
    Key => KeyShape,
    Line => LineShape,
    Place => PlaceShape,
    Ratchet => RatchetShape,
    StatusVersion => StatusVersionShape,
    Seen => SeenShape,
    Serving => ServingShape,
    Status => StatusShape,
    TokenRow => TokenRowShape,
    Window => WindowShape,
);

#[derive(Serialize, Deserialize)]
#[serde(remote = "ConfigRow")]
struct ConfigRowShape {
    #[serde(with = "stored")]
    config: Config,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    tokens: Vec<TokenRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TokenRow")]
struct TokenRowShape {
    #[serde(with = "stored")]
    digest: Digest,
    generation: u32,
    #[serde(with = "stored")]
    kind: TokenKind,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Config")]
struct ConfigShape {
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    mac: Option<Mac>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    serial: Option<Serial>,
    vendor: String,
    family: String,
    model: String,
    #[serde(default, skip_serializing_if = "plain")]
    site: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    groups: Vec<String>,
    #[serde(default, skip_serializing_if = "plain")]
    user: Option<String>,
    profile: String,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    variables: Variables,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    keys: Vec<Key>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    lifecycle: Lifecycle,
    #[serde(with = "stored")]
    arming: Arming,
    #[serde(default, skip_serializing_if = "plain")]
    note: String,
    #[serde(with = "stored")]
    changed_at: Timestamp,
    #[serde(with = "stored")]
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    release: bool,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Line")]
struct LineShape {
    n: u16,
    #[serde(default, skip_serializing_if = "plain")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "plain")]
    user: String,
    #[serde(default, skip_serializing_if = "plain")]
    auth: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    has_password: bool,
    #[serde(default, skip_serializing_if = "plain")]
    pbx: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    server: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    display: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "plain")]
    handset: Option<u16>,
    #[serde(default, skip_serializing_if = "plain")]
    ipei: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    shared: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Key")]
struct KeyShape {
    page: String,
    n: u16,
    kind: String,
    #[serde(default, skip_serializing_if = "plain")]
    value: String,
    #[serde(default, skip_serializing_if = "plain")]
    label: String,
    #[serde(default, skip_serializing_if = "plain")]
    line: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Arming")]
struct ArmingShape {
    #[serde(default, skip_serializing_if = "plain")]
    generation: u32,
    #[serde(with = "stored")]
    from: Timestamp,
    #[serde(with = "stored")]
    until: Timestamp,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    open_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain")]
    keys: bool,
    #[serde(default, skip_serializing_if = "plain")]
    without_certificate: bool,
    #[serde(default, skip_serializing_if = "plain")]
    exposed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Status")]
struct StatusShape {
    #[serde(default, skip_serializing_if = "plain")]
    generation: u32,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    activation: Activation,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    assurance: Assurance,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    window: Window,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    ratchet: Ratchet,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    seen: Seen,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    boots: Vec<Boot>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    revision: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    served_whole_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain")]
    given: Vec<String>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    lines: Vec<(u16, bool, Timestamp)>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    numbers: Vec<(String, u64, Digest)>,
    version: u64,
}

/// The version of a stored seen half, read without the rest of it.
pub(crate) struct StatusVersion {
    pub(crate) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StatusVersion")]
struct StatusVersionShape {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation")]
struct ActivationShape {
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    state: State,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain")]
    stage: Option<String>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    registration: Registration,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    flags: Vec<Flag>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Window")]
struct WindowShape {
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    open_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    open_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    closed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    bound_to: Option<Place>,
    #[serde(default, skip_serializing_if = "plain")]
    servings: u32,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    recent: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    current: Option<Serving>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Serving")]
struct ServingShape {
    #[serde(with = "stored")]
    boot: BootId,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    files: Vec<(String, u8)>,
    #[serde(default, skip_serializing_if = "plain")]
    whole: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Place")]
struct PlaceShape {
    #[serde(default, skip_serializing_if = "plain")]
    site: Option<String>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    certificate: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    port: Option<RelayPort>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    lease: Option<Mac>,
    #[serde(default, skip_serializing_if = "plain")]
    prefix: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ratchet")]
struct RatchetShape {
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    mark: Assurance,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    certificate: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    served_at: Option<Place>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    shared_noted: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    shared_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain")]
    void: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Seen")]
struct SeenShape {
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "plain")]
    firmware: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    agent: Option<String>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    relay: Option<RelayPort>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    asking_mac: Option<Mac>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Boot")]
struct BootShape {
    #[serde(with = "stored")]
    id: BootId,
    #[serde(with = "stored")]
    began: Timestamp,
    #[serde(with = "stored")]
    last: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    asked: Vec<String>,
    #[serde(default, skip_serializing_if = "plain")]
    refused: Vec<String>,
}
