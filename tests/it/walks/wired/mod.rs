//! The walks with our own DHCP on the wire, and beside somebody else's: units come up from nothing but a
//! cable. Needs root: each test makes namespaces and removes them.

mod beside;
mod certificate;
mod families;
mod programs;
mod switch;
mod vlan;

use tokio::runtime::Runtime;

use super::scene::Scene;
use crate::dhcp::wire::lab::Lab;

/// Where the server listens, at the ports that units ask.
const LISTEN: &str = "https = [\"10.99.0.1:443\"]\nhttp = [\"10.99.0.1:80\"]\ntftp = [\"10.99.0.1:69\"]\nadmin = []\nsip_pnp = []\n";
const TOP: &str = "public_url = \"https://10.99.0.1\"\npublic_http_url = \"http://10.99.0.1\"\npublic_tftp = \"10.99.0.1\"\n";
/// Leases that no passing of time in a test ends.
const NETWORK: &str = "[[dhcp.subnet]]\nsubnet = \"10.99.0.0/16\"\npools = [\"10.99.10.0-10.99.10.99\"]\nlease_time = \"90d\"\nsite = \"hq\"\n";

/// A server in its namespace, with a clock that the test moves.
struct Stage {
    scene: Scene,
    runtime: Runtime,
    lab: Lab,
}

impl Stage {
    /// With this mode, these keys of the site and more tables, once the wires are there.
    fn new(lab: Lab, mode: &str, site: &str, more: &str) -> Self {
        Self::topped(lab, "", mode, site, more)
    }

    /// The same with lines at the top of the configuration.
    fn topped(lab: Lab, top: &str, mode: &str, site: &str, more: &str) -> Self {
        let text = format!(
            "{top}{TOP}[[site]]\nname = \"hq\"\nprefixes = [\"10.98.0.0/15\"]\ntimezone = \"Europe/Berlin\"\n{site}\n[dhcp]\nmode = {mode:?}\nprobe = false\n{more}"
        );
        let (runtime, scene) = lab.within("srv", || {
            // Its threads stay in this namespace.
            let runtime = Runtime::new().unwrap();
            let scene = runtime.block_on(Scene::listening(&text, LISTEN));
            (runtime, scene)
        });
        Self {
            scene,
            runtime,
            lab,
        }
    }

    /// Our own server on one wire, with a host for a unit on it.
    fn of_one_wire() -> Self {
        let mut lab = Lab::new();
        lab.host("c1", "sw", None);
        let dhcp = format!("interface = [\"eth0\"]\n{NETWORK}");
        Self::new(lab, "server", "", &dhcp)
    }

    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    fn stop(self) {
        self.runtime.block_on(self.scene.stop());
    }
}
