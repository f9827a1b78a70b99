//! `dhcp snippet`: real servers take it, and give their clients what our own replies hold, compared
//! on packets.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use dialtone::engine::explain::explain;
use dialtone::engine::facts::{DhcpFacts, Facts};
use dialtone::engine::reply::Bases;
use dialtone::engine::target::parse;
use dialtone::model::identity::{Channel, Mac};
use tempfile::TempDir;

use crate::vendors::catalog;

static COUNT: AtomicU32 = AtomicU32::new(0);

const CONFIG: &str = r#"
public_url = "https://prov.example.net"
public_http_url = "http://prov.example.net"
public_tftp = "192.0.2.1"
[[site]]
name = "branch"
prefixes = ["10.97.0.0/24"]
public_http_url = "http://branch.example.net"
"#;

fn bases() -> Bases {
    Bases {
        https: Some("https://prov.example.net/".to_owned()),
        http: Some("http://prov.example.net/".to_owned()),
        tftp: Some("192.0.2.1".to_owned()),
        public_certificate: false,
    }
}

/// The verb's output, and its exit code.
fn snippet(folder: &Path, words: &[&str]) -> (String, i32) {
    let file = folder.join("dialtone.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["dhcp", "snippet", "--config"])
        .arg(&file)
        .args(words)
        .output()
        .expect("dialtone");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        if text.is_empty() { told } else { text },
        output.status.code().unwrap_or(-1),
    )
}

/// A site that a verb made is the running server's to tell, and our TFTP address is the
/// configuration's.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_a_verb_and_our_own_tftp_address_are_told() {
    let server = crate::api::Server::start();
    let site = serde_json::json!({"name": "made", "public_http_url": "http://made.example.net"});
    server.post("/sites", site).await.good();
    let file = server.dir.path().join("d.toml");
    let text = "public_url = \"https://prov.example.net\"\n[listen]\ntftp = [\"192.0.2.10:69\"]\n\
                [[site]]\nname = \"written\"\npublic_http_url = \"http://written.example.net\"\n";
    std::fs::write(&file, text).unwrap();
    let told = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .args(["dhcp", "snippet", "dnsmasq", "--config"])
            .arg(&file)
            .arg("--data")
            .arg(server.dir.path())
            .args(words)
            .output()
            .expect("dialtone");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (text, _) = told(&[]);
    assert!(text.contains("192.0.2.10"), "{text}");
    assert!(!text.contains("made.example.net"));
    let (text, why) = told(&["--site", "made"]);
    assert!(text.contains("http://made.example.net"), "{why}");
    let (text, why) = told(&["--site", "written"]);
    assert!(text.contains("http://written.example.net"), "{why}");
    let (text, why) = told(&["--site", "nowhere"]);
    assert!(text.is_empty() && why.contains("nowhere"), "{why}");
}

/// A client: its address and what it says in option 60.
struct Client {
    mac: &'static str,
    class: Option<&'static str>,
}

const CLIENTS: [Client; 9] = [
    Client {
        mac: "805ec0000001",
        class: Some("yealink"),
    },
    Client {
        mac: "0002fd000001",
        class: Some("Cisco SPA525G"),
    },
    Client {
        mac: "000e08000001",
        class: Some("LINKSYS SPA-942"),
    },
    Client {
        mac: "2cdde9000001",
        class: Some("Arista;vEOS;01.00;S1"),
    },
    Client {
        mac: "000413000001",
        class: Some("snomD735"),
    },
    Client {
        mac: "02005e000001",
        class: Some("Cisco Systems, Inc. IP Phone CP-8841-3PCC"),
    },
    // By the maker's part alone; nobody's.
    Client {
        mac: "c074ad000001",
        class: None,
    },
    Client {
        mac: "805ec0000002",
        class: None,
    },
    Client {
        mac: "02005e000002",
        class: Some("nobody's class"),
    },
];

/// What our own server would give.
fn ours(client: &Client) -> BTreeMap<u8, Vec<u8>> {
    let mut facts = Facts::new(Channel::Dhcp, parse(b"/").unwrap());
    let class = client.class.map(|class| (60, class.as_bytes().to_vec()));
    facts.dhcp = Some(DhcpFacts {
        message: "discover".to_owned(),
        chaddr: Mac::parse(client.mac).ok(),
        options: class.into_iter().collect(),
        ..DhcpFacts::default()
    });
    explain(&facts, catalog(), &bases())
        .reply
        .options
        .into_iter()
        .collect()
}

/// Codes that every DHCP reply has for reasons of its own.
const PLAIN: [u8; 14] = [1, 3, 6, 12, 15, 28, 51, 53, 54, 58, 59, 61, 81, 82];

/// Reads a capture up to the first ACK: its options, without the plain ones.
fn told(capture: &mut impl Read) -> BTreeMap<u8, Vec<u8>> {
    loop {
        let mut head = [0; 16];
        capture.read_exact(&mut head).expect("a packet");
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        capture.read_exact(&mut frame).expect("a packet");
        // Ethernet, IPv4 with its own length, UDP, BOOTP.
        let ip = &frame[14..];
        let dhcp = &ip[usize::from(ip[0] & 15) * 4 + 8..];
        if dhcp[0] != 2 {
            continue;
        }
        let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        let mut left = &dhcp[240..];
        while let [code, more @ ..] = left {
            match code {
                0 => left = more,
                255 => break,
                code => {
                    let length = usize::from(more[0]);
                    options.entry(*code).or_default().extend(&more[1..=length]);
                    left = &more[1 + length..];
                }
            }
        }
        if options.get(&53).map(Vec::as_slice) == Some(&[5]) {
            options.retain(|code, _| !PLAIN.contains(code));
            return options;
        }
    }
}

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {told}");
}

/// A server and a client at the ends of a wire; gone at the end, also of a test that fails.
struct Wire {
    server: String,
    client: String,
    folder: TempDir,
    running: Option<Child>,
}

impl Wire {
    fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("snip{}x{count}{end}", std::process::id());
        let wire = Self {
            server: name("s"),
            client: name("c"),
            folder: tempfile::tempdir().unwrap(),
            running: None,
        };
        let (server, client) = (wire.server.as_str(), wire.client.as_str());
        for space in [server, client] {
            run("ip", &["netns", "add", space]);
            run("ip", &["-n", space, "link", "set", "lo", "up"]);
        }
        run(
            "ip",
            &[
                "link", "add", "name", "eth0", "netns", server, "type", "veth", "peer", "name",
                "eth0", "netns", client,
            ],
        );
        run(
            "ip",
            &["-n", server, "addr", "add", "10.97.0.1/24", "dev", "eth0"],
        );
        for space in [server, client] {
            run("ip", &["-n", space, "link", "set", "eth0", "up"]);
        }
        wire
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(space: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space, program]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn serve(&mut self, program: &str, words: &[&str]) {
        let mut command = Self::command(&self.server, program);
        command
            .args(words)
            .env("KEA_LOCKFILE_DIR", self.folder.path());
        command.env("KEA_PIDFILE_DIR", self.folder.path());
        self.running = Some(command.spawn().expect("the server starts"));
    }

    /// What a client is given, from its packets.
    fn given(&self, client: &Client) -> BTreeMap<u8, Vec<u8>> {
        let space = self.client.as_str();
        let mac = Mac::parse(client.mac).unwrap().to_string();
        run("ip", &["-n", space, "link", "set", "eth0", "down"]);
        run("ip", &["-n", space, "link", "set", "eth0", "address", &mac]);
        run("ip", &["-n", space, "link", "set", "eth0", "up"]);
        let mut tcpdump = Self::command(space, "tcpdump");
        tcpdump.args(["-i", "eth0", "-U", "-s", "0", "-w", "-", "udp port 68"]);
        let mut tcpdump = tcpdump.stdout(Stdio::piped()).spawn().expect("tcpdump");
        let mut capture = tcpdump.stdout.take().expect("piped");
        // The file's own head comes when it listens.
        capture.read_exact(&mut [0; 24]).expect("tcpdump listens");
        let class = client
            .class
            .map(|class| format!("send vendor-class-identifier \"{class}\";\n"));
        let asked = "request subnet-mask, routers, tftp-server-name, bootfile-name, vendor-encapsulated-options;\n";
        let text = format!(
            "timeout 30;\nretry 1;\ninitial-interval 1;\n{}{asked}",
            class.unwrap_or_default()
        );
        let file = self.path("dhclient.conf");
        std::fs::write(&file, text).unwrap();
        let (leases, pid) = (
            self.path(&format!("{}.leases", client.mac)),
            self.path("dhclient.pid"),
        );
        let mut dhclient = Self::command(space, "dhclient");
        dhclient
            .args(["-4", "-1", "-sf", "/bin/true", "-cf"])
            .arg(&file);
        dhclient
            .arg("-lf")
            .arg(&leases)
            .arg("-pf")
            .arg(&pid)
            .arg("eth0");
        assert!(
            dhclient.status().expect("dhclient").success(),
            "{}: no lease",
            client.mac
        );
        let found = told(&mut capture);
        if let Ok(id) = std::fs::read_to_string(&pid) {
            drop(Command::new("kill").arg(id.trim()).status());
        }
        drop(tcpdump.kill());
        drop(tcpdump.wait());
        found
    }

    /// Every client is given exactly what we would give it, in the server's own habit.
    fn compare(&self, habit: impl Fn(u8, &mut Vec<u8>)) {
        let mut wrong = Vec::new();
        for client in &CLIENTS {
            let (mut got, expect) = (self.given(client), ours(client));
            got.iter_mut()
                .for_each(|(code, octets)| habit(*code, octets));
            if got != expect {
                wrong.push(format!(
                    "{} {:?}: got {got:?}, ours {expect:?}",
                    client.mac, client.class
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.kill());
            drop(child.wait());
        }
        for space in [&self.server, &self.client] {
            drop(Command::new("ip").args(["netns", "del", space]).status());
        }
    }
}

/// A configuration of Kea around the classes.
fn kea(folder: &Path, words: &[&str]) -> PathBuf {
    let (text, code) = snippet(folder, &[&["kea"], words].concat());
    assert_eq!(code, 0, "{text}");
    std::fs::write(folder.join("classes.json"), text).unwrap();
    let classes = folder.join("classes.json").display().to_string();
    let config = format!(
        r#"{{ "Dhcp4": {{
  "interfaces-config": {{ "interfaces": ["eth0"] }},
  "lease-database": {{ "type": "memfile", "persist": false }},
  "valid-lifetime": 3600,
  "client-classes": <?include "{classes}"?>,
  "subnet4": [ {{ "id": 1, "subnet": "10.97.0.0/24", "pools": [ {{ "pool": "10.97.0.100-10.97.0.200" }} ] }} ]
}} }}"#
    );
    let file = folder.join("kea.json");
    std::fs::write(&file, config).unwrap();
    file
}

fn dnsmasq(folder: &Path, words: &[&str]) -> PathBuf {
    let (text, code) = snippet(folder, &[&["dnsmasq"], words].concat());
    assert_eq!(code, 0, "{text}");
    let config = format!(
        "port=0\ninterface=eth0\nbind-interfaces\nno-ping\nleasefile-ro\nuser=root\n\
         dhcp-range=10.97.0.100,10.97.0.200,1h\n{text}"
    );
    let file = folder.join("dnsmasq.conf");
    std::fs::write(&file, config).unwrap();
    file
}

#[test]
fn kea_and_dnsmasq_take_the_snippets() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&[][..], &["--vlan", "120"], &["--site", "branch"]] {
        let file = kea(folder.path(), words);
        let output = Command::new("kea-dhcp4")
            .arg("-t")
            .arg(&file)
            .output()
            .expect("kea-dhcp4");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let file = dnsmasq(folder.path(), words);
        let mut test = Command::new("dnsmasq");
        let output = test
            .arg("--test")
            .arg("-C")
            .arg(&file)
            .output()
            .expect("dnsmasq");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn kea_with_our_snippet_gives_what_we_give() {
    let mut wire = Wire::new();
    let file = kea(wire.folder.path(), &[]).display().to_string();
    wire.serve("kea-dhcp4", &["-c", &file]);
    wire.compare(|_, _| {});
}

#[test]
fn dnsmasq_with_our_snippet_gives_what_we_give() {
    let mut wire = Wire::new();
    let file = dnsmasq(wire.folder.path(), &[]).display().to_string();
    wire.serve("dnsmasq", &["-k", "-C", &file]);
    // It ends the texts of 66 and 67 with a NUL whatever it is told.
    wire.compare(|code, octets| {
        if matches!(code, 66 | 67) {
            assert_eq!(octets.pop(), Some(0));
        }
    });
}

#[test]
fn the_verb_lists_the_folder_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (list, code) = snippet(folder.path(), &[]);
    assert_eq!(code, 0);
    let formats: Vec<&str> = list.lines().collect();
    assert_eq!(
        formats,
        [
            "cisco-ios",
            "dnsmasq",
            "isc",
            "kea",
            "mikrotik",
            "opnsense",
            "windows"
        ]
    );
    // Each is written, with the site's own address where one is named.
    for format in formats {
        let (text, code) = snippet(folder.path(), &[format, "--site", "branch"]);
        assert_eq!(code, 0, "{format}: {text}");
        let (plain, hex) = ("http://branch.example.net", "687474703a2f2f6272616e6368");
        let bare = text.replace([':', ' ', ','], "").replace("0x", "");
        assert!(
            text.contains(plain) || bare.contains(hex),
            "{format}: {text}"
        );
    }
    let (told, code) = snippet(folder.path(), &["windos"]);
    assert_eq!(code, 2);
    assert!(told.contains("windows"), "{told}");
    let (told, code) = snippet(folder.path(), &["kea", "--site", "nowhere"]);
    assert_eq!(code, 2);
    assert!(told.contains("nowhere"), "{told}");
}
