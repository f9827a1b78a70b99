//! One unit over all channels, in plain words.

use jiff::Timestamp;

use super::{Admin, DeviceView, Problem};
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::identity::{BootId, Channel, LevelBy};
use crate::store::CheckFilter;

/// Checks that are told.
const MOST: usize = 2000;

/// A unit's boots, oldest first.
#[derive(Clone, Debug)]
pub struct Trace {
    pub view: DeviceView,
    pub boots: Vec<BootTrace>,
}

/// One boot.
#[derive(Clone, Debug)]
pub struct BootTrace {
    pub boot: BootId,
    pub began: Timestamp,
    pub last: Timestamp,
    pub steps: Vec<(Check, String)>,
}

impl Admin {
    /// What a unit did, boot by boot.
    pub async fn trace(&self, name: &str) -> Result<Trace, Problem> {
        let view = self.device(name).await?;
        let filter = CheckFilter {
            device: Some(view.device.id),
            limit: MOST,
            ..CheckFilter::default()
        };
        let mut boots: Vec<BootTrace> = Vec::new();
        for check in self.hub().store.checks(&filter).await? {
            let text = in_words(&check);
            let at = match boots.iter().position(|boot| boot.boot == check.boot) {
                Some(at) => at,
                None => {
                    boots.push(BootTrace {
                        boot: check.boot,
                        began: check.at,
                        last: check.at,
                        steps: Vec::new(),
                    });
                    boots.len() - 1
                }
            };
            if let Some(boot) = boots.get_mut(at) {
                boot.last = boot.last.max(check.at);
                boot.steps.push((check, text));
            }
        }
        Ok(Trace { view, boots })
    }
}

/// A step in plain words.
fn in_words(check: &Check) -> String {
    let over = match check.channel {
        Channel::Dhcp => "by DHCP",
        Channel::SipPnp => "by SIP PnP",
        Channel::Tftp => "over TFTP",
        Channel::Http => "over HTTP",
        Channel::Https => "over HTTPS",
        Channel::Registrar => "at the registrar",
        Channel::Report => "in its report",
        Channel::Admin => "by a person",
    };
    let file = check.path.as_deref().unwrap_or("a file");
    let level = match check.level_by {
        LevelBy::Nothing => check.assurance.as_str().to_owned(),
        by @ (LevelBy::Token
        | LevelBy::Certificate
        | LevelBy::Lease
        | LevelBy::Observed
        | LevelBy::Prefix
        | LevelBy::Code
        | LevelBy::Digest
        | LevelBy::BodyKey
        | LevelBy::Mac
        | LevelBy::Serial
        | LevelBy::Person) => format!("{} by {}", check.assurance, by.as_str()),
    };
    let mut text = match (check.kind, check.outcome) {
        (CheckKind::Seen, _) => format!("was seen {over}"),
        (CheckKind::Tls, Outcome::Pass) => format!("opened TLS {over}"),
        (CheckKind::Tls, _) => format!("could not open TLS: {}", check.reason),
        (CheckKind::Request, Outcome::Pass) => format!("asked for {file} {over} ({level}): served"),
        (CheckKind::Request, Outcome::Partial) => {
            format!("asked for {file} {over} ({level}): served, with something withheld")
        }
        (CheckKind::Request, Outcome::Refused) => {
            format!(
                "asked for {file} {over} ({level}): refused, {}",
                check.reason
            )
        }
        (CheckKind::Request, Outcome::Fail) => {
            format!(
                "asked for {file} {over} ({level}): failed, {}",
                check.reason
            )
        }
        (CheckKind::Delivery, Outcome::Pass) => format!("took {file} whole"),
        (CheckKind::Delivery, Outcome::Partial) => {
            format!("took {file} whole, with something withheld")
        }
        (CheckKind::Delivery, _) => format!("broke off while taking {file}"),
        (CheckKind::Firmware, Outcome::Pass) => "runs the firmware that it should".to_owned(),
        (CheckKind::Firmware, _) => format!("runs other firmware than it should: {}", check.reason),
        (CheckKind::Registration, Outcome::Pass) => format!("works: said {over}"),
        (CheckKind::Registration, _) => format!("does not work: said {over}, {}", check.reason),
    };
    if let Some(bytes) = check.bytes {
        text.push_str(&format!(", {bytes} octets"));
    }
    if !check.text.is_empty() {
        text.push_str(": ");
        text.push_str(&check.text);
    }
    text
}
