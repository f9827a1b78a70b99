//! Beside a call server on the same host and port, on a wire of its own: kamailio answers what is
//! sent to the host, we answer what is sent to the group, and the unit's acknowledgement reaches us.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

use crate::serve_process::Process;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces with a wire between them; gone at the end, also of a test that fails.
struct Wire {
    host: String,
    unit: String,
    call_server: Option<Child>,
}

fn run(program: &str, words: &[&str]) -> Output {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {told}");
    output
}

impl Wire {
    fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("pnp{}x{count}{end}", std::process::id());
        let wire = Self {
            host: name("h"),
            unit: name("u"),
            call_server: None,
        };
        for space in [&wire.host, &wire.unit] {
            run("ip", &["netns", "add", space]);
            run("ip", &["-n", space, "link", "set", "lo", "up"]);
        }
        let (host, unit) = (wire.host.as_str(), wire.unit.as_str());
        run(
            "ip",
            &[
                "link", "add", "name", "eth0", "netns", host, "type", "veth", "peer", "name",
                "eth0", "netns", unit,
            ],
        );
        for (space, address) in [(host, "10.98.0.1/24"), (unit, "10.98.0.7/24")] {
            run("ip", &["-n", space, "addr", "add", address, "dev", "eth0"]);
            run("ip", &["-n", space, "link", "set", "eth0", "up"]);
        }
        wire
    }

    fn command(space: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space, program]);
        command.stdin(Stdio::null());
        command
    }

    /// Starts the call server on an address of the host.
    fn call_server(&mut self, folder: &Path, address: &str) {
        let text = include_str!("../../fixtures/sip/kamailio.cfg").replace("ADDRESS", address);
        let file = folder.join("kamailio.cfg");
        std::fs::write(&file, text).unwrap();
        let mut command = Self::command(&self.host, "kamailio");
        command.arg("-f").arg(file).arg("-Y").arg(folder);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.call_server = Some(command.spawn().expect("kamailio starts"));
    }

    /// Whether the call server answers at the host's own address.
    fn options(&self, folder: &Path) -> Output {
        let scenario = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/sip/options.xml"
        );
        let mut command = Self::command(&self.unit, "sipp");
        command.args([
            "-sf",
            scenario,
            "-m",
            "1",
            "-nostdin",
            "-timeout",
            "30",
            "-timeout_error",
        ]);
        command
            .args(["-i", "10.98.0.7", "10.98.0.1:5060"])
            .current_dir(folder);
        command.output().expect("sipp")
    }

    /// What a phone is told.
    fn phone(&self, call_id: &str) -> Value {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sip/phone.py");
        let mut command = Self::command(&self.unit, "python3");
        command.args([script, "10.98.0.7", "805ec0d57d72", call_id]);
        let output = command.output().expect("python3");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The call server has children, and they are nobody's once it is gone.
        let listed = Command::new("ip")
            .args(["netns", "pids", &self.host])
            .output();
        let listed = listed.map(|output| output.stdout).unwrap_or_default();
        let pids = String::from_utf8_lossy(&listed).into_owned();
        let pids = pids.split_whitespace().filter_map(|id| id.parse().ok());
        for pid in pids.filter_map(Pid::from_raw) {
            let _gone = kill_process(pid, Signal::KILL);
        }
        if let Some(mut child) = self.call_server.take() {
            drop(child.wait());
        }
        for space in [&self.host, &self.unit] {
            drop(Command::new("ip").args(["netns", "del", space]).status());
        }
    }
}

/// A server in the host's namespace that listens to the group.
fn server(wire: &Wire, folder: &TempDir) -> Process {
    let data = folder.path().join("data").display().to_string();
    let text = format!(
        "data = {data:?}\npublic_http_url = \"http://prov.example.net\"\n[listen]\n\
         https = []\nhttp = [\"10.98.0.1:0\"]\nadmin = []\nsip_pnp = [\"224.0.1.75:5060\"]\n"
    );
    std::fs::write(folder.path().join("dialtone.toml"), text).unwrap();
    let binary = env!("CARGO_BIN_EXE_dialtone");
    Process::start_by(Wire::command(&wire.host, binary), folder.path())
}

/// What is sent to the host is the call server's, whoever came first, and however it is bound.
fn beside(address: &str, first: bool) {
    let mut wire = Wire::new();
    let folder = tempfile::tempdir().unwrap();
    if first {
        wire.call_server(folder.path(), address);
        assert!(wire.options(folder.path()).status.success());
    }
    let server = server(&wire, &folder);
    assert_eq!(server.ready["sip_pnp"][0], "224.0.1.75:5060");
    if !first {
        wire.call_server(folder.path(), address);
    }
    let output = wire.options(folder.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let told = wire.phone("one");
    assert_eq!(told["url"], "http://prov.example.net/", "{told}");
    assert_eq!(told["notify"][0], "10.98.0.1", "{told}");
    assert_eq!(told["ok"][0], "10.98.0.1", "{told}");
    // Not the call server's port: the acknowledgement would end there.
    assert_ne!(told["notify"][1], 5060, "{told}");
    let output = wire.options(folder.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    server.stop();
}

#[test]
fn a_call_server_on_the_host_s_address_keeps_its_port() {
    beside("10.98.0.1", true);
}

#[test]
fn a_call_server_on_every_address_keeps_its_port() {
    beside("0.0.0.0", false);
}

/// An address of the host where a call server is already: we do not take what is sent to it.
#[tokio::test]
async fn an_address_of_the_host_is_not_shared() {
    let theirs = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    theirs.set_reuse_address(true).unwrap();
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    theirs.bind(&everywhere.into()).unwrap();
    let port = theirs.local_addr().unwrap().as_socket().unwrap().port();
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert!(dialtone::net::sip::bind(own).is_err());
    drop(theirs);
    assert!(dialtone::net::sip::bind(own).is_ok());
}
