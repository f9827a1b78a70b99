//! `vendor.toml`: who a vendor is and how its units are recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{family, option, raw};
use crate::catalog::manifest::{
    Always, CertificateRule, Condition, PnpMatch, Rule, Table, Vendor, fold,
};
use crate::catalog::pattern::{Ground, Names, Pattern};
use crate::catalog::problem::line_of;
use crate::catalog::{Files, Problem};
use crate::model::identity::Channel;

pub(super) fn resolve(
    id: &str,
    text: &str,
    raw: raw::Vendor,
    families: Vec<(String, raw::Family)>,
    files: &Files,
    problems: &mut Vec<Problem>,
) -> Vendor {
    let file = format!("{id}/vendor.toml");
    if raw.vendor != id {
        let what = format!("vendor = \"{}\" stands in the folder {id}", raw.vendor);
        problems.push(Problem::error(
            &file,
            line_of(text, "vendor"),
            what,
            "use the folder's name",
        ));
    }
    let tables: BTreeMap<String, Table> = raw
        .table
        .into_iter()
        .map(|(name, rows)| {
            (
                name,
                Table(
                    rows.into_iter()
                        .map(|(key, models)| (key, models.list()))
                        .collect(),
                ),
            )
        })
        .collect();
    let names = names(&families, &tables, id, problems);
    check_tables(&file, text, &tables, &names, problems);

    let mut rules = Vec::new();
    for rule in raw.recognise {
        match recognise(&file, text, rule, &names) {
            Ok(rule) => rules.push(rule),
            Err((needle, what)) => {
                let line = line_of(text, &needle);
                problems.push(Problem::error(
                    &file,
                    line,
                    what,
                    "docs/manifest.md, section 2",
                ));
            }
        }
    }
    let mut oui = BTreeSet::new();
    for part in raw.oui {
        if part.len() == 6
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            oui.insert(part);
        } else {
            let what = format!("`{part}` is no OUI");
            problems.push(Problem::error(
                &file,
                line_of(text, &part),
                what,
                "six lower-case hex digits",
            ));
        }
    }
    let mut certificates = Vec::new();
    for rule in raw.certificate {
        certificates.extend(certificate(&file, text, rule, &names, problems));
    }
    let mut resolved = BTreeMap::new();
    for (family_id, family) in families {
        let (family, more) = family::resolve(id, &family_id, family, &names, files, problems);
        rules.extend(more);
        resolved.insert(family_id, Arc::new(family));
    }
    if let Some(default) = &raw.default_family
        && !resolved.contains_key(default)
    {
        let what = format!("default_family = \"{default}\" has no folder");
        problems.push(Problem::error(
            &file,
            line_of(text, "default_family"),
            what,
            "name a family's folder",
        ));
    }
    for rule in &rules {
        if let Some(family) = rule
            .family
            .as_ref()
            .filter(|family| !resolved.contains_key(*family))
        {
            let what = format!("{}: there is no family {family}", rule.at);
            problems.push(Problem::error(&file, None, what, "name a family's folder"));
        }
    }
    Vendor {
        id: id.to_owned(),
        names: raw.names,
        default_family: raw.default_family,
        oui,
        generic: raw.generic,
        rules,
        tables,
        certificates,
        families: resolved,
        unconfirmed: raw.unconfirmed.keys,
    }
}

/// Accepted spellings of all models of a vendor; two that fold to one, and an alias that is a
/// model, are told.
fn names<'a>(
    families: &[(String, raw::Family)],
    tables: &'a BTreeMap<String, Table>,
    id: &str,
    problems: &mut Vec<Problem>,
) -> Names<'a> {
    let mut models = BTreeMap::new();
    let mut folded: BTreeMap<String, String> = BTreeMap::new();
    for (family, raw) in families {
        let file = format!("{id}/{family}/family.toml");
        let listed = raw.models.iter().map(|model| (model, model));
        let aliases = raw.aliases.iter();
        for (said, model) in listed.chain(aliases) {
            if let Some(other) = folded.insert(fold(said), model.clone()) {
                let what = format!(
                    "{said} is the same as {other} when case, blanks, - and _ do not count"
                );
                problems.push(Problem::error(
                    &file,
                    None,
                    what,
                    "list a model or alias once",
                ));
            }
            models.insert(said.clone(), model.clone());
        }
        for (alias, model) in &raw.aliases {
            if !raw.models.contains(model) {
                let what = format!("alias {alias} stands for {model}, which is not listed");
                problems.push(Problem::error(
                    &file,
                    None,
                    what,
                    "list the model in `models`",
                ));
            }
        }
    }
    Names {
        models,
        tables: Some(tables),
    }
}

/// What `{pointer.scheme@TABLE}` and `{pointer.host_kind@TABLE}` look for.
const POINTER_WORDS: [&str; 6] = ["http", "https", "tftp", "ipv4", "ipv6", "hostname"];

fn check_tables(
    file: &str,
    text: &str,
    tables: &BTreeMap<String, Table>,
    names: &Names<'_>,
    problems: &mut Vec<Problem>,
) {
    for (key, model) in tables
        .values()
        .flat_map(|table| &table.0)
        .flat_map(|(key, models)| models.iter().map(move |m| (key, m)))
    {
        if names.models.get(model) != Some(model) && !POINTER_WORDS.contains(&model.as_str()) {
            let what = format!("{key} stands for {model}, which no family lists");
            problems.push(Problem::error(
                file,
                line_of(text, key),
                what,
                "list the model in a family",
            ));
        }
    }
}

fn recognise(
    file: &str,
    text: &str,
    raw: raw::Rule,
    names: &Names<'_>,
) -> Result<Rule, (String, String)> {
    let pattern = |source: &str, ground| {
        Pattern::parse(source, ground, raw.nocase, names)
            .map_err(|error| (source.to_owned(), error.to_string()))
    };
    let mut conditions = Vec::new();
    let mut needle = String::new();
    if let Some(agent) = &raw.agent {
        needle.clone_from(agent);
        conditions.push(Condition::Agent(pattern(agent, Ground::Text)?));
    }
    let mut beside = None;
    if let Some(path) = &raw.path {
        let path_pattern = pattern(path, Ground::Path)?;
        if conditions.is_empty() {
            needle.clone_from(path);
            conditions.push(Condition::Path(path_pattern));
        } else {
            beside = Some(path_pattern);
        }
    }
    if let Some((_, value)) = raw.headers.first_key_value() {
        needle.clone_from(value);
        let mut headers = Vec::new();
        for (name, value) in &raw.headers {
            headers.push((name.clone(), pattern(value, Ground::Text)?));
        }
        conditions.push(Condition::Headers(headers));
    }
    if let Some((_, value)) = raw.options.first_key_value() {
        needle = value.as_str().unwrap_or("options").to_owned();
        let mut options = Vec::new();
        for (code, value) in &raw.options {
            let number = code
                .parse()
                .map_err(|_| (code.clone(), format!("`{code}` is no option")))?;
            let matcher =
                option::matcher(value, raw.nocase, names).map_err(|what| (needle.clone(), what))?;
            options.push((number, matcher));
        }
        conditions.push(Condition::Options(options));
    }
    if let Some(event) = &raw.event {
        needle = "event".to_owned();
        let part = |text: &Option<String>| match text {
            Some(text) => pattern(text, Ground::Text).map(Some),
            None => Ok(None),
        };
        let wanted = PnpMatch {
            vendor: part(&event.vendor)?,
            model: part(&event.model)?,
            version: part(&event.version)?,
        };
        conditions.push(Condition::Pnp(Box::new(wanted)));
    }
    let one = conditions.pop();
    let (Some(condition), true) = (one, conditions.is_empty()) else {
        let what =
            "a rule looks at one of agent, path, headers, options, event, or at agent and path";
        return Err((needle, what.to_owned()));
    };
    let mut channels = BTreeSet::new();
    for channel in raw.channel.list() {
        let read = Channel::parse(&channel)
            .ok_or_else(|| (channel.clone(), format!("no channel `{channel}`")))?;
        channels.insert(read);
        // What holds for HTTP holds for HTTPS.
        if read == Channel::Http {
            channels.insert(Channel::Https);
        }
    }
    let line = line_of(text, &needle).unwrap_or(1);
    Ok(Rule {
        channels,
        condition,
        beside,
        family: raw.family,
        model: raw.model,
        artefact: None,
        common: raw.common,
        at: format!("{file}:{line}"),
    })
}

fn certificate(
    file: &str,
    text: &str,
    raw: raw::Certificate,
    names: &Names<'_>,
    problems: &mut Vec<Problem>,
) -> Option<CertificateRule> {
    let mut subject = BTreeMap::new();
    for (attribute, source) in &raw.subject {
        match Pattern::parse(source, Ground::Text, false, names) {
            Ok(pattern) => drop(subject.insert(attribute.clone(), pattern)),
            Err(error) => {
                let line = line_of(text, source);
                problems.push(Problem::error(
                    file,
                    line,
                    error.to_string(),
                    "docs/manifest.md, section 2",
                ));
                return None;
            }
        }
    }
    let always = match raw.always {
        Some(raw::Always::All(true)) => Always::All,
        Some(raw::Always::Models(models)) => Always::Models(models),
        Some(raw::Always::All(false)) | None => Always::None,
    };
    let line = line_of(text, "[[certificate]]").unwrap_or(1);
    Some(CertificateRule {
        issuer: raw.issuer,
        subject,
        shared: raw.shared,
        always,
        at: format!("{file}:{line}"),
    })
}
