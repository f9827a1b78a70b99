//! `dhcp snippet`: what units are told, in the words of a DHCP server that stands already.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::out;
use super::server::{self, folders};
use crate::catalog::{Catalog, snippet as templates};
use crate::config::Config;
use crate::engine::reply::Bases;
use crate::engine::resolve::{Found, Values};
use crate::engine::snippet::{self, Atom, Class, Test};
use crate::model::profile::{Layer, Resolved, Value as Set};
use crate::model::site::Site;
use crate::service::point;

/// `dhcp snippet [FORMAT]`.
#[derive(clap::Args, Debug)]
pub(super) struct Snippet {
    /// Which server; without it the names of all
    format: Option<String>,
    /// The site that the units stand in: its own addresses are told
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// The units' own VLAN, for the network that they start in
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4094))]
    vlan: Option<u16>,
}

impl Snippet {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let config = globals.configuration()?;
        let files = folders::profiles(&config.profiles)
            .map_err(|problem| Fail::usage("profiles", problem))?;
        let formats = templates::formats(&files);
        let out = globals.out();
        let Some(format) = self.format else {
            for format in &formats {
                out.line(format)?;
            }
            return Ok(Exit::Done);
        };
        if !formats.contains(&format) {
            let what = format!("there is no snippet for {format:?}");
            let next = format!("one of {}", formats.join(", "));
            return Err(Fail::usage("format-unknown", what).next(next));
        }
        let (catalog, problems) = folders::catalogue_of(&files);
        for problem in &problems {
            out::note(&problem.to_string());
        }
        let catalog =
            catalog.ok_or_else(|| Fail::usage("profiles", "the manifests have errors"))?;
        let site = match &self.site {
            None => None,
            Some(name) => Some(site(globals, &config, name)?),
        };
        let bases = point::bases_at(site.as_ref(), &server::bases_of(&config));
        if (&bases.https, &bases.http, &bases.tftp) == (&None, &None, &None) {
            let what = "nobody elsewhere can reach this server by what is configured";
            let next = "set public_http_url, public_url and public_tftp in the configuration";
            return Err(Fail::usage("no-pointer", what).next(next));
        }
        let site = self.site.as_deref();
        let mut values = point::values(site, &catalog, &BTreeMap::new());
        if let Some(vlan) = self.vlan {
            set(&mut values, "vlan_id", i64::from(vlan));
        }
        let about = about(&catalog, &bases, &values, site);
        let text = templates::render(&files, &format, &about)
            .map_err(|error| Fail::failed("snippet", error))?;
        if out.json {
            let document = json!({"format": format, "text": text, "classes": about.get("classes")});
            out.document(&document)?;
        } else {
            out.raw(text.as_bytes())?;
        }
        Ok(Exit::Done)
    }
}

/// A site as the running server has it, where one answers; else as the file has it.
fn site(globals: &Globals, config: &Config, name: &str) -> Result<Site, Fail> {
    let asked = globals.session()?.get(&Call::to(&["sites", name]));
    let asked = match asked {
        Ok(found) => {
            let text = |key: &str| found.get(key).and_then(Value::as_str).map(str::to_owned);
            return Ok(Site {
                public_url: text("public_url"),
                public_http_url: text("public_http_url"),
                public_tftp: text("public_tftp"),
                ..Site::new(name)
            });
        }
        Err(fail) => fail,
    };
    let row = config.rows.site(name).ok_or_else(|| {
        let what = format!("the configuration has no site {name:?}");
        Fail::usage("site-unknown", what).detail(asked)
    })?;
    Ok(row.over(Site::new(name)))
}

fn set(values: &mut Values, name: &str, number: i64) {
    let found = Found {
        resolved: Resolved {
            value: Set::Int(number),
            layer: Layer::Site,
        },
        scope: String::new(),
    };
    values.insert(name.to_owned(), found);
}

/// What the templates see.
fn about(catalog: &Catalog, bases: &Bases, values: &Values, site: Option<&str>) -> Value {
    let (classes, left_out) = snippet::classes(catalog, bases, values);
    let tests = || classes.iter().flat_map(|class| &class.tests);
    let atoms: BTreeSet<&Atom> = tests()
        .flat_map(|test| test.all.iter().chain(&test.none))
        .collect();
    let ids: BTreeMap<&Atom, usize> = atoms.iter().copied().zip(1..).collect();
    let codes: BTreeSet<u8> = classes
        .iter()
        .flat_map(|class| class.options.iter().map(|(code, _)| *code))
        .collect();
    json!({
        "about": site.map(|site| format!(", site {site}")).unwrap_or_default(),
        "left_out": left_out,
        "codes": codes,
        "atoms": atoms.iter().map(|atom| written(atom, &ids)).collect::<Vec<_>>(),
        "classes": classes.iter().map(|class| class_of(class, &ids)).collect::<Vec<_>>(),
    })
}

fn written(atom: &Atom, ids: &BTreeMap<&Atom, usize>) -> Value {
    let id = format!("dt{}", ids.get(atom).copied().unwrap_or_default());
    with(
        octets(&atom.begins),
        [("id", json!(id)), ("code", json!(atom.code))],
    )
}

fn class_of(class: &Class, ids: &BTreeMap<&Atom, usize>) -> Value {
    let list =
        |atoms: &[Atom]| -> Vec<Value> { atoms.iter().map(|atom| written(atom, ids)).collect() };
    let test = |test: &Test| json!({"all": list(&test.all), "none": list(&test.none)});
    let options = class
        .options
        .iter()
        .map(|(code, held)| with(octets(held), [("code", json!(code))]));
    json!({
        "name": class.name,
        "label": class.label,
        "tests": class.tests.iter().map(test).collect::<Vec<_>>(),
        "macs": class.macs,
        "unless": class.unless,
        "options": options.collect::<Vec<_>>(),
        "siaddr": class.siaddr.map(|ip| ip.to_string()),
        "file": class.file,
    })
}

/// An object with more in it.
fn with<const N: usize>(mut about: Value, more: [(&str, Value); N]) -> Value {
    if let Value::Object(fields) = &mut about {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    about
}

/// Octets in every form that a server takes. `text` is there where they are one that needs no
/// escapes, `ips` where they are addresses and no text.
fn octets(held: &[u8]) -> Value {
    let joined =
        |by: &str, form: fn(&u8) -> String| held.iter().map(form).collect::<Vec<_>>().join(by);
    let plain =
        |octet: &u8| (octet.is_ascii_graphic() || *octet == b' ') && !b"\"\\".contains(octet);
    let text = held
        .iter()
        .all(plain)
        .then(|| String::from_utf8_lossy(held).into_owned());
    let ips = (text.is_none() && held.len().is_multiple_of(4)).then(|| {
        let four = held
            .chunks(4)
            .map(|four| four.iter().map(u8::to_string).collect::<Vec<_>>().join("."));
        four.collect::<Vec<_>>().join(" ")
    });
    let hex = joined("", |octet| format!("{octet:02x}"));
    json!({
        "hex": hex,
        "colons": joined(":", |octet| format!("{octet:02x}")),
        "octets": joined(",", |octet| format!("0x{octet:02x}")),
        "length": held.len(),
        "shown": text.clone().unwrap_or(hex),
        "text": text,
        "ips": ips,
    })
}
