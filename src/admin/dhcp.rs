//! Leases, and why each client got what it got. Reads only.

use std::net::IpAddr;
use std::sync::PoisonError;

use super::health::{Finding, Level};
use super::{Admin, Page, Problem};
use crate::engine::lease::board::Told;
use crate::model::dhcp::Mode;
use crate::model::identity::DeviceId;
use crate::model::lease::Lease;
use crate::service::leases::nearly_full;
use crate::store::KnownAsk;

/// A lease, the unit that has it, and the last decision for it.
#[derive(Clone, Debug)]
pub struct Leased {
    pub lease: Lease,
    pub device: Option<DeviceId>,
    pub why: Option<Told>,
}

impl Admin {
    /// Leases that hold, in order of their addresses, behind an address.
    pub async fn leases(
        &self,
        after: Option<IpAddr>,
        limit: usize,
    ) -> Result<Page<Leased>, Problem> {
        let hub = self.hub();
        let now = hub.now();
        let rows = hub.store.leases().await?;
        let rows = rows.into_iter().filter(|row| row.until > now);
        let mut rows = rows.filter(|row| after.is_none_or(|after| row.ip > after));
        let mut items = Vec::new();
        for lease in rows.by_ref().take(limit) {
            let ask = KnownAsk {
                macs: vec![lease.mac],
                serials: lease.serial.iter().cloned().collect(),
                ..KnownAsk::default()
            };
            let known = hub.store.known(&ask).await?;
            let device = known.by_mac.into_iter().chain(known.by_serial).next();
            let board = hub.dhcp.lock().unwrap_or_else(PoisonError::into_inner);
            items.push(Leased {
                device: device.map(|device| device.id),
                why: board.of(lease.mac).cloned(),
                lease,
            });
        }
        let last = items.last().map(|row| row.lease.ip.to_string());
        let next = last.filter(|_| rows.next().is_some());
        Ok(Page { items, next })
    }

    /// The last decision for each client, the newest first.
    pub fn dhcp_decisions(&self) -> Vec<Told> {
        let board = self.hub().dhcp.lock();
        let board = board.unwrap_or_else(PoisonError::into_inner);
        board.told().cloned().collect()
    }

    /// What is wrong with DHCP.
    pub(crate) fn of_dhcp(&self) -> Vec<Finding> {
        let board = self.hub().dhcp.lock();
        let board = board.unwrap_or_else(PoisonError::into_inner);
        let mut findings = Vec::new();
        for (interface, rival) in &board.rivals {
            let at = rival
                .mac
                .map(|mac| format!(" at {mac}"))
                .unwrap_or_default();
            findings.push(Finding {
                level: Level::Red,
                code: "other-dhcp-server",
                subject: format!("{interface}: {}{at}", rival.server),
                text: "another DHCP server answers here: we say nothing until it is silent".to_owned(),
                mend: "switch one of the two off, set dhcp.mode = \"observe\", or name it in dhcp.allow_other".to_owned(),
            });
        }
        let serves = board.mode == Mode::Server;
        for pool in board.filled.iter().filter(|_| serves) {
            if nearly_full(pool.taken, pool.total) {
                findings.push(Finding {
                    level: Level::Yellow,
                    code: "pool-nearly-full",
                    subject: format!("dhcp.subnet {}", pool.net),
                    text: format!("{} of {} addresses are taken", pool.taken, pool.total),
                    mend: "add to its pools, or shorten its lease_time, then reload".to_owned(),
                });
            }
        }
        findings
    }
}
