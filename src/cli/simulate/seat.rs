//! Where a unit asks for its address and for its server: DHCP on an interface or through a relay,
//! SIP PnP.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Command;

use crate::simulate::dhcp::{Told, Wire};
use crate::simulate::{Unit, pnp};

/// How long a unit asks for an address, at least. It never gives up by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// The network of an address that came without a mask.
const ALONE: u8 = 32;

/// One place for many units.
pub(super) struct Seat {
    wire: Option<Wire>,
    /// It is given the units' addresses.
    interface: Option<String>,
    pnp: Option<SocketAddr>,
    patience: Duration,
    given: Mutex<BTreeSet<(Ipv4Addr, u8)>>,
}

impl Seat {
    /// None where units are given everything by flags.
    pub(super) fn new(
        wire: Option<Wire>,
        interface: Option<String>,
        pnp: Option<SocketAddr>,
        patience: Duration,
    ) -> Option<Self> {
        let asks = wire.is_some() || pnp.is_some();
        asks.then(|| Self {
            wire,
            interface,
            pnp,
            patience: patience.max(PATIENCE),
            given: Mutex::default(),
        })
    }

    /// What a unit does before it can ask for a file.
    pub(super) async fn sit(&self, unit: &mut Unit, boot: usize) -> Result<(), String> {
        if let Some(wire) = &self.wire {
            let who = unit.says().map_err(|problem| problem.to_string())?;
            let told = wire.lease(&who, self.patience).await;
            let told = told.map_err(|why| why.to_string())?;
            self.give(&told).await?;
            unit.takes(&told);
        }
        if let Some(at) = self.pnp
            && let Some(who) = unit.subscribes(u32::try_from(boot).unwrap_or(u32::MAX))
        {
            match pnp::ask(&who, at).await {
                Ok(told) => unit.around.pointer = Some(told.url),
                // Its next source may know.
                Err(pnp::Untold::Silence) if unit.around.pointer.is_some() => {}
                Err(why) => return Err(format!("SIP PnP: {why}")),
            }
        }
        if unit.around.pointer.is_none() {
            return Err("nothing that it was told names its server".to_owned());
        }
        Ok(())
    }

    /// Makes an address the machine's own, where it is not.
    async fn give(&self, told: &Told) -> Result<(), String> {
        let ip = told.ip.ok_or("an offer without an address")?;
        if UdpSocket::bind((ip, 0)).is_ok() {
            return Ok(());
        }
        let Some(interface) = &self.interface else {
            return Err(format!(
                "{ip} is not this machine's: `ip route add local {ip} dev lo`, or its network"
            ));
        };
        let prefix = told.prefix.unwrap_or(ALONE);
        address("add", (ip, prefix), interface).await?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert((ip, prefix));
        Ok(())
    }

    /// Takes the units' addresses off again.
    pub(super) async fn leave(&self) {
        let given = {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *given)
        };
        for one in given {
            if let Some(interface) = &self.interface
                && let Err(why) = address("del", one, interface).await
            {
                super::out::note(&why);
            }
        }
    }
}

async fn address(what: &str, (ip, prefix): (Ipv4Addr, u8), interface: &str) -> Result<(), String> {
    let own = format!("{ip}/{prefix}");
    let mut command = Command::new("ip");
    command.args(["address", what, &own, "dev", interface]);
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "ip address {what} {own} dev {interface}: {}",
        said.trim()
    ))
}
