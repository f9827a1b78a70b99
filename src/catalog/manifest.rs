//! The manifest's words as resolved data: what `vendor.toml` and `family.toml` say.
//!
//! `docs/manifest.md` is the page for the people who write them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::pattern::Pattern;
use super::version::FirmwareRange;
use crate::model::access::Class;
use crate::model::identity::{Assurance, Channel, Mac};

/// `profiles/<vendor>/vendor.toml` and the families below it.
#[derive(Debug)]
pub struct Vendor {
    /// The folder's name.
    pub id: String,
    /// In imports and for people; the first is the one shown.
    pub names: Vec<String>,
    /// Where a request gives the vendor and no model.
    pub default_family: Option<String>,
    /// Six lower-case hex digits each.
    pub oui: BTreeSet<String>,
    /// Speaks only where no other vendor does.
    pub generic: bool,
    pub rules: Vec<Rule>,
    pub tables: BTreeMap<String, Table>,
    pub certificates: Vec<CertificateRule>,
    pub families: BTreeMap<String, Arc<Family>>,
    /// Dotted keys that no source confirms.
    pub unconfirmed: Vec<String>,
}

/// `[table.NAME]`: a key is one model, or several models of one family.
#[derive(Debug, Default)]
pub struct Table(pub BTreeMap<String, Vec<String>>);

/// One `[[recognise]]` block, or an artefact's path.
#[derive(Debug)]
pub struct Rule {
    pub channels: BTreeSet<Channel>,
    pub condition: Condition,
    /// The path that has to be asked for besides, for a rule by agent whose word depends on it.
    pub beside: Option<Pattern>,
    pub family: Option<String>,
    pub model: Option<String>,
    /// The artefact that this path belongs to, for rules made from artefacts.
    pub artefact: Option<String>,
    /// A name that other vendors use too (manifest.md section 2).
    pub common: bool,
    /// `file:line`, for `why`.
    pub at: String,
}

/// What a rule looks at; each kind of hint counts for itself.
#[derive(Debug)]
pub enum Condition {
    Agent(Pattern),
    /// Lower-case header names.
    Headers(Vec<(String, Pattern)>),
    /// All must match.
    Options(Vec<(u8, OptionMatch)>),
    Path(Pattern),
    Pnp(Box<PnpMatch>),
}

/// Words of the PnP Event header.
#[derive(Debug, Default)]
pub struct PnpMatch {
    pub vendor: Option<Pattern>,
    pub model: Option<Pattern>,
    pub version: Option<Pattern>,
}

/// How one DHCP option is read.
#[derive(Debug)]
pub enum OptionMatch {
    Text(Pattern),
    Hex(Vec<u8>),
    Tlv {
        enterprise: Option<u32>,
        parts: BTreeMap<u8, Pattern>,
    },
    EnterpriseText {
        enterprise: u32,
        text: Pattern,
    },
}

/// `[[certificate]]`.
#[derive(Debug)]
pub struct CertificateRule {
    /// RDNs that must be there.
    pub issuer: BTreeMap<String, String>,
    pub subject: BTreeMap<String, Pattern>,
    /// Subjects that many units share: they prove nothing.
    pub shared: Vec<BTreeMap<String, String>>,
    pub always: Always,
    pub at: String,
}

/// Which units carry a factory certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Always {
    All,
    Models(Vec<String>),
    None,
}

/// One value, or one a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ByModel<T> {
    pub all: Option<T>,
    pub models: BTreeMap<String, T>,
}

impl<T> ByModel<T> {
    /// The model's value, else the one for all.
    pub fn of(&self, model: &str) -> Option<&T> {
        self.models.get(model).or(self.all.as_ref())
    }
}

impl<T> Default for ByModel<T> {
    fn default() -> Self {
        Self {
            all: None,
            models: BTreeMap::new(),
        }
    }
}

/// `profiles/<vendor>/<family>/family.toml`.
#[derive(Debug)]
pub struct Family {
    pub vendor: String,
    /// The folder's name.
    pub id: String,
    pub label: String,
    pub reach: Reach,
    pub models: Vec<String>,
    pub aliases: BTreeMap<String, String>,
    /// Versions that this folder's files are for.
    pub firmware_range: ByModel<FirmwareRange>,
    pub asks: Asks,
    /// The asking MAC minus the printed one.
    pub mac_offset: ByModel<i64>,
    /// The MAC that a request names is its port's, at no known distance from the printed one.
    pub port_mac: bool,
    pub capacity: Capacity,
    pub transport: Transport,
    pub sources: Sources,
    pub absent: Absent,
    pub refusal: Refusal,
    pub bootstrap: Option<Bootstrap>,
    /// In the order of `order`.
    pub artefacts: Vec<Artefact>,
    pub dhcp: Vec<DhcpReply>,
    pub sip_pnp: Option<String>,
    pub report: Report,
    pub push: Push,
    pub firmware: Option<FirmwareRule>,
    /// Variables that its units have no place for, each with the source that says so.
    pub unsupported: BTreeMap<String, String>,
    pub unconfirmed: Vec<String>,
}

impl Family {
    /// The listed spelling of a model or alias; case, blanks, `-` and `_` do not count.
    pub fn model(&self, text: &str) -> Option<&str> {
        let wanted = fold(text);
        let listed = self
            .models
            .iter()
            .find(|model| fold(model) == wanted)
            .map(String::as_str);
        listed.or_else(|| {
            self.aliases
                .iter()
                .find(|(alias, _)| fold(alias) == wanted)
                .map(|(_, model)| model.as_str())
        })
    }

    /// Whether a unit with this printed MAC may ask by that one: it is the same, or no further off
    /// than the family's offset and to the same side.
    pub fn asks_by(&self, model: &str, printed: Mac, asking: Mac) -> bool {
        let offset = self.mac_offset.of(model).copied().unwrap_or(0);
        let reach = i128::from(offset);
        let distance = i128::from(asking.number()) - i128::from(printed.number());
        distance == 0 || (distance.signum() == reach.signum() && distance.abs() <= reach.abs())
    }

    /// The range that a unit's version lies outside of; of a version that nobody named nothing is said.
    pub fn refuses(&self, model: &str, version: Option<&str>) -> Option<&FirmwareRange> {
        let range = self.firmware_range.of(model)?;
        let version = version?;
        (!range.holds(version)).then_some(range)
    }

    /// Its units are loaders: the system that one installs asks next, as another family.
    pub fn loads(&self) -> bool {
        self.report.proof.contains(&ProofWay::Firmware)
    }

    /// The artefact of that id.
    pub fn artefact(&self, id: &str) -> Option<&Artefact> {
        self.artefacts.iter().find(|artefact| artefact.id == id)
    }
}

/// Models are compared without regard to case, blank, `-` and `_`.
pub fn fold(model: &str) -> String {
    model
        .chars()
        .filter(|ch| !matches!(ch, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// How far we take a unit of this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Full,
    /// We hand out a controller's address; ends as `handed-over`.
    Pointer,
    None,
}

/// When a unit asks for its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    EveryBoot,
    /// It leaves its bootstrap for good.
    Once,
    Polls,
}

/// How much fits on a unit.
#[derive(Debug, Default)]
pub struct Capacity {
    pub lines: ByModel<u32>,
    pub keys: ByModel<u32>,
    pub expansion: Option<Expansion>,
}

/// A side car.
#[derive(Debug)]
pub struct Expansion {
    pub model: String,
    pub keys: u32,
    pub most: u32,
}

/// What a unit can speak.
#[derive(Debug, Default)]
pub struct Transport {
    /// What a factory unit can use, best first.
    pub first: ByModel<Vec<Channel>>,
    pub trusts: ByModel<Trusts>,
    pub after: ByModel<After>,
    /// Highest TLS version times ten: 10, 11, 12, 13. Below 12 it cannot open HTTPS with us.
    pub tls: ByModel<u8>,
}

/// Which server certificates a factory unit takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusts {
    /// It does not check.
    None,
    /// Any, also a private one.
    Own,
    Public,
    VendorCa(String),
}

/// What a unit accepts once our bootstrap told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    OwnCa,
    Same,
}

/// Where a unit takes its server from.
#[derive(Debug, Default)]
pub struct Sources {
    pub order: Vec<String>,
    /// `pin.j2` is included with a credential grant.
    pub pin: bool,
    pub ceiling: ByModel<Assurance>,
    pub elsewhere: String,
}

/// What a unit does with settings that a new file does not mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    pub keeps: bool,
    pub source: Option<String>,
    /// What our artefacts must not hold.
    pub never: Vec<String>,
}

/// What this family takes as "keep what you have".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    pub http: HttpRefusal,
    pub tftp: TftpRefusal,
    pub asks_again: Option<Duration>,
}

/// A refusal over HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpRefusal {
    Close,
    NotFound,
    #[default]
    Unavailable,
}

/// A refusal over TFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TftpRefusal {
    Error(u16),
    Silence,
}

impl Default for TftpRefusal {
    fn default() -> Self {
        Self::Error(1)
    }
}

/// How a unit is made to ask the HTTPS base although its pointer stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    pub next: BootstrapNext,
    pub undo: String,
}

/// See [`Bootstrap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootstrapNext {
    Include,
    Restart,
    Setting,
}

/// One file that a unit asks for.
#[derive(Debug)]
pub struct Artefact {
    pub id: String,
    pub kind: ArtefactKind,
    pub paths: Vec<Pattern>,
    pub scope: ArtefactScope,
    pub order: u32,
    /// `false`: probed by the unit; absence is normal and only counted.
    pub required: bool,
    pub template: Option<String>,
    pub format: Format,
    pub media_type: String,
    /// Below this class its bootstrap, if it has one, or the refusal is given.
    pub useful_from: Class,
    pub bootstrap: Option<String>,
    /// The artefact whose absence makes the unit ask this one.
    pub fallback_of: Option<String>,
    /// Overrides the family's.
    pub refusal: Option<Refusal>,
    pub applies_by_restart: bool,
    /// A counter kept per unit, raised whenever the rest of the bytes changes.
    pub version_field: Option<String>,
    pub filters: Vec<Filter>,
    pub common: bool,
    /// Highest class that its template reads, found by rendering at load.
    pub reads: Class,
    /// `file:line`.
    pub at: String,
}

/// What an artefact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArtefactKind {
    Asset,
    Boot,
    Ca,
    CommonConfig,
    DeviceConfig,
    FirmwareList,
    Image,
    ModelConfig,
    Phonebook,
    Script,
    UserData,
}

impl ArtefactKind {
    /// The manifest's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Boot => "boot",
            Self::Ca => "ca",
            Self::CommonConfig => "common-config",
            Self::DeviceConfig => "device-config",
            Self::FirmwareList => "firmware-list",
            Self::Image => "image",
            Self::ModelConfig => "model-config",
            Self::Phonebook => "phonebook",
            Self::Script => "script",
            Self::UserData => "user-data",
        }
    }
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtefactScope {
    /// Never holds more than public and site values.
    Family,
    Unit,
}

/// The escaper and the re-parser of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Ini,
    Ios,
    Json,
    Junos,
    Python,
    Shell,
    Text,
    Xml,
}

impl Format {
    /// The manifest's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ini => "ini",
            Self::Ios => "ios",
            Self::Json => "json",
            Self::Junos => "junos",
            Self::Python => "python",
            Self::Shell => "shell",
            Self::Text => "text",
            Self::Xml => "xml",
        }
    }
}

/// What is done to the bytes after rendering: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    Gzip,
    Md5Line,
    OpensslAes256Cbc,
    Sha256Line,
}

/// One `[[dhcp]]` block: the first whose `when` holds answers.
#[derive(Debug)]
pub struct DhcpReply {
    pub when_options: Vec<(u8, OptionMatch)>,
    /// Option codes that option 55 must hold.
    pub when_asks: Vec<u8>,
    pub when_models: Vec<String>,
    pub options: BTreeMap<u8, OptionValue>,
    pub echo: Vec<u8>,
    pub siaddr: Option<String>,
    pub file: Option<String>,
    /// The shortest lease, in seconds, that its units take.
    pub lease: u32,
}

/// A reply option with its encoding; texts hold placeholders.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    Bool8(bool),
    Enterprise {
        enterprise: u32,
        tlv: BTreeMap<u8, Self>,
    },
    Hex(Vec<u8>),
    IpList(Vec<String>),
    Text(String),
    TextNul(String),
    Tlv(BTreeMap<u8, Self>),
    Tlv16(BTreeMap<u16, Self>),
    U16(u16),
    U32(u32),
    U8(u8),
    UriList16(Vec<String>),
}

/// The unit's own word.
#[derive(Debug, Default)]
pub struct Report {
    pub registered: Option<String>,
    pub failed: Option<String>,
    /// The unit's own words for its registration, and whether each is a good one.
    pub states: BTreeMap<String, bool>,
    pub proof: Vec<ProofWay>,
    pub stall_after: Duration,
}

/// What can make a unit of this family active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofWay {
    Config,
    Firmware,
    Registrar,
    Report,
}

/// How a unit is made to ask again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Push {
    /// What makes it fetch its files.
    pub refetch: Option<String>,
    pub restart: Option<String>,
    /// Best first.
    pub by: Vec<PushWay>,
}

/// Who sends what makes a unit ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushWay {
    /// We, to the address at which it registered or asked.
    Contact,
    /// Its call server.
    Pbx,
}

/// How images are named.
#[derive(Debug)]
pub struct FirmwareRule {
    /// Id of the artefact that names it.
    pub told_by: String,
    pub name: Pattern,
}
