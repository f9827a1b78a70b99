//! `family.toml`: how a family behaves. Every artefact's path is also a recognition rule.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Value;

use super::{raw, reply};
use crate::catalog::manifest::{
    Absent, After, Artefact, ArtefactKind, ArtefactScope, Asks, Bootstrap, BootstrapNext, ByModel,
    Capacity, Condition, Expansion, Family, Format, HttpRefusal, ProofWay, Reach, Refusal, Report,
    Rule, Sources, TftpRefusal, Transport, Trusts,
};
use crate::catalog::pattern::{Ground, Names, Pattern};
use crate::catalog::problem::line_of;
use crate::catalog::{Files, Problem};
use crate::model::access::Class;
use crate::model::identity::{Assurance, Channel};

/// One manifest under way: where it is, and what is wrong in it so far.
pub(super) struct Reader<'a> {
    file: String,
    text: String,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, needle: &str, what: String, hint: &str) {
        let line = line_of(&self.text, needle);
        self.problems
            .push(Problem::error(&self.file, line, what, hint));
    }

    /// One of a closed list of words.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        said: &str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        match words.iter().find(|(word, _)| *word == said) {
            Some((_, value)) => *value,
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let what = format!("{key} = \"{said}\" is no word of the format");
                self.wrong(said, what, &format!("known are {}", known.join(", ")));
                default
            }
        }
    }

    fn by_model<T, U>(
        &mut self,
        raw: Option<raw::ByModel<T>>,
        mut read: impl FnMut(&mut Self, T) -> U,
    ) -> ByModel<U> {
        match raw {
            None => ByModel::default(),
            Some(raw::ByModel::All(all)) => ByModel {
                all: Some(read(self, all)),
                models: BTreeMap::new(),
            },
            Some(raw::ByModel::Models(models)) => ByModel {
                all: None,
                models: models
                    .into_iter()
                    .map(|(model, value)| (model, read(self, value)))
                    .collect(),
            },
        }
    }

    /// `15m`, `72h`, `300s`; empty is none.
    pub(super) fn duration(&mut self, key: &str, said: &str) -> Option<Duration> {
        if said.is_empty() {
            return None;
        }
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)];
        let read = units.iter().find_map(|(unit, seconds)| {
            let count: u64 = said.strip_suffix(*unit)?.parse().ok()?;
            count.checked_mul(*seconds).map(Duration::from_secs)
        });
        if read.is_none() {
            self.wrong(
                said,
                format!("{key} = \"{said}\" is no time"),
                "a number and s, m, h or d",
            );
        }
        read
    }

    fn refusal(&mut self, raw: &raw::Refusal, default: &Refusal) -> Refusal {
        let http = match &raw.http {
            None => default.http,
            Some(Value::Integer(404)) => HttpRefusal::NotFound,
            Some(Value::Integer(503)) => HttpRefusal::Unavailable,
            Some(Value::String(word)) if word == "close" => HttpRefusal::Close,
            Some(other) => {
                self.wrong(
                    "http",
                    format!("http = {other} is no refusal"),
                    "404, 503 or \"close\"",
                );
                default.http
            }
        };
        let tftp = match &raw.tftp {
            None => default.tftp,
            Some(Value::String(word)) if word == "silence" => TftpRefusal::Silence,
            Some(Value::Integer(code)) if (0..=8).contains(code) => {
                TftpRefusal::Error(u16::try_from(*code).unwrap_or(1))
            }
            Some(other) => {
                self.wrong(
                    "tftp",
                    format!("tftp = {other} is no refusal"),
                    "an ERROR code or \"silence\"",
                );
                default.tftp
            }
        };
        let asks_again = self
            .duration("asks_again", &raw.asks_again)
            .or(default.asks_again);
        Refusal {
            http,
            tftp,
            asks_again,
        }
    }
}

const KINDS: [(&str, ArtefactKind); 11] = [
    ("asset", ArtefactKind::Asset),
    ("boot", ArtefactKind::Boot),
    ("ca", ArtefactKind::Ca),
    ("common-config", ArtefactKind::CommonConfig),
    ("device-config", ArtefactKind::DeviceConfig),
    ("firmware-list", ArtefactKind::FirmwareList),
    ("image", ArtefactKind::Image),
    ("model-config", ArtefactKind::ModelConfig),
    ("phonebook", ArtefactKind::Phonebook),
    ("script", ArtefactKind::Script),
    ("user-data", ArtefactKind::UserData),
];

const FORMATS: [(&str, Format); 9] = [
    ("", Format::Text),
    ("ini", Format::Ini),
    ("ios", Format::Ios),
    ("json", Format::Json),
    ("junos", Format::Junos),
    ("python", Format::Python),
    ("shell", Format::Shell),
    ("text", Format::Text),
    ("xml", Format::Xml),
];

const CLASSES: [(&str, Class); 5] = [
    ("", Class::Credential),
    ("public", Class::Public),
    ("site", Class::Site),
    ("credential", Class::Credential),
    ("key", Class::Key),
];

/// The family, and the rules that its artefacts' paths make.
pub(super) fn resolve(
    vendor: &str,
    id: &str,
    raw: raw::Family,
    names: &Names<'_>,
    files: &Files,
    problems: &mut Vec<Problem>,
) -> (Family, Vec<Rule>) {
    let file = format!("{vendor}/{id}/family.toml");
    let text = files
        .0
        .get(&file)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .unwrap_or_default();
    let mut reader = Reader {
        file,
        text,
        problems,
    };
    if raw.family != id {
        reader.wrong(
            "family",
            format!("family = \"{}\" stands in the folder {id}", raw.family),
            "use the folder's name",
        );
    }
    let reach = [
        ("full", Reach::Full),
        ("pointer", Reach::Pointer),
        ("none", Reach::None),
    ];
    let reach = reader.word("reach", &raw.reach, &reach, Reach::None);
    let asks = [
        ("every boot", Asks::EveryBoot),
        ("polls", Asks::Polls),
        ("once", Asks::Once),
    ];
    let asks = reader.word("asks", &raw.asks, &asks, Asks::EveryBoot);
    if reach == Reach::Full {
        for (key, there) in [
            ("transport", raw.transport.is_some()),
            ("sources", raw.sources.is_some()),
            ("absent", raw.absent.is_some()),
            ("refusal", raw.refusal.is_some()),
        ] {
            if !there {
                reader.wrong(
                    "reach",
                    format!("[{key}] is missing"),
                    "a family that is served whole has it",
                );
            }
        }
    }
    let default = Refusal::default();
    let refusal = raw
        .refusal
        .as_ref()
        .map_or_else(|| default.clone(), |raw| reader.refusal(raw, &default));
    let mut artefacts = Vec::new();
    let mut rules = Vec::new();
    for artefact in raw.artefact {
        let (artefact, more) = self::artefact(&mut reader, id, artefact, &refusal, names);
        artefacts.push(artefact);
        rules.extend(more);
    }
    artefacts.sort_by_key(|artefact: &Artefact| artefact.order);
    let ids: BTreeSet<&str> = artefacts
        .iter()
        .map(|artefact| artefact.id.as_str())
        .collect();
    let strays: Vec<String> = artefacts
        .iter()
        .filter_map(|artefact| artefact.fallback_of.clone())
        .filter(|other| !ids.contains(other.as_str()))
        .collect();
    for stray in strays {
        reader.wrong(
            &stray,
            format!("fallback_of = \"{stray}\" names no artefact"),
            "use an artefact's id",
        );
    }
    let family = Family {
        vendor: vendor.to_owned(),
        id: id.to_owned(),
        label: raw.label,
        reach,
        dhcp: reply::dhcp(&mut reader, raw.dhcp, &artefacts, &raw.models, names),
        sip_pnp: reply::sip_pnp(&mut reader, raw.sip_pnp, &artefacts, names),
        firmware: reply::firmware(&mut reader, raw.firmware, &artefacts, names),
        push: reply::push(&mut reader, raw.push),
        models: raw.models,
        aliases: raw.aliases,
        firmware_range: reader.by_model(raw.firmware_range, |reader, range| {
            reply::firmware_range(reader, &range)
        }),
        asks,
        mac_offset: reader.by_model(raw.mac_offset, |_, offset| offset),
        port_mac: raw.port_mac,
        capacity: Capacity {
            lines: reader.by_model(raw.capacity.lines, |_, lines| lines),
            keys: reader.by_model(raw.capacity.keys, |_, keys| keys),
            expansion: raw.capacity.expansion.map(|raw| Expansion {
                model: raw.model,
                keys: raw.keys,
                most: raw.most,
            }),
        },
        transport: raw
            .transport
            .map(|raw| transport(&mut reader, raw))
            .unwrap_or_default(),
        sources: raw
            .sources
            .map(|raw| sources(&mut reader, raw))
            .unwrap_or_default(),
        absent: absent(&mut reader, raw.absent),
        refusal,
        bootstrap: raw.bootstrap.map(|raw| bootstrap(&mut reader, raw)),
        artefacts,
        report: report(&mut reader, raw.report),
        unsupported: raw.unsupported,
        unconfirmed: raw.unconfirmed.keys,
    };
    (family, rules)
}

fn artefact(
    reader: &mut Reader<'_>,
    family: &str,
    raw: raw::Artefact,
    refusal: &Refusal,
    names: &Names<'_>,
) -> (Artefact, Vec<Rule>) {
    let scopes = [
        ("unit", ArtefactScope::Unit),
        ("family", ArtefactScope::Family),
    ];
    let scope = reader.word("scope", &raw.scope, &scopes, ArtefactScope::Unit);
    let kind = reader.word("kind", &raw.kind, &KINDS, ArtefactKind::Asset);
    let mut paths = Vec::new();
    let mut rules = Vec::new();
    let web = BTreeSet::from([Channel::Http, Channel::Https, Channel::Tftp]);
    for source in &raw.paths {
        match Pattern::parse(source, Ground::Path, raw.nocase, names) {
            Ok(pattern) => {
                let at = format!(
                    "{}:{}",
                    reader.file,
                    line_of(&reader.text, source).unwrap_or(1)
                );
                rules.push(Rule {
                    channels: web.clone(),
                    condition: Condition::Path(pattern.clone()),
                    beside: None,
                    family: Some(family.to_owned()),
                    model: None,
                    artefact: Some(raw.id.clone()),
                    common: raw.common,
                    at,
                });
                paths.push(pattern);
            }
            Err(error) => reader.wrong(source, error.to_string(), "docs/manifest.md, section 2"),
        }
    }
    let at = format!(
        "{}:{}",
        reader.file,
        line_of(&reader.text, &format!("\"{}\"", raw.id)).unwrap_or(1)
    );
    let counted = !raw.version_field.is_empty();
    if counted && scope == ArtefactScope::Family {
        let what = format!("{}: version_field without a file of one unit", raw.id);
        let hint = "the number is kept for each unit: scope = \"unit\"";
        reader.wrong("version_field", what, hint);
    }
    let applies = [("", false), ("live", false), ("restart", true)];
    let artefact = Artefact {
        kind,
        paths,
        scope,
        order: raw.order,
        required: raw.required,
        template: raw.template,
        format: reader.word("format", &raw.format, &FORMATS, Format::Text),
        media_type: if raw.media_type.is_empty() {
            "text/plain".to_owned()
        } else {
            raw.media_type
        },
        useful_from: match (raw.useful_from.as_str(), scope) {
            ("", ArtefactScope::Family) => Class::Public,
            (said, ArtefactScope::Unit | ArtefactScope::Family) => {
                reader.word("useful_from", said, &CLASSES, Class::Credential)
            }
        },
        bootstrap: raw.bootstrap,
        fallback_of: Some(raw.fallback_of).filter(|other| !other.is_empty()),
        refusal: raw.refusal.map(|raw| reader.refusal(&raw, refusal)),
        applies_by_restart: reader.word("applies", &raw.applies, &applies, false),
        version_field: Some(raw.version_field).filter(|field| !field.is_empty()),
        filters: reply::filters(reader, &raw.filters),
        common: raw.common,
        reads: Class::Public,
        at,
        id: raw.id,
    };
    (artefact, rules)
}

fn transport(reader: &mut Reader<'_>, raw: raw::Transport) -> Transport {
    let channels = [
        ("https", Channel::Https),
        ("http", Channel::Http),
        ("tftp", Channel::Tftp),
    ];
    let versions = [
        ("none", 0),
        ("1.0", 10),
        ("1.1", 11),
        ("1.2", 12),
        ("1.3", 13),
    ];
    Transport {
        first: reader.by_model(Some(raw.first), |reader, ways| {
            ways.iter()
                .map(|way| reader.word("first", way, &channels, Channel::Http))
                .collect()
        }),
        trusts: reader.by_model(Some(raw.trusts), |reader, said| match said.as_str() {
            "none" => Trusts::None,
            "own" => Trusts::Own,
            "public" => Trusts::Public,
            _ => match said.strip_prefix("vendor-ca:") {
                Some(name) => Trusts::VendorCa(name.to_owned()),
                None => {
                    let what = format!("trusts = \"{said}\" is no word of the format");
                    reader.wrong(&said, what, "none, own, public or vendor-ca:NAME");
                    Trusts::Public
                }
            },
        }),
        after: reader.by_model(Some(raw.after), |reader, said| {
            reader.word(
                "after",
                &said,
                &[("own-ca", After::OwnCa), ("same", After::Same)],
                After::Same,
            )
        }),
        tls: reader.by_model(Some(raw.tls), |reader, said| {
            reader.word("tls", &said, &versions, 0)
        }),
    }
}

fn sources(reader: &mut Reader<'_>, raw: raw::Sources) -> Sources {
    Sources {
        order: raw.order,
        pin: raw.pin,
        ceiling: reader.by_model(Some(raw.ceiling), |reader, said| {
            Assurance::parse(&said).unwrap_or_else(|| {
                reader.wrong(
                    &said,
                    format!("ceiling = \"{said}\" is no level"),
                    "L0 to L4",
                );
                Assurance::L0
            })
        }),
        elsewhere: raw.elsewhere,
    }
}

/// Reset, unless a source shows that the family keeps.
fn absent(reader: &mut Reader<'_>, raw: Option<raw::Absent>) -> Absent {
    let Some(raw) = raw else {
        return Absent {
            keeps: false,
            source: None,
            never: Vec::new(),
        };
    };
    let keeps = reader.word(
        "means",
        &raw.means,
        &[("keep", true), ("reset", false)],
        false,
    );
    if keeps && raw.source.is_none() {
        reader.wrong(
            "means",
            "`keep` without a source".to_owned(),
            "name the source, or write reset",
        );
    }
    Absent {
        keeps,
        source: raw.source,
        never: raw.never,
    }
}

fn bootstrap(reader: &mut Reader<'_>, raw: raw::Bootstrap) -> Bootstrap {
    let words = [
        ("include", BootstrapNext::Include),
        ("setting", BootstrapNext::Setting),
        ("restart", BootstrapNext::Restart),
    ];
    Bootstrap {
        next: reader.word("next", &raw.next, &words, BootstrapNext::Restart),
        undo: raw.undo,
    }
}

fn report(reader: &mut Reader<'_>, raw: raw::Report) -> Report {
    let words = [
        ("config", ProofWay::Config),
        ("firmware", ProofWay::Firmware),
        ("registrar", ProofWay::Registrar),
        ("report", ProofWay::Report),
    ];
    Report {
        registered: raw.registered,
        failed: raw.failed,
        states: raw
            .states
            .into_iter()
            .map(|(word, said)| {
                let good = [("ok", true), ("failed", false)];
                let good = reader.word("states", &said, &good, false);
                (word, good)
            })
            .collect(),
        proof: raw
            .proof
            .iter()
            .map(|said| reader.word("proof", said, &words, ProofWay::Report))
            .collect(),
        stall_after: reader
            .duration("stall_after", &raw.stall_after)
            .unwrap_or_default(),
    }
}
