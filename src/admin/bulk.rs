//! One thing done to many devices: planned, shown, done, with a result for each.

use std::collections::BTreeSet;

use super::device::{Action, Select, name_of};
use super::{Actor, Admin, Ask, Code, Problem};
use crate::model::device::Device;
use crate::model::identity::DeviceId;

/// Devices of one call.
const MOST: usize = 200_000;

/// Which devices are meant: all that is said must hold.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// By any of their names.
    pub devices: Vec<String>,
    pub select: Select,
    /// Everybody, where nothing else is said.
    pub all: bool,
}

impl Selection {
    fn says_nothing(&self) -> bool {
        let nothing = Select::default();
        let free = self.select.filter == nothing.filter && self.select.lifecycle.is_none();
        self.devices.is_empty() && free
    }
}

/// What became of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `None` where a name is nobody's.
    pub id: Option<DeviceId>,
    pub mac: Option<String>,
    pub name: String,
    /// Whether it changed, or why not.
    pub outcome: Result<bool, Problem>,
}

/// What became of all of them.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub matched: usize,
    pub items: Vec<Item>,
}

impl Report {
    /// How many changed, stayed as they were, and were refused.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Result<bool, Problem>) -> bool| {
            self.items
                .iter()
                .filter(|item| wanted(&item.outcome))
                .count()
        };
        (
            count(|outcome| matches!(outcome, Ok(true))),
            count(|outcome| matches!(outcome, Ok(false))),
            count(Result::is_err),
        )
    }
}

impl Admin {
    /// Does one thing to all that are meant.
    pub async fn bulk(
        &self,
        actor: &Actor,
        selection: &Selection,
        action: &Action,
        dry_run: bool,
    ) -> Result<Report, Problem> {
        if selection.says_nothing() && !selection.all {
            return Err(super::FieldError::new(
                "select",
                Code::MissingField,
                "say which devices are meant",
            )
            .hint("\"all\": true means every one")
            .into());
        }
        let mut report = Report::default();
        let devices = self.meant(selection, &mut report).await?;
        report.matched = devices.len();
        let ask = Ask {
            dry_run,
            version: None,
        };
        for device in devices {
            let id = device.id.to_string();
            let outcome = self.act(actor, &id, action, &ask).await;
            if let Err(problem) = &outcome
                && is_everybodys(problem.code)
            {
                return Err(problem.clone());
            }
            report.items.push(Item {
                id: Some(device.id),
                mac: device.config.mac.map(|mac| mac.to_string()),
                name: name_of(device.id, &device.config),
                outcome: outcome.map(|changed| changed.changed),
            });
            tokio::task::yield_now().await;
        }
        Ok(report)
    }

    /// The devices that are meant; names that are nobody's are put into the report.
    async fn meant(
        &self,
        selection: &Selection,
        report: &mut Report,
    ) -> Result<Vec<Device>, Problem> {
        let mut meant = Vec::new();
        if selection.devices.is_empty() {
            let (devices, more) = self.selected(&selection.select, None, MOST).await?;
            if more {
                let what = format!("more than {MOST} devices are meant");
                return Err(Problem::new(Code::TooLarge, what));
            }
            return Ok(devices);
        }
        let mut seen = BTreeSet::new();
        for name in &selection.devices {
            match self.find(name).await {
                Ok(device) => {
                    let lifecycle = selection.select.lifecycle;
                    let fits = selection.select.filter.takes(&device)
                        && lifecycle.is_none_or(|wanted| wanted == device.config.lifecycle);
                    if fits && seen.insert(device.id) {
                        meant.push(device);
                    }
                }
                Err(problem) if matches!(problem.code, Code::NotFound | Code::Ambiguous) => {
                    report.items.push(Item {
                        id: None,
                        mac: None,
                        name: name.clone(),
                        outcome: Err(problem),
                    });
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(meant)
    }
}

/// Whether a problem will be every other device's too.
fn is_everybodys(code: Code) -> bool {
    matches!(
        code,
        Code::DiskFull | Code::ReadOnly | Code::NotReady | Code::Internal | Code::StoreBusy
    )
}
