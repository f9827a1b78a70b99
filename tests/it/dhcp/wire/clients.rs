//! Real clients, directly and through a real relay: an address, and exactly the family's options.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use dialtone::model::dhcp::Kind;
use dialtone::model::identity::Mac;
use dialtone::net::dhcp::packet::Packet;
use serde_json::{Map, Value};

use super::lab::{Lab, network};
use super::raw::Message;
use crate::dhcp::vectors::hex;

/// A client program as a unit would run it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Dhclient,
    Dhcpcd,
    Udhcpc,
    /// `-B`: it takes broadcast replies only.
    UdhcpcBroadcast,
}

const CLIENTS: [Client; 4] = [
    Client::Dhclient,
    Client::Dhcpcd,
    Client::Udhcpc,
    Client::UdhcpcBroadcast,
];

/// Codes that any client of any server gets.
const PLAIN: [u8; 12] = [1, 3, 6, 15, 28, 51, 53, 54, 58, 59, 61, 82];

impl Client {
    /// Runs until it has an address, with this class.
    fn run(self, lab: &Lab, host: &str, class: &str) -> Output {
        let shell = |lab: &Lab, script: &str| -> Command {
            let mut command = lab.command(host, "sh");
            command.args(["-c", script, "sh", class]);
            command.current_dir(lab.folder.path());
            command
        };
        // Each begins as from the factory: with no memory of a lease.
        let mut command = match self {
            Self::Dhclient => {
                let conf = format!("send vendor-class-identifier \"{class}\";\n");
                std::fs::write(lab.path("dhclient.conf"), conf).unwrap();
                shell(
                    lab,
                    "rm -f leases pid; : > leases; exec dhclient -1 -sf /bin/true -lf leases -pf pid -cf dhclient.conf eth0",
                )
            }
            Self::Dhcpcd => shell(
                lab,
                "rm -rf state run; mkdir state run; mount --bind state /var/lib/dhcpcd && mount --bind run /run && exec dhcpcd -4 -1 -A -i \"$1\" -c /bin/true -t 30 eth0",
            ),
            Self::Udhcpc => shell(
                lab,
                "exec busybox udhcpc -f -q -n -i eth0 -s /bin/true -V \"$1\"",
            ),
            Self::UdhcpcBroadcast => shell(
                lab,
                "exec busybox udhcpc -B -f -q -n -i eth0 -s /bin/true -V \"$1\"",
            ),
        };
        command.output().unwrap()
    }
}

/// The last ACK of one boot, after all other messages were what they must be.
fn boot(lab: &Lab, host: &str, client: Client, class: &str) -> Packet {
    let tap = lab.tap(host);
    let output = client.run(lab, host, class);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{client:?} {class}: {}: {said}",
        output.status
    );
    let mut replies = tap.replies();
    let ack = replies
        .pop()
        .unwrap_or_else(|| panic!("{client:?} {class}: {said}"));
    assert_eq!(ack.kind, Kind::Ack, "{client:?} {class}");
    assert!(
        replies.iter().all(|reply| reply.kind == Kind::Offer),
        "{client:?} {class}: {replies:?} {ack:?}: {said}"
    );
    ack
}

/// What a unit says of itself, and the golden lines of what it is told.
struct Golden {
    file: String,
    said: Map<String, Value>,
    told: Vec<String>,
}

/// Every block of every golden file that needs no inventory and no values.
fn golden() -> Vec<Golden> {
    let mut found = Vec::new();
    let vendors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vendors");
    let folders = std::fs::read_dir(vendors)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_string_lossy().ends_with(".dhcp.golden") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                if let Some(said) = line.strip_prefix("> ") {
                    found.push(Golden {
                        file: path.display().to_string(),
                        said: serde_json::from_str(said).unwrap(),
                        told: Vec::new(),
                    });
                } else if let (Some(block), false) = (found.last_mut(), line.starts_with('#'))
                    && let Some((told, _)) = line.rsplit_once(" #")
                {
                    block.told.push(told.trim_end().to_owned());
                }
            }
        }
    }
    found.retain(|block| !block.said.contains_key("listed") && !block.said.contains_key("vars"));
    found
}

impl Golden {
    fn mac(&self) -> [u8; 6] {
        let said = self.said.get("chaddr").and_then(Value::as_str);
        // A maker's part of nobody.
        let text = said.unwrap_or("02005e000009");
        hex(text).try_into().unwrap()
    }

    fn class(&self) -> &str {
        self.said["60"]["text"].as_str().unwrap()
    }

    /// Whether a client program can say all of it.
    fn is_plain(&self) -> bool {
        let keys = ["60", "chaddr"];
        self.said.keys().all(|key| keys.contains(&key.as_str()))
            && self
                .said
                .get("60")
                .is_some_and(|class| class["text"].is_string())
    }

    /// Compares a reply with the golden lines, option by option; another code fails.
    fn check(&self, reply: &Packet, what: &str) {
        let (siaddr, rest): (Vec<&String>, Vec<&String>) = self
            .told
            .iter()
            .partition(|line| line.starts_with("siaddr "));
        let (file, rest): (Vec<&String>, Vec<&String>) =
            rest.into_iter().partition(|line| line.starts_with("file "));
        let expect = rest.iter().map(|line| {
            let (code, value) = line.split_once(' ').unwrap();
            let value = match value.strip_prefix("hex ") {
                Some(digits) => hex(&digits.to_lowercase()),
                None => serde_json::from_str::<String>(value).unwrap().into_bytes(),
            };
            (code.parse::<u8>().unwrap(), value)
        });
        let expect: BTreeMap<u8, Vec<u8>> = expect.collect();
        let plain = |code: &u8| PLAIN.contains(code) && !expect.contains_key(code);
        let got = reply.options.iter().filter(|(code, _)| !plain(code));
        let got: BTreeMap<u8, Vec<u8>> = got.map(|(code, value)| (*code, value.clone())).collect();
        assert_eq!(got, expect, "{} {:?} {what}", self.file, self.said);
        let siaddr = siaddr
            .first()
            .map_or("0.0.0.0", |line| line.trim_start_matches("siaddr "));
        assert_eq!(reply.siaddr.to_string(), siaddr);
        assert!(file.is_empty(), "no family uses the file field yet");
    }
}

#[test]
fn every_client_gets_an_address_and_its_family_s_options() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let _server = lab.serve(&network("server", "probe = false"));
    let golden: Vec<Golden> = golden().into_iter().filter(Golden::is_plain).collect();
    assert!(golden.len() > 8, "{}", golden.len());
    for (at, unit) in golden.iter().enumerate() {
        // Each class with one client, and each client with some.
        let client = CLIENTS[at % CLIENTS.len()];
        lab.station("c1", &Mac::new(unit.mac()).unwrap().to_string());
        let ack = boot(&lab, "c1", client, unit.class());
        unit.check(&ack, &format!("{client:?}"));
        assert_eq!(ack.broadcast, client == Client::UdhcpcBroadcast);
        assert_eq!(ack.option(51), 3600_u32.to_be_bytes());
        assert_eq!(ack.yiaddr.octets()[..3], [10, 99, 10]);
    }
}

#[test]
fn every_golden_line_is_on_the_wire() {
    let mut lab = Lab::new();
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    // Room for an offer to each: strangers behind one relay hold a quarter of the pool at most.
    let dhcp = network(
        "server",
        "probe = false\nserve = \"all\"\nclient_id = false",
    );
    let _server = lab.serve(&dhcp.replace("10.99.10.99", "10.99.13.255"));
    let relay = lab.relay("rly", "10.99.0.2".parse().unwrap());
    let golden = golden();
    assert!(golden.len() > 20, "{}", golden.len());
    for unit in golden {
        let mut ask = Message::new(Kind::Discover, 1).through("10.99.0.2".parse().unwrap());
        ask.mac = unit.mac();
        ask.options.clear();
        for (code, value) in &unit.said {
            let Ok(code) = code.parse::<u8>() else {
                continue;
            };
            let octets = match value["hex"].as_str() {
                Some(digits) => hex(digits),
                None => value["text"].as_str().unwrap().as_bytes().to_vec(),
            };
            ask = ask.with(code, &octets);
        }
        // The longest message that it takes.
        let ask = ask.with(57, &1500_u16.to_be_bytes());
        relay.send_to(&ask.octets(), "10.99.0.1".parse().unwrap());
        unit.check(&relay.next(), "through a relay");
    }
}

#[test]
fn a_stranger_gets_silence_and_where_everybody_is_served_a_plain_lease() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    lab.station("c1", "02:00:00:00:00:07");
    let server = lab.serve(&network("server", "probe = false"));
    let tap = lab.tap("c1");
    let output = lab.output(
        "c1",
        "busybox",
        &[
            "udhcpc",
            "-f",
            "-q",
            "-n",
            "-t",
            "1",
            "-T",
            "1",
            "-i",
            "eth0",
            "-s",
            "/bin/true",
        ],
    );
    assert!(!output.status.success());
    assert!(tap.replies().is_empty());
    drop(server);
    let _server = lab.serve(&network("server", "probe = false\nserve = \"all\""));
    let ack = boot(&lab, "c1", Client::Udhcpc, "udhcp 1.35.0");
    assert!(
        ack.options.keys().all(|code| PLAIN.contains(code)),
        "{ack:?}"
    );
}

#[test]
fn through_a_relay_with_option_82() {
    let mut lab = Lab::new();
    lab.switch("far");
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    lab.plug("rly", "eth1", "far", Some("10.98.0.1/16"));
    lab.host("c1", "far", None);
    let route = [
        "-n",
        &lab.full("srv"),
        "route",
        "add",
        "10.98.0.0/16",
        "via",
        "10.99.0.2",
    ];
    super::lab::run("ip", &route);
    let far = "[[dhcp.subnet]]\nsubnet = \"10.98.0.0/16\"\npools = [\"10.98.10.0-10.98.10.99\"]\nrouter = \"10.98.0.1\"\n";
    let dhcp = format!(
        "{}{far}",
        network(
            "server",
            "probe = false\nrelays = [\"10.98.0.1\", \"10.99.0.2\"]"
        )
    );
    let server = lab.serve(&dhcp);
    let _relay = lab.spawn(
        "rly",
        "dhcrelay",
        &["-4", "-d", "-a", "-id", "eth1", "-iu", "eth0", "10.99.0.1"],
    );
    let upstream = lab.tap("rly");
    for client in CLIENTS {
        let ack = boot(&lab, "c1", client, "yealink");
        assert_eq!(ack.yiaddr.octets()[..2], [10, 98], "{client:?}");
        assert_eq!(ack.option(66), b"http://prov.example.net/", "{client:?}");
    }
    // What the relay added came back as it was, and last.
    let replies = upstream.datagrams(67, 67);
    let acked = replies
        .iter()
        .rev()
        .find(|octets| octets[0] == 2)
        .expect("a reply to the relay");
    let end = acked.iter().rposition(|octet| *octet == 255).unwrap();
    assert!(acked[..end].ends_with(&[82, 6, 1, 4, b'e', b't', b'h', b'1']));
    let leases = lab.leases(&server);
    assert!(
        leases
            .iter()
            .all(|lease| lease["relay"]["circuit_id"] == "65746831"),
        "{leases:?}"
    );
}
