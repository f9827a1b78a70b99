//! What a technician does next with a unit, in plain words.

use crate::catalog::manifest::Family;
use crate::engine::outlook::Block;
use crate::model::activation::{Proof, Registration, State};
use crate::model::device::{Config, Device, Lifecycle, Status};
use crate::model::identity::DeviceId;

/// What people call a device in a command: its MAC, its serial, or its id.
pub(crate) fn name_of(id: DeviceId, config: &Config) -> String {
    match (config.mac, &config.serial) {
        (Some(mac), _) => mac.bare(),
        (None, Some(serial)) => serial.to_string(),
        (None, None) => id.to_string(),
    }
}

/// The next step; empty where nothing is to be done.
pub(crate) fn next_step(
    device: &Device,
    status: &Status,
    block: Option<&Block>,
    family: Option<&Family>,
) -> String {
    let name = name_of(device.id, &device.config);
    let mut steps = Vec::new();
    if let Some(step) = exposed(&device.config, &name) {
        steps.push(step);
    }
    let retired = matches!(
        device.config.lifecycle,
        Lifecycle::Retired | Lifecycle::Replaced
    );
    match block {
        Some(_) if retired => steps.push("Out of service: nothing is given.".to_owned()),
        Some(block) => steps.push(blocked(block, &name, status, family)),
        None => steps.extend(by_state(device, status, family, &name)),
    }
    steps.join(" ")
}

/// The secrets that an earlier unit of this record was given.
fn exposed(config: &Config, name: &str) -> Option<String> {
    let secrets: Vec<String> = config
        .arming
        .exposed
        .iter()
        .map(|field| in_words(field))
        .collect();
    if secrets.is_empty() {
        return None;
    }
    Some(format!(
        "An earlier unit was given {}: change it where it is used, then here: dialtone device set {name} --set {}=NEW.",
        secrets.join(", "),
        config.arming.exposed.first().map_or("NAME", String::as_str),
    ))
}

/// The name of a secret for people.
fn in_words(field: &str) -> String {
    let line = field
        .strip_prefix("line.")
        .and_then(|rest| rest.strip_suffix(".password"));
    match line {
        Some(n) => format!("the password of line {n}"),
        None => field.to_owned(),
    }
}

fn blocked(block: &Block, name: &str, status: &Status, family: Option<&Family>) -> String {
    let command = block.command(&[name.to_owned()]);
    let mut text = format!("{}.", block.text());
    if !command.is_empty() {
        text.push_str(&format!(" Do: {command}"));
        // One that has been refused comes back by itself, or not.
        if status.activation.state != State::Expected {
            text.push_str(&format!(" ; then {}.", again(family)));
        }
    }
    text
}

/// How the unit comes to ask again.
fn again(family: Option<&Family>) -> String {
    match family.and_then(|family| family.refusal.asks_again) {
        Some(time) => format!(
            "wait, it asks again within {} min, or restart it",
            time.as_secs().div_ceil(60)
        ),
        None => "restart it".to_owned(),
    }
}

fn by_state(
    device: &Device,
    status: &Status,
    family: Option<&Family>,
    name: &str,
) -> Option<String> {
    let activation = &status.activation;
    match activation.state {
        State::Expected => {
            let place = match &device.config.site {
                Some(site) => format!(" at {site}"),
                None => String::new(),
            };
            let mut text = format!("Plug it in{place}: it asks by itself.");
            let elsewhere = family.map_or("", |family| family.sources.elsewhere.as_str());
            if !elsewhere.is_empty() {
                text.push_str(&format!(" If it does not: {elsewhere}"));
            }
            Some(text)
        }
        State::Seen => Some(format!(
            "It has asked and has not taken its whole configuration: {}; what it did: dialtone device trace {name}",
            again(family)
        )),
        State::Served => waits_for_proof(status, family),
        State::Active if activation.registration == Registration::Lost => Some(
            "It lost its registration: look at the call server and at the unit's network."
                .to_owned(),
        ),
        State::Active if activation.proof == Some(Proof::Firmware) => Some(format!(
            "The system that it installed came up, and is not configured: say what it is: dialtone device set {name} --vendor V --model M"
        )),
        State::Active | State::HandedOver => None,
        State::Stalled => Some(format!(
            "No progress since {}: restart it; what it did: dialtone device trace {name}",
            activation.stage.as_deref().unwrap_or("its first contact")
        )),
        State::Failed => Some(
            "It says that it does not work: check user and password of its lines at the call server, then restart it."
                .to_owned(),
        ),
    }
}

fn waits_for_proof(status: &Status, family: Option<&Family>) -> Option<String> {
    if status.activation.proof.is_some() {
        return None;
    }
    let family = family?;
    if family.report.proof.is_empty() {
        return None;
    }
    let minutes = family.report.stall_after.as_secs().div_ceil(60);
    if family.loads() {
        return Some(format!(
            "It has its installer; the system that it installs should ask within {minutes} min."
        ));
    }
    Some(format!(
        "It has its configuration; it should say within {minutes} min that it works."
    ))
}
