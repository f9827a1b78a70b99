//! A wire of our own: a switch in one namespace, hosts in others. Everything is removed at the end,
//! and when a test fails.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::serve_process::Process;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The address of our server on every wire.
pub(crate) const SERVER: &str = "10.99.0.1";

/// Namespaces, and processes in them.
pub(crate) struct Lab {
    prefix: String,
    pub(crate) folder: TempDir,
    namespaces: Vec<String>,
}

impl Lab {
    /// A switch with our server's seat at it.
    pub(crate) fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut lab = Self {
            prefix: format!("dt{}x{count}", std::process::id()),
            folder: tempfile::tempdir().unwrap(),
            namespaces: Vec::new(),
        };
        lab.switch("sw");
        lab.host("srv", "sw", Some("10.99.0.1/16"));
        lab
    }

    fn namespace(&mut self, name: &str) -> String {
        let full = self.full(name);
        run("ip", &["netns", "add", &full]);
        run("ip", &["-n", &full, "link", "set", "lo", "up"]);
        self.namespaces.push(full.clone());
        full
    }

    /// The namespace of a host.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Another wire.
    pub(crate) fn switch(&mut self, name: &str) {
        let full = self.namespace(name);
        let bridge = [
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "stp_state",
            "0",
            "forward_delay",
            "0",
        ];
        run("ip", &[&["-n", &full], &bridge[..]].concat());
        run("ip", &["-n", &full, "link", "set", "br0", "up"]);
    }

    /// A host with `eth0` at a switch.
    pub(crate) fn host(&mut self, name: &str, switch: &str, address: Option<&str>) {
        self.namespace(name);
        self.plug(name, "eth0", switch, address);
    }

    /// One more interface of a host.
    pub(crate) fn plug(&mut self, name: &str, port: &str, switch: &str, address: Option<&str>) {
        let (host, switch) = (self.full(name), self.full(switch));
        let peer = format!("{name}-{port}");
        run(
            "ip",
            &[
                "link", "add", "name", port, "netns", &host, "type", "veth", "peer", "name", &peer,
                "netns", &switch,
            ],
        );
        run(
            "ip",
            &["-n", &switch, "link", "set", &peer, "master", "br0", "up"],
        );
        if let Some(address) = address {
            run(
                "ip",
                &["-n", &host, "addr", "add", address, "brd", "+", "dev", port],
            );
        }
        run("ip", &["-n", &host, "link", "set", port, "up"]);
    }

    /// Gives a host's port an address.
    pub(crate) fn plug_address(&self, name: &str, address: std::net::Ipv4Addr) {
        let (host, address) = (self.full(name), format!("{address}/16"));
        run("ip", &["-n", &host, "addr", "add", &address, "dev", "eth0"]);
    }

    /// Gives a host's port another hardware address.
    pub(crate) fn station(&self, name: &str, mac: &str) {
        let host = self.full(name);
        run("ip", &["-n", &host, "link", "set", "eth0", "down"]);
        run("ip", &["-n", &host, "link", "set", "eth0", "address", mac]);
        run("ip", &["-n", &host, "link", "set", "eth0", "up"]);
    }

    /// A command in a host's namespace.
    pub(crate) fn command(&self, host: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.full(host), program]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs to the end, and gives what it said.
    pub(crate) fn output(&self, host: &str, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(host, program).args(arguments).output();
        output.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Runs in the background until the guard is dropped.
    pub(crate) fn spawn(&self, host: &str, program: &str, arguments: &[&str]) -> Background {
        let mut command = self.command(host, program);
        command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Background(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{program}: {error}")),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts our server with this `[dhcp]` table, and networks behind it.
    pub(crate) fn serve(&self, dhcp: &str) -> Process {
        self.serve_at("srv", SERVER, dhcp, "dialtone=info")
    }

    /// Starts a server at another address, that tells units of the same place.
    pub(crate) fn serve_at(&self, host: &str, address: &str, dhcp: &str, log: &str) -> Process {
        let folder = self.path(host);
        std::fs::create_dir_all(&folder).unwrap();
        configure(&folder, address, dhcp);
        let mut command = Command::new("ip");
        let (log, binary) = (
            format!("DIALTONE_LOG={log}"),
            env!("CARGO_BIN_EXE_dialtone"),
        );
        command.args(["netns", "exec", &self.full(host), "env", &log, binary]);
        Process::start_by(command, &folder)
    }

    /// Runs something in a host's namespace, on a thread of its own. What it opens there stays there.
    pub(crate) fn within<T: Send>(&self, host: &str, what: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.full(host))).unwrap();
        let there = move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            what()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }

    /// Pulls a port's plug; the port is gone.
    pub(crate) fn unplug(&self, name: &str, port: &str) {
        run("ip", &["-n", &self.full(name), "link", "del", port]);
    }
}

/// Writes a configuration with our server's addresses and this `[dhcp]` table.
pub(crate) fn configure(folder: &Path, address: &str, dhcp: &str) {
    let data = folder.join("data").display().to_string();
    let text = format!(
        "data = {data:?}\npublic_url = \"https://prov.example.net\"\npublic_http_url = \"http://prov.example.net\"\npublic_tftp = \"192.0.2.1\"\n[listen]\nhttps = [\"{address}:8443\"]\nhttp = [\"{address}:8080\"]\nadmin = []\n[[site]]\nname = \"hq\"\nprefixes = [\"10.99.0.0/16\"]\n[dhcp]\ninterface = [\"eth0\"]\n{dhcp}"
    );
    std::fs::write(folder.join("dialtone.toml"), text).unwrap();
}

/// One network of 10.99.0.0/16 with a pool.
pub(crate) fn network(mode: &str, more: &str) -> String {
    format!(
        "mode = {mode:?}\n{more}\n[[dhcp.subnet]]\nsubnet = \"10.99.0.0/16\"\npools = [\"10.99.10.0-10.99.10.99\"]\nrouter = \"10.99.0.1\"\ndns = [\"10.99.0.1\"]\ndomain = \"example.net\"\nsite = \"hq\"\n"
    )
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let listed = Command::new("ip")
                .args(["netns", "pids", namespace])
                .output();
            let listed = listed.map(|output| output.stdout).unwrap_or_default();
            // Only what runs in a namespace that this test made.
            for id in String::from_utf8_lossy(&listed).split_whitespace() {
                if let Some(id) = id.parse().ok().and_then(Pid::from_raw) {
                    let _gone = kill_process(id, Signal::KILL);
                }
            }
        }
        for namespace in &self.namespaces {
            let _gone = Command::new("ip")
                .args(["netns", "del", namespace])
                .output();
        }
    }
}

/// A process that ends with its guard.
pub(crate) struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

impl Lab {
    /// What `dhcp leases --why --json` says.
    pub(crate) fn leases(&self, server: &Process) -> Vec<serde_json::Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .args(["dhcp", "leases", "--why", "--json", "--data"])
            .arg(&server.data)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Lab {
    /// Waits until the API's answer at this path is as wanted, and gives it.
    pub(crate) fn until(
        &self,
        server: &Process,
        path: &[&str],
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (api, call) = (server.api(), dialtone::cli::client::Call::to(path));
        runtime
            .block_on(async {
                let look = async {
                    loop {
                        let said = api.get(&call).await.unwrap();
                        if wanted(&said) {
                            return said;
                        }
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(crate::device_plane::PATIENCE, look).await
            })
            .unwrap_or_else(|_| panic!("{path:?} never was as wanted"))
    }
}
