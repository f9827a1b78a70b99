//! `dialtone serve` as a process of its own, to be signalled and killed; and an inventory over its
//! socket.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use dialtone::cli::client::{Api, Call};
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::device_plane::{PATIENCE, read_to_end};

/// A server that is up.
pub(crate) struct Process {
    child: Child,
    pub(crate) ready: Value,
    logs: Receiver<String>,
    /// The data folder, as this process sees it.
    pub(crate) data: PathBuf,
}

/// One site that is all of loopback, with a waiver for the phone that speaks HTTP only.
pub(crate) const SITE: &str = r#"
[[site]]
name = "hq"
prefixes = ["127.0.0.0/8"]
corroborate = "prefix"
expect = 1000
[[waiver]]
site = "hq"
models = ["SPA942"]
allow = "credential-over-plain"
until = "2099-12-31"
why = "speaks TLS 1.0 only"
"#;

/// Writes a configuration over free ports; `top` are top-level keys, `rest` tables.
pub(crate) fn configure(folder: &Path, top: &str, rest: &str) {
    let data = folder.join("data").display().to_string();
    let text = format!(
        "data = {data:?}\n{top}\n[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n{rest}"
    );
    std::fs::write(folder.join("dialtone.toml"), text).unwrap();
}

impl Process {
    /// Starts it with the configuration in this folder.
    pub(crate) fn start(folder: &TempDir) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_dialtone")), folder.path())
    }

    /// As [`Process::start`], by a command that the binary's words are added to.
    pub(crate) fn start_by(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .args(["serve", "--config"])
            .arg(folder.join("dialtone.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("DIALTONE_LOG")
            .spawn()
            .expect("the server starts");
        let (told, logs) = channel();
        let stderr = child.stderr.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    break;
                }
            }
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let Some(ready) = line.strip_prefix("ready ") else {
            let why: Vec<String> = logs.iter().collect();
            panic!("not ready: {line:?} {why:#?}");
        };
        Self {
            child,
            ready: serde_json::from_str(ready).expect("JSON"),
            logs,
            data: folder.join("data"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first listener of a kind, as `ADDRESS:PORT`.
    pub(crate) fn address(&self, kind: &str) -> &str {
        self.ready[kind][0].as_str().expect("a listener")
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}/", self.address("http"))
    }

    pub(crate) fn api(&self) -> Api {
        Api::at(&self.data.join("admin.sock"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process"), signal).expect("it is there");
    }

    /// Waits for a log line that holds this.
    pub(crate) fn logged(&self, what: &str) -> String {
        loop {
            let line = self.logs.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("nothing logged {what:?}"));
            if line.contains(what) {
                return line;
            }
        }
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Enters a phone, by the verbs.
    pub(crate) fn add(&self, mac: &str, model: &str) {
        self.verb(&[
            "device", "add", "--vendor", "yealink", "--model", model, "--mac", mac,
        ]);
    }

    /// Sets a variable of a unit, by the verbs.
    pub(crate) fn set(&self, mac: &str, name: &str, value: &str) {
        self.verb(&["device", "set", mac, "--set", &format!("{name}={value}")]);
    }

    /// Runs a verb that must succeed.
    pub(crate) fn verb(&self, words: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dialtone"));
        let output = command.args(words).arg("--data").arg(&self.data).output();
        let output = output.expect("the binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
    }

    /// At once, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it was running");
        drop(self.child.wait());
    }

    /// SIGTERM, and a good end.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = self.wait();
        assert_eq!(ended.code(), Some(0), "{ended:?}");
    }
}

impl Process {
    /// Stops it, and gives what it logged up to its end.
    pub(crate) fn told(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0));
        self.logs.iter().collect()
    }

    /// A number of `/proc/PID/status`, in kilobytes.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        memory(self.id(), name)
    }
}

/// A number of a process's `/proc/PID/status`, in kilobytes.
pub(crate) fn memory(id: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Enters a phone with one account; its password is `password`.
pub(crate) async fn enter(api: &Api, vendor: &str, model: &str, mac: &str, password: &str) {
    let row = json!({
        "vendor": vendor, "model": model, "mac": mac, "site": "hq",
        "variables": {"admin_password": format!("CANARY-admin-{mac}")},
        "lines": [{"n": 1, "user": "214", "password": password, "server": "pbx.example.net"}],
    });
    let call = Call::to(&["devices"]);
    api.send(Method::POST, &call, Some(&row))
        .await
        .expect("it is entered");
}

pub(crate) async fn device(api: &Api, mac: &str) -> Value {
    api.get(&Call::to(&["devices", mac]))
        .await
        .expect("it is listed")
}

/// Runs `store check` on a stopped server's data.
pub(crate) fn store_is_clean(folder: &TempDir) {
    let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["store", "check", "--config"])
        .arg(folder.path().join("dialtone.toml"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
}

/// Large where somebody asked for everything, else small.
pub(crate) fn sized(small: u16, full: u16) -> u16 {
    match std::env::var("DIALTONE_FULL") {
        Ok(value) if value == "1" => full,
        Ok(_) | Err(_) => small,
    }
}

/// A connection from an address of loopback.
pub(crate) async fn connect(from: &str, to: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = SocketAddr::new(from.parse().unwrap(), 0);
    socket.bind(from).unwrap();
    socket.connect(to.parse().unwrap()).await.unwrap()
}

/// Sends a GET with these header lines, the last request of its connection.
pub(crate) async fn ask(stream: &mut TcpStream, path: &str, headers: &str) {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// A plain GET from this address; whatever comes until the connection is closed.
pub(crate) async fn get(from: &str, to: &str, path: &str, headers: &str) -> String {
    let mut stream = connect(from, to).await;
    ask(&mut stream, path, headers).await;
    read_to_end(&mut stream).await
}
