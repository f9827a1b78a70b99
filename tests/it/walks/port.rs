//! A unit at a port of a wire: it asks for its address at each start, and goes where it is told.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use dialtone::model::identity::Mac;
use dialtone::simulate::dhcp::{Told, Wire};
use dialtone::simulate::{Again, Story, Unit};
use rustls::pki_types::CertificateDer;

use crate::dhcp::wire::lab::{Lab, run};

/// How long a unit asks for an address.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host's `eth0`.
pub(super) struct Port<'a> {
    pub(super) lab: &'a Lab,
    pub(super) host: &'a str,
    /// It sends no class, no identifier and no other word about itself.
    pub(super) says_nothing: bool,
    /// It asks from another hardware address than the printed one.
    pub(super) station: Option<Mac>,
    /// What a unit that trusts the public roots trusts.
    pub(super) public_roots: Vec<CertificateDer<'static>>,
    /// What it was told at each start.
    told: Mutex<Vec<Told>>,
}

impl<'a> Port<'a> {
    pub(super) fn new(lab: &'a Lab, host: &'a str) -> Self {
        Self {
            lab,
            host,
            says_nothing: false,
            station: None,
            public_roots: Vec::new(),
            told: Mutex::default(),
        }
    }

    /// Switched on, and again for as long as it restarts by itself, at most six times.
    pub(super) fn boots(&self, unit: &mut Unit) -> Vec<Story> {
        self.within(async || {
            let mut stories = Vec::new();
            while stories.len() < 6 {
                self.asks(unit).await;
                let story = unit.boot().await;
                let goes_on = matches!(story.again, Some(Again::Now(_)));
                stories.push(story);
                if !goes_on {
                    break;
                }
            }
            stories
        })
    }

    /// Its address, and what it makes of the options. The last of them.
    pub(super) fn takes_its_address(&self, unit: &mut Unit) -> Told {
        self.within(async || self.asks(unit).await);
        self.told().pop().unwrap()
    }

    /// It asks again by itself.
    pub(super) fn waits(&self, unit: &mut Unit) -> Option<Story> {
        self.within(async || unit.wait().await)
    }

    /// What it was told so far.
    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    async fn asks(&self, unit: &mut Unit) {
        let mut hello = unit.says().unwrap();
        if self.says_nothing {
            hello.options.clear();
        }
        hello.mac = self.station.unwrap_or(hello.mac);
        let wire = Wire::interface("eth0").unwrap();
        let told = wire.lease(&hello, PATIENCE).await;
        let told = told.unwrap_or_else(|why| panic!("{}: {why}", unit.family()));
        address(told.ip.unwrap(), told.prefix.unwrap());
        if let Some(router) = told.router {
            let via = router.to_string();
            run("ip", &["route", "replace", "default", "via", &via]);
        }
        unit.takes(&told);
        self.told.lock().unwrap().push(told);
    }

    fn within<T: Send>(&self, what: impl AsyncFnOnce() -> T + Send) -> T {
        self.lab.within(self.host, || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(what())
        })
    }
}

/// In the host's own namespace.
fn address(ip: Ipv4Addr, prefix: u8) {
    run("ip", &["addr", "flush", "dev", "eth0"]);
    let own = format!("{ip}/{prefix}");
    run("ip", &["addr", "add", &own, "brd", "+", "dev", "eth0"]);
}
