//! `simulate --dhcp-only`: what a network's own DHCP server offers to each kind of unit, and what is
//! wrong with it, beside what our own server would tell the same unit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::exit::{Exit, Fail};
use super::super::out::{Out, printable};
use super::fleet::Member;
use crate::catalog::Catalog;
use crate::engine::facts::{DhcpFacts, Facts, Target};
use crate::engine::identify::claims;
use crate::engine::known::Known;
use crate::engine::point;
use crate::engine::reply::{Bases, Reply};
use crate::model::identity::Channel;
use crate::simulate::Unit;
use crate::simulate::dhcp::{Hello, Told, Wire};

/// How long offers are waited for: a server that looks whether an address is free takes a second.
const WAIT: Duration = Duration::from_secs(3);
/// Options of any network; the rest are told to a unit because of what it is.
const PLAIN: [u8; 13] = [1, 3, 6, 12, 15, 28, 42, 51, 53, 54, 58, 59, 82];

/// One kind of unit and what it was offered.
struct Looked {
    family: String,
    model: String,
    mac: String,
    /// What our own server would tell it; empty where it has no address of its own to tell.
    wants: Told,
    finds: Option<String>,
    servers: Vec<Offered>,
    /// What is wrong with the network as a whole.
    wrong: Vec<String>,
}

/// One server's offer.
struct Offered {
    told: Told,
    finds: Option<String>,
    wrong: Vec<String>,
    /// Differs, and changes nothing for this unit.
    notes: Vec<String>,
}

/// Asks as each of these, and tells. Exit 1 where a unit would not find us.
pub(super) async fn run(
    wire: &Wire,
    members: Vec<Member>,
    catalog: &Catalog,
    bases: &Bases,
    out: Out,
) -> Result<Exit, Fail> {
    let mut units = Vec::new();
    for member in members {
        let unit = Unit::factory(member.conduct, member.who, member.around)
            .map_err(|problem| Fail::usage("boot-invalid", problem))?;
        let who = unit
            .says()
            .map_err(|problem| Fail::usage("boot-invalid", problem))?;
        units.push((unit, who));
    }
    // All at once: each has its own number in what it sends.
    let asked = units.iter().map(|(_, who)| wire.offers(who, WAIT));
    let offers = join_all(asked).await;
    let mut looked = Vec::new();
    for ((unit, who), offers) in units.iter().zip(offers) {
        let offers = offers.map_err(|why| Fail::failed("dhcp", why))?;
        looked.push(look(unit, who, offers, catalog, bases));
    }
    show(out, &looked)?;
    let fine = |unit: &Looked| {
        unit.wrong.is_empty() && unit.servers.iter().all(|one| one.wrong.is_empty())
    };
    Ok(if looked.iter().all(fine) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Waits for all of them; each runs while the others wait.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut done = true;
        for (future, outcome) in &mut waiting {
            if outcome.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *outcome = Some(value),
                    std::task::Poll::Pending => done = false,
                }
            }
        }
        if done {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, outcome)| outcome)
        .collect()
}

fn look(unit: &Unit, who: &Hello, offers: Vec<Told>, catalog: &Catalog, bases: &Bases) -> Looked {
    let identity = unit.identity();
    let wants = wanted(who, catalog, bases);
    let finds = unit.finds(&wants);
    let mut wrong = Vec::new();
    if offers.is_empty() {
        wrong.push(format!(
            "nobody offered it an address in {} s",
            WAIT.as_secs()
        ));
    }
    if offers.len() > 1 {
        let servers: Vec<String> = offers.iter().map(server).collect();
        wrong.push(format!(
            "{} servers answer, and it takes whoever is first: {}",
            servers.len(),
            servers.join(", ")
        ));
    }
    let servers = offers
        .into_iter()
        .map(|told| offered(unit, told, &wants, finds.as_deref()))
        .collect();
    Looked {
        family: unit.family().to_owned(),
        model: identity.model.clone(),
        mac: who.mac.to_string(),
        wants,
        finds,
        servers,
        wrong,
    }
}

/// What our own server would tell it.
fn wanted(who: &Hello, catalog: &Catalog, bases: &Bases) -> Told {
    let mut facts = Facts::new(Channel::Dhcp, Target::default());
    facts.dhcp = Some(DhcpFacts {
        message: "discover".to_owned(),
        chaddr: Some(who.mac),
        options: who.options.iter().cloned().collect(),
        ..DhcpFacts::default()
    });
    let claims = claims(&facts, catalog);
    let nobody = Known::default();
    let who = point::who(Channel::Dhcp, &claims, &nobody, catalog);
    let values = crate::service::point::values(None, catalog, &BTreeMap::new());
    let reply = who.kind.map_or_else(Reply::default, |kind| {
        point::reply(&facts, &claims, &kind, bases, &values)
    });
    Told {
        options: reply.options.into_iter().collect(),
        siaddr: reply.siaddr,
        file: reply.file.unwrap_or_default().into_bytes(),
        ..Told::default()
    }
}

fn offered(unit: &Unit, told: Told, wants: &Told, expected: Option<&str>) -> Offered {
    let finds = unit.finds(&told);
    let mut differs = Vec::new();
    for (code, value) in &wants.options {
        match told.options.get(code) {
            None => differs.push(format!(
                "option {code} is missing: put {} there",
                shown(value)
            )),
            Some(got) if trimmed(got) != trimmed(value) => differs.push(format!(
                "option {code} holds {}: put {} there",
                shown(got),
                shown(value)
            )),
            Some(_) => {}
        }
    }
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    match (finds.as_deref(), expected) {
        (found, expected) if found == expected && found.is_some() => notes = differs,
        (None, _) => {
            wrong.push("nothing in it names a server that such a unit would ask".to_owned());
            wrong.extend(differs);
        }
        (Some(found), Some(expected)) => {
            wrong.push(format!("it sends the unit to {found}, not to {expected}"));
            wrong.extend(differs);
        }
        (Some(_), None) => notes = differs,
    }
    if told.ip.is_none() {
        wrong.push("it offers no address".to_owned());
    }
    Offered {
        told,
        finds,
        wrong,
        notes,
    }
}

/// Without the NUL that some servers put behind texts.
fn trimmed(octets: &[u8]) -> &[u8] {
    octets.strip_suffix(&[0]).unwrap_or(octets)
}

/// A text in quotes, or octets.
fn shown(octets: &[u8]) -> String {
    let text = trimmed(octets);
    let plain = !text.is_empty() && text.iter().all(|octet| (32..127).contains(octet));
    if plain {
        return format!("{:?}", String::from_utf8_lossy(text));
    }
    let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("the octets {}", hex.join(":"))
}

fn server(told: &Told) -> String {
    told.server
        .map_or_else(|| "one without a name".to_owned(), |ip| ip.to_string())
}

fn show(out: Out, looked: &[Looked]) -> Result<(), Fail> {
    if out.json {
        return out.document(&json!({"units": looked.iter().map(written).collect::<Vec<_>>()}));
    }
    for unit in looked {
        out.line(&format!("{} {} as {}", unit.family, unit.model, unit.mac))?;
        for wrong in &unit.wrong {
            out.line(&format!("  wrong: {}", printable(wrong)))?;
        }
        for one in &unit.servers {
            let ip = one
                .told
                .ip
                .map_or_else(|| "none".to_owned(), |ip| ip.to_string());
            out.line(&format!("  {} offers {ip}", server(&one.told)))?;
            for (code, value) in own_options(&one.told) {
                out.line(&format!("    {code} {}", printable(&shown(value))))?;
            }
            if let Some(finds) = &one.finds {
                out.line(&format!("    it asks {}", printable(finds)))?;
            }
            for wrong in &one.wrong {
                out.line(&format!("    wrong: {}", printable(wrong)))?;
            }
            for note in &one.notes {
                out.line(&format!(
                    "    differs, and changes nothing for it: {}",
                    printable(note)
                ))?;
            }
        }
    }
    Ok(())
}

fn own_options(told: &Told) -> impl Iterator<Item = (&u8, &Vec<u8>)> {
    told.options
        .iter()
        .filter(|(code, _)| !PLAIN.contains(code))
}

fn written(unit: &Looked) -> Value {
    let options = |told: &Told| -> Value {
        own_options(told)
            .map(|(code, value)| (code.to_string(), json!(shown(value))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let servers = unit.servers.iter().map(|one| {
        json!({
            "server": one.told.server.map(|ip| ip.to_string()),
            "ip": one.told.ip.map(|ip| ip.to_string()),
            "options": options(&one.told),
            "asks": one.finds,
            "wrong": one.wrong,
            "differs": one.notes,
        })
    });
    json!({
        "family": unit.family,
        "model": unit.model,
        "mac": unit.mac,
        "wrong": unit.wrong,
        "servers": servers.collect::<Vec<_>>(),
        "expected": {"options": options(&unit.wants), "asks": unit.finds},
    })
}
