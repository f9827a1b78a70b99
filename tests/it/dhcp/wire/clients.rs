//! Real clients, directly and through a real relay: an address, and exactly the family's options.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Output;

use dialtone::model::dhcp::Kind;
use dialtone::model::identity::Mac;
use dialtone::net::dhcp::packet::Packet;
use serde_json::Value;

use super::golden::{Golden, PLAIN, golden};
use super::lab::{Lab, network};
use super::raw::{Message, Tap};
use crate::serve_process::sized;

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

/// What is sent, by code: each option as its octets.
type Says = BTreeMap<u8, Vec<u8>>;

/// What each program is started by, in a folder of its own: from the factory, with no memory of a
/// lease. dhclient goes on in the background once it has one, so its script ends it.
const DHCLIENT: &str = r#"
: > leases
printf '#!/bin/sh\n[ "$reason" != BOUND ] || { : > bound; kill -KILL $PPID; }\n' > bound.sh
chmod 755 bound.sh
dhclient -1 -sf "$PWD/bound.sh" -lf leases -pf pid -cf conf eth0
[ -e bound ]"#;
const DHCPCD: &str = r#"
mkdir state run
mount --bind state /var/lib/dhcpcd && mount --bind run /run &&
exec dhcpcd -f "$PWD/conf" -4 -1 -A -c /bin/true -t 60 "$@" eth0"#;
const UDHCPC: &str = r#"exec busybox udhcpc -f -q -n -t 10 -i eth0 -s /bin/true "$@""#;

fn digits(octets: &[u8], before: &str, between: &str) -> String {
    let all = octets.iter().map(|octet| format!("{before}{octet:02x}"));
    all.collect::<Vec<_>>().join(between)
}

impl Client {
    /// Whether it has words for all of this.
    fn can_say(self, says: &Says) -> bool {
        let known = |code: &u8| [55, 60, 61, 77, 125].contains(code);
        // One class with its length before it, as RFC 3004 has it.
        let user = |octets: &Vec<u8>| {
            let (length, text) = octets.split_first().unwrap();
            usize::from(*length) == text.len()
        };
        let all = says.keys().all(known);
        match self {
            Self::Dhcpcd => all && !says.contains_key(&125) && says.get(&77).is_none_or(user),
            Self::Dhclient | Self::Udhcpc | Self::UdhcpcBroadcast => all,
        }
    }

    /// Its configuration, its script and its words.
    fn words(self, says: &Says) -> (String, &'static str, Vec<String>) {
        let (mut conf, mut words) = (String::new(), Vec::new());
        let mut word = |name: &str, value: String| words.extend([name.to_owned(), value]);
        if self == Self::Dhcpcd {
            conf.push_str("nodelay\n");
            for (code, octets) in says {
                match code {
                    55 => octets.iter().for_each(|asked| {
                        writeln!(conf, "define {asked} binhex dt{asked}\noption dt{asked}")
                            .unwrap();
                    }),
                    60 => word("-i", digits(octets, "\\x", "")),
                    61 => word("-I", digits(octets, "", ":")),
                    _ => word("-u", String::from_utf8(octets[1..].to_vec()).unwrap()),
                }
            }
            return (conf, DHCPCD, words);
        }
        if self == Self::Dhclient {
            conf.push_str("option dt-125 code 125 = string;\n");
            for (code, octets) in says {
                let name = match code {
                    55 => "dhcp-parameter-request-list",
                    60 => "vendor-class-identifier",
                    61 => "dhcp-client-identifier",
                    77 => "user-class",
                    _ => "dt-125",
                };
                writeln!(conf, "send {name} = {};", digits(octets, "", ":")).unwrap();
            }
            return (conf, DHCLIENT, words);
        }
        // A class of its own is not sent beside.
        word("-V", String::new());
        for (code, octets) in says {
            match code {
                55 => octets
                    .iter()
                    .for_each(|asked| word("-O", asked.to_string())),
                code => word("-x", format!("{code}:{}", digits(octets, "", ""))),
            }
        }
        words.extend(says.contains_key(&55).then(|| "-o".to_owned()));
        words.extend(says.contains_key(&61).then(|| "-C".to_owned()));
        words.extend((self == Self::UdhcpcBroadcast).then(|| "-B".to_owned()));
        (conf, UDHCPC, words)
    }

    /// Runs until it has an address.
    fn run(self, lab: &Lab, host: &str, says: &Says) -> Output {
        let folder = lab.path(host);
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        let (conf, script, words) = self.words(says);
        std::fs::write(folder.join("conf"), conf).unwrap();
        let mut command = lab.command(host, "sh");
        command.args(["-c", script, "sh"]).args(words);
        command.current_dir(folder).output().unwrap()
    }
}

/// The last ACK of one boot, after all other messages were what they must be.
fn boot(lab: &Lab, host: &str, mac: [u8; 6], client: Client, says: &Says) -> Packet {
    let tap = lab.tap(host);
    let output = client.run(lab, host, says);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{client:?} {says:?}: {}: {said}",
        output.status
    );
    // Of all that passes the wire.
    let mut replies = tap.replies();
    replies.retain(|reply| reply.chaddr[..6] == mac);
    let ack = replies
        .pop()
        .unwrap_or_else(|| panic!("{client:?} {says:?}: {said}"));
    assert_eq!(ack.kind, Kind::Ack, "{client:?} {says:?}");
    assert!(
        replies.iter().all(|reply| reply.kind == Kind::Offer),
        "{client:?} {says:?}: {replies:?} {ack:?}: {said}"
    );
    ack
}

/// Blocks that need no inventory and no values.
fn plain() -> Vec<Golden> {
    let mut all = golden();
    all.retain(|block| !block.has("listed") && !block.has("vars"));
    all
}

/// A wire's end; its classes are each `step`th from `first` on.
struct Path {
    host: &'static str,
    number: u8,
    first: usize,
    step: usize,
}

/// Every class of every family with a client that has words for it, in the large size with each; after
/// each boot the ACK is looked at. Says how often each client was played.
fn plays(lab: &Lab, path: &Path, look: impl Fn(&Packet)) -> [u16; 4] {
    let mut units = plain();
    units.retain(|unit| unit.has("60") || unit.has("77"));
    let mut played = [0; 4];
    for (at, unit) in units.iter().enumerate().skip(path.first).step_by(path.step) {
        // Somebody that nobody has seen before, of the same maker.
        let (mut mac, mut says) = (unit.mac(), unit.says());
        let own = [path.number, u8::try_from(at).unwrap()];
        if let Some(id) = says.get_mut(&61).filter(|id| id.ends_with(&mac)) {
            let at = id.len() - own.len();
            id[at..].copy_from_slice(&own);
        }
        mac[4..].copy_from_slice(&own);
        lab.station(path.host, &Mac::new(mac).unwrap().to_string());
        let all = sized(0, 1) == 1;
        for (turn, (client, times)) in CLIENTS.into_iter().zip(&mut played).enumerate() {
            let its = (at / path.step + usize::from(path.number)) % CLIENTS.len() == turn;
            if !client.can_say(&says) || !(all || its) {
                continue;
            }
            let ack = boot(lab, path.host, mac, client, &says);
            unit.check(&ack, &format!("{client:?} at {}", path.host));
            assert_eq!(ack.broadcast, client == Client::UdhcpcBroadcast);
            assert_eq!(ack.option(51), 3600_u32.to_be_bytes());
            look(&ack);
            *times += 1;
        }
    }
    played
}

/// The class strings of all families, with every client, directly and through dhcrelay with option 82
/// at the same time. A port of a relay has a limit of strangers, so the relay has two.
#[test]
fn every_client_gets_an_address_and_its_family_s_options() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    let mut far = String::new();
    for (host, wire, port, net) in [("c2", "far", "eth1", 98), ("c3", "afar", "eth2", 97)] {
        lab.switch(wire);
        lab.plug("rly", port, wire, Some(&format!("10.{net}.0.1/16")));
        lab.host(host, wire, None);
        let (server, to) = (lab.full("srv"), format!("10.{net}.0.0/16"));
        let route = ["-n", &server, "route", "add", &to, "via", "10.99.0.2"];
        super::lab::run("ip", &route);
        write!(far, "[[dhcp.subnet]]\nsubnet = \"{to}\"\npools = [\"10.{net}.10.0-10.{net}.13.255\"]\nrouter = \"10.{net}.0.1\"\n").unwrap();
    }
    // Many say the same serial here, and each is somebody else.
    let more =
        "probe = false\nclient_id = false\nrelays = [\"10.98.0.1\", \"10.97.0.1\", \"10.99.0.2\"]";
    let near = network("server", more).replace("10.99.10.99", "10.99.13.255");
    let server = lab.serve(&format!("{near}{far}"));
    let words = [
        "-4",
        "-d",
        "-a",
        "-id",
        "eth1",
        "-id",
        "eth2",
        "-iu",
        "eth0",
        "10.99.0.1",
    ];
    let _relay = lab.spawn("rly", "dhcrelay", &words);
    let path = |host, number, first, step| Path {
        host,
        number,
        first,
        step,
    };
    let lab = &lab;
    let (near, far, afar) = std::thread::scope(|scope| {
        let near = scope.spawn(move || plays(lab, &path("c1", 1, 0, 1), |_| {}));
        let relayed = move |path: Path, circuit: &'static str| {
            let upstream = lab.tap("rly");
            plays(lab, &path, |ack| {
                assert!(ack.option(82).is_empty(), "it is for the relay alone");
                comes_back(&upstream, ack.xid, circuit);
            })
        };
        let far = scope.spawn(move || relayed(path("c2", 2, 0, 2), "eth1"));
        let afar = scope.spawn(move || relayed(path("c3", 3, 1, 2), "eth2"));
        [near, far, afar].map(|path| path.join().unwrap()).into()
    });
    let least = sized(3, 25);
    for at in 0..CLIENTS.len() {
        let times = (near[at], far[at] + afar[at]);
        assert!(times.0 > least && times.1 > least, "{times:?}");
    }
    let leases = lab.leases(&server);
    let of = |circuit: &str| {
        let of = |lease: &&Value| lease["relay"]["circuit_id"] == circuit;
        leases.iter().filter(of).count()
    };
    let (far, afar) = (of("65746831"), of("65746832"));
    assert!(far > 10 && afar > 10, "{leases:?}");
    assert!(leases.len() > 2 * (far + afar) - 8, "{leases:?}");
}

/// What the relay added came back to it as it was, and last.
fn comes_back(upstream: &Tap, xid: u32, circuit: &str) {
    let datagrams = upstream.datagrams(67, 67);
    let mut replies = datagrams.iter().rev();
    let acked = replies
        .find(|octets| octets[0] == 2 && octets[4..8] == xid.to_be_bytes())
        .expect("a reply to the relay");
    let end = acked.iter().rposition(|octet| *octet == 255).unwrap();
    let sent = [&[82, 6, 1, 4], circuit.as_bytes()].concat();
    assert!(acked[..end].ends_with(&sent), "{acked:?}");
}

#[test]
fn every_golden_line_is_on_the_wire() {
    let mut lab = Lab::new();
    let at = "10.99.0.2".parse().unwrap();
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    // Room for a lease to each: strangers behind one relay hold a quarter of the pool at most.
    let dhcp = network(
        "server",
        "probe = false\nserve = \"all\"\nclient_id = false\nrelays = [\"10.99.0.2\"]",
    );
    let _server = lab.serve(&dhcp.replace("10.99.10.99", "10.99.13.255"));
    let relay = lab.relay("rly", at);
    let units = plain();
    assert!(units.len() > 20, "{}", units.len());
    for (port, unit) in (0..).zip(units) {
        let mut ask = Message::new(Kind::Discover, 1).through(at);
        ask.mac = unit.mac();
        ask.options.clear();
        for (code, octets) in unit.says() {
            ask = ask.with(code, &octets);
        }
        // The longest message that it takes, and its port.
        let ask = ask.with(57, &1500_u16.to_be_bytes());
        let ask = ask.with(82, &[1, 1, port]);
        relay.send_to(&ask.octets(), "10.99.0.1".parse().unwrap());
        let offer = relay.next();
        let mut take = ask
            .with(50, &offer.yiaddr.octets())
            .with(54, offer.option(54));
        take.kind = Kind::Request;
        relay.send_to(&take.octets(), "10.99.0.1".parse().unwrap());
        let ack = relay.next();
        assert_eq!((offer.kind, ack.kind), (Kind::Offer, Kind::Ack));
        for reply in [&offer, &ack] {
            unit.check(reply, "through a relay");
            assert_eq!(reply.option(82), [1, 1, port]);
        }
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
    let mac = [2, 0, 0, 0, 0, 7];
    let nothing = Says::new();
    let ack = boot(&lab, "c1", mac, Client::Udhcpc, &nothing);
    assert!(
        ack.options.keys().all(|code| PLAIN.contains(code)),
        "{ack:?}"
    );
}
