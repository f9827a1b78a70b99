//! Real clients, directly and through a real relay: an address, and exactly the family's options.

use std::process::{Command, Output};

use dialtone::model::dhcp::Kind;
use dialtone::net::dhcp::packet::Packet;

use super::lab::{Lab, network};

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
                "mkdir -p state run; mount --bind state /var/lib/dhcpcd && mount --bind run /run && exec dhcpcd -4 -1 -A -i \"$1\" -c /bin/true -t 30 eth0",
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
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{client:?} {class}: {said}");
    let mut replies = tap.replies();
    let ack = replies
        .pop()
        .unwrap_or_else(|| panic!("{client:?} {class}: {said}"));
    assert_eq!(ack.kind, Kind::Ack, "{client:?} {class}");
    assert!(
        replies.iter().all(|reply| reply.kind == Kind::Offer),
        "{client:?} {class}"
    );
    ack
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
        network("server", "probe = false\nrelays = [\"10.98.0.1\"]")
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
