//! Transfers that are under way: bounded, in memory only.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::answer::Ticket;
use crate::catalog::manifest::Family;
use crate::engine::outcome::Sent;
use crate::model::identity::{BootId, Channel, DeviceId, LevelBy};

/// Transfers that are followed at once.
const MOST: usize = 65_536;

/// A file on its way to a listed unit.
pub(super) struct Transfer {
    pub(super) device: DeviceId,
    pub(super) family: Arc<Family>,
    pub(super) sent: Sent,
    pub(super) channel: Channel,
    pub(super) path: String,
    pub(super) by: LevelBy,
    pub(super) ip: Option<IpAddr>,
    /// It was counted against the unit's window.
    pub(super) counted: bool,
}

/// A pointer on its way to a listed unit.
pub(super) struct Told {
    pub(super) device: DeviceId,
    pub(super) boot: BootId,
    pub(super) channel: Channel,
    pub(super) by: LevelBy,
    pub(super) ip: Option<IpAddr>,
}

/// What is under way.
pub(super) enum Open {
    File(Box<Transfer>),
    Pointer(Told),
}

#[derive(Default)]
pub(super) struct Tickets(Mutex<(u64, BTreeMap<u64, Open>)>);

impl Tickets {
    /// Of a transfer that nobody follows.
    pub(super) const NOBODY: Ticket = Ticket::NOBODY;

    /// Remembers a transfer until its end.
    pub(super) fn begin(&self, transfer: Open) -> Ticket {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, open) = &mut *kept;
        *last = last.wrapping_add(1).max(1);
        // A connection that was torn down never says how its transfer ended.
        if open.len() >= MOST {
            open.pop_first();
        }
        open.insert(*last, transfer);
        Ticket(*last)
    }

    /// Takes a transfer out.
    pub(super) fn end(&self, ticket: &Ticket) -> Option<Open> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.remove(&ticket.0)
    }
}
