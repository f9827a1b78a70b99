//! `[[dhcp]]`, `[sip_pnp]`, `[push]`, `[firmware]`, `filters`: how a family is answered and driven.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::family::Reader;
use super::option::{self, octets};
use super::raw;
use crate::catalog::manifest::{
    Artefact, DhcpReply, Filter, FirmwareRule, OptionValue, Push, PushWay,
};
use crate::catalog::pattern::{Ground, Names, Pattern};
use crate::catalog::version::FirmwareRange;
use crate::model::dhcp::OWN_OPTIONS;

/// Words that a reply's placeholder may name; others are variables, `artefact.ID` and `x@TABLE`.
const PLACEHOLDERS: [&str; 9] = [
    "pointer",
    "pointer.scheme",
    "pointer.host",
    "pointer.host_kind",
    "pointer.port",
    "pointer.path",
    "tftp",
    "firmware.name",
    "ip:hex",
];

/// Holes of patterns, which the request or the record fills.
const HOLES: [&str; 6] = ["mac", "model", "serial", "firmware", "hardware", "part"];

/// The replies of one family, in the order of the file.
pub(super) fn dhcp(
    reader: &mut Reader<'_>,
    raw: Vec<raw::Dhcp>,
    artefacts: &[Artefact],
    models: &[String],
    names: &Names<'_>,
) -> Vec<DhcpReply> {
    let mut replies = Vec::new();
    for block in raw {
        let mut reply = DhcpReply {
            when_options: Vec::new(),
            when_asks: Vec::new(),
            when_models: Vec::new(),
            options: BTreeMap::new(),
            echo: block.echo,
            siaddr: Some(block.siaddr).filter(|text| !text.is_empty()),
            file: Some(block.file).filter(|text| !text.is_empty()),
            lease: least(reader, &block.lease),
        };
        for (word, value) in &block.when {
            if let Err((needle, what)) = when(word, value, models, names, &mut reply) {
                reader.wrong(
                    &needle,
                    what,
                    "option codes, asks = [codes], model = [models]",
                );
            }
        }
        for (code, value) in &block.options {
            let read = match code.parse::<u8>() {
                Ok(0 | 255) | Err(_) => Err(format!("`{code}` is no option")),
                Ok(number) if OWN_OPTIONS.contains(&number) => {
                    Err(format!("the server writes option {code} itself"))
                }
                Ok(number) => encoded(value).map(|value| (number, value)),
            };
            match read {
                Ok((number, value)) => drop(reply.options.insert(number, value)),
                Err(what) => reader.wrong(code, what, "docs/manifest.md, Replies"),
            }
        }
        if let Some(code) = reply.echo.iter().find(|code| OWN_OPTIONS.contains(code)) {
            let what = format!("the server writes option {code} itself");
            reader.wrong("echo", what, "docs/manifest.md, Replies");
        }
        let mut texts: Vec<String> = [&reply.siaddr, &reply.file]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for value in reply.options.values() {
            collect(value, &mut texts);
        }
        for text in texts {
            placeholders(reader, &text, artefacts, names);
        }
        replies.push(reply);
    }
    replies
}

/// `lease = "1h"`; none is 0.
fn least(reader: &mut Reader<'_>, said: &str) -> u32 {
    let time = reader.duration("lease", said);
    let seconds = time.map_or(Ok(0), |time| u32::try_from(time.as_secs()));
    seconds.unwrap_or_else(|_| {
        reader.wrong(
            said,
            format!("lease = \"{said}\" is too long"),
            "a day at most is usual",
        );
        0
    })
}

/// One word of `when`.
fn when(
    word: &str,
    value: &Value,
    models: &[String],
    names: &Names<'_>,
    reply: &mut DhcpReply,
) -> Result<(), (String, String)> {
    let wrong = |what: &str| (word.to_owned(), format!("when: {word} {what}"));
    match word {
        "asks" => {
            let codes = value
                .as_array()
                .ok_or_else(|| wrong("is a list of codes"))?;
            for code in codes {
                let number = code.as_integer().and_then(|code| u8::try_from(code).ok());
                reply
                    .when_asks
                    .push(number.ok_or_else(|| wrong("is a list of codes"))?);
            }
        }
        "model" => {
            let listed = value
                .as_array()
                .ok_or_else(|| wrong("is a list of models"))?;
            for model in listed {
                let model = model.as_str().ok_or_else(|| wrong("is a list of models"))?;
                if !models.iter().any(|known| known == model) {
                    let what = format!("when: the family does not list {model}");
                    return Err((model.to_owned(), what));
                }
                reply.when_models.push(model.to_owned());
            }
        }
        code => {
            let number = code.parse().map_err(|_| wrong("is no option"))?;
            let matcher = option::matcher(value, false, names);
            reply
                .when_options
                .push((number, matcher.map_err(|what| wrong(&what))?));
        }
    }
    Ok(())
}

/// A value with its encoding: a text, or a table of one word (and `enterprise`).
fn encoded(value: &Value) -> Result<OptionValue, String> {
    if let Some(text) = value.as_str() {
        return Ok(OptionValue::Text(text.to_owned()));
    }
    let table = value.as_table().ok_or("an option is a text or a table")?;
    let enterprise = match table.get("enterprise") {
        None => None,
        Some(number) => {
            let number = number
                .as_integer()
                .and_then(|number| u32::try_from(number).ok());
            Some(number.ok_or("`enterprise` is a number of 32 bits")?)
        }
    };
    let mut words = table.iter().filter(|(word, _)| *word != "enterprise");
    let (Some((word, held)), None) = (words.next(), words.next()) else {
        return Err("an option has one encoding".to_owned());
    };
    let text = || held.as_str().ok_or_else(|| format!("`{word}` is a text"));
    let number = |most: i64| {
        let number = held
            .as_integer()
            .filter(|number| (0..=most).contains(number));
        number.ok_or_else(|| format!("`{word}` is a number up to {most}"))
    };
    let texts = || {
        let items = held.as_array().map(|items| {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()
        });
        items
            .flatten()
            .ok_or_else(|| format!("`{word}` is a list of texts"))
    };
    let odd = |_| format!("`{word}` is out of its range");
    let read = match word.as_str() {
        "tlv" => {
            let parts = parts::<u8>(held)?;
            return Ok(match enterprise {
                Some(enterprise) => OptionValue::Enterprise {
                    enterprise,
                    tlv: parts,
                },
                None => OptionValue::Tlv(parts),
            });
        }
        "tlv16" => OptionValue::Tlv16(parts::<u16>(held)?),
        "hex" => OptionValue::Hex(octets(text()?)?),
        "text_nul" => OptionValue::TextNul(text()?.to_owned()),
        "ip_list" => OptionValue::IpList(texts()?),
        "uri_list16" => OptionValue::UriList16(texts()?),
        "u8" => OptionValue::U8(u8::try_from(number(0xff)?).map_err(odd)?),
        "u16" => OptionValue::U16(u16::try_from(number(0xffff)?).map_err(odd)?),
        "u32" => OptionValue::U32(u32::try_from(number(0xffff_ffff)?).map_err(odd)?),
        "bool8" => OptionValue::Bool8(held.as_bool().ok_or("`bool8` is true or false")?),
        other => {
            return Err(format!(
                "there is no encoding `{other}`; known are tlv, tlv16, hex, text_nul, ip_list, uri_list16, u8, u16, u32, bool8"
            ));
        }
    };
    match enterprise {
        None => Ok(read),
        Some(_) => Err("`enterprise` goes with `tlv`".to_owned()),
    }
}

/// Sub-options; 0 and 255 are data here.
fn parts<N: std::str::FromStr + Ord>(held: &Value) -> Result<BTreeMap<N, OptionValue>, String> {
    let table = held.as_table().ok_or("sub-options are a table of codes")?;
    let mut read = BTreeMap::new();
    for (code, value) in table {
        let number = code
            .parse()
            .map_err(|_| format!("`{code}` is no sub-option"))?;
        read.insert(number, encoded(value)?);
    }
    Ok(read)
}

/// Every text with placeholders in a value.
fn collect(value: &OptionValue, texts: &mut Vec<String>) {
    match value {
        OptionValue::Text(text) | OptionValue::TextNul(text) => texts.push(text.clone()),
        OptionValue::IpList(items) | OptionValue::UriList16(items) => {
            texts.extend(items.iter().cloned());
        }
        OptionValue::Enterprise { tlv, .. } | OptionValue::Tlv(tlv) => {
            tlv.values().for_each(|value| collect(value, texts));
        }
        OptionValue::Tlv16(tlv) => tlv.values().for_each(|value| collect(value, texts)),
        OptionValue::Bool8(_)
        | OptionValue::Hex(_)
        | OptionValue::U16(_)
        | OptionValue::U32(_)
        | OptionValue::U8(_) => {}
    }
}

/// Each `{…}` of a text names something. Whether a variable exists is seen where the vocabulary is.
fn placeholders(reader: &mut Reader<'_>, text: &str, artefacts: &[Artefact], names: &Names<'_>) {
    if !parts_end(text) {
        let what = format!(
            "`{text}`: a part in brackets has no end or no beginning, or stands in another"
        );
        reader.wrong(text, what, "write [[ and ]] for brackets");
    }
    for name in holes(text) {
        let Some(name) = name else {
            reader.wrong(
                text,
                format!("`{text}`: a brace is not closed"),
                "write {{ for a brace",
            );
            return;
        };
        let bare = name.split('@').next().unwrap_or_default();
        let head = bare.split(':').next().unwrap_or_default();
        let known = PLACEHOLDERS.contains(&bare)
            || HOLES.contains(&head)
            || name
                .strip_prefix("artefact.")
                .is_some_and(|id| artefacts.iter().any(|artefact| artefact.id == id))
            || (!name.contains(['.', ':', '@'])
                && name
                    .chars()
                    .all(|ch| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '_'));
        let table = name.split_once('@').map(|(_, table)| table);
        let tables = names.tables;
        let known = known
            && table.is_none_or(|table| tables.is_some_and(|tables| tables.contains_key(table)));
        if !known {
            let what = format!("there is no placeholder `{{{name}}}`");
            let hint = format!(
                "known are {}, artefact.ID, variables by name, and the holes of patterns",
                PLACEHOLDERS.join(", ")
            );
            reader.wrong(text, what, &hint);
        }
    }
}

/// Whether each `[` has its `]`, none within another.
fn parts_end(text: &str) -> bool {
    let bare = text.replace("[[", "").replace("]]", "");
    let mut open = false;
    for ch in bare.chars().filter(|ch| matches!(ch, '[' | ']')) {
        if open == (ch == '[') {
            return false;
        }
        open = !open;
    }
    !open
}

/// The names in braces; `None` where one is not closed.
fn holes(text: &str) -> Vec<Option<&str>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        if let Some(after) = after.strip_prefix('{') {
            rest = after;
            continue;
        }
        match after.split_once('}') {
            Some((name, after)) => {
                found.push(Some(name));
                rest = after;
            }
            None => {
                found.push(None);
                break;
            }
        }
    }
    found
}

/// Names of variables that a reply or pointer uses, for the check against the vocabulary.
pub(crate) fn variables(reply: Option<&DhcpReply>, pnp: Option<&str>) -> BTreeSet<String> {
    let mut texts: Vec<String> = pnp.into_iter().map(str::to_owned).collect();
    if let Some(reply) = reply {
        texts.extend([&reply.siaddr, &reply.file].into_iter().flatten().cloned());
        for value in reply.options.values() {
            collect(value, &mut texts);
        }
    }
    let mut names = BTreeSet::new();
    for text in &texts {
        let named = holes(text).into_iter().flatten();
        let free = named.filter(|name| {
            !name.contains(['.', ':', '@']) && !PLACEHOLDERS.contains(name) && !HOLES.contains(name)
        });
        names.extend(free.map(str::to_owned));
    }
    names
}

/// `[sip_pnp] url`.
pub(super) fn sip_pnp(
    reader: &mut Reader<'_>,
    raw: Option<raw::SipPnp>,
    artefacts: &[Artefact],
    names: &Names<'_>,
) -> Option<String> {
    let url = raw?.url;
    placeholders(reader, &url, artefacts, names);
    Some(url)
}

/// `[push]`.
pub(super) fn push(reader: &mut Reader<'_>, raw: raw::Push) -> Push {
    let ways = [("contact", PushWay::Contact), ("pbx", PushWay::Pbx)];
    let by = raw.by.iter();
    Push {
        by: by
            .map(|way| reader.word("by", way, &ways, PushWay::Pbx))
            .collect(),
        refetch: raw.refetch,
        restart: raw.restart,
    }
}

/// `[firmware]`.
pub(super) fn firmware(
    reader: &mut Reader<'_>,
    raw: Option<raw::Firmware>,
    artefacts: &[Artefact],
    names: &Names<'_>,
) -> Option<FirmwareRule> {
    let raw = raw?;
    if !artefacts.iter().any(|artefact| artefact.id == raw.told_by) {
        let what = format!("told_by = \"{}\" names no artefact", raw.told_by);
        reader.wrong("told_by", what, "use an artefact's id");
    }
    match Pattern::parse(&raw.name, Ground::Path, false, names) {
        Ok(name) => Some(FirmwareRule {
            told_by: raw.told_by,
            name,
        }),
        Err(error) => {
            reader.wrong(&raw.name, error.to_string(), "docs/manifest.md, Patterns");
            None
        }
    }
}

/// `firmware_range`: comparisons such as `>=66.84`, parted by commas.
pub(super) fn firmware_range(reader: &mut Reader<'_>, range: &str) -> FirmwareRange {
    let parsed = FirmwareRange::parse(range);
    if parsed.is_none() {
        let what = format!("firmware_range = \"{range}\" is no range");
        reader.wrong(
            "firmware_range",
            what,
            ">=, <=, >, < or = and numbers parted by dots; several parted by commas",
        );
    }
    parsed.unwrap_or_default()
}

/// `filters` of an artefact. What is in the format and not built is refused here, not at a device.
pub(super) fn filters(reader: &mut Reader<'_>, raw: &[String]) -> Vec<Filter> {
    let words = [
        ("gzip", Filter::Gzip),
        ("md5-line", Filter::Md5Line),
        ("openssl-aes-256-cbc", Filter::OpensslAes256Cbc),
        ("sha256-line", Filter::Sha256Line),
    ];
    let mut filters = Vec::new();
    for said in raw {
        let filter = reader.word("filters", said, &words, Filter::Md5Line);
        if matches!(filter, Filter::Gzip | Filter::OpensslAes256Cbc) {
            let what = format!("the filter {said} is not built yet");
            reader.wrong(said, what, "md5-line and sha256-line are");
        }
        filters.push(filter);
    }
    filters
}
