//! The other modes, the life of a lease, and what a restart knows.

use std::net::Ipv4Addr;

use dialtone::model::dhcp::Kind;
use serde_json::json;

use super::lab::{Lab, network};
use super::raw::Message;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// dnsmasq as the network's own server, on a host at 10.99.0.3.
pub(super) fn dnsmasq(lab: &Lab, host: &str) -> super::lab::Background {
    let leases = lab.path("dnsmasq.leases").display().to_string();
    lab.spawn(
        host,
        "dnsmasq",
        &[
            "-k",
            "-C",
            "/dev/null",
            "-p",
            "0",
            "-u",
            "root",
            "--no-ping",
            "--dhcp-authoritative",
            "--interface=eth0",
            "--bind-interfaces",
            "--dhcp-range=10.99.20.1,10.99.20.99,255.255.0.0,1h",
            &format!("--dhcp-leasefile={leases}"),
            "--pid-file=",
        ],
    )
}

#[test]
fn observe_sends_nothing_and_learns_who_is_where() {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let server = lab.serve(&network("observe", ""));
    server.add("805ec0000005", "T46S");
    let tap = lab.tap("srv");
    let _other = dnsmasq(&lab, "other");
    lab.station("c1", "80:5e:c0:00:00:05");
    let output = lab.output(
        "c1",
        "busybox",
        &[
            "udhcpc",
            "-f",
            "-q",
            "-n",
            "-i",
            "eth0",
            "-s",
            "/bin/true",
            "-V",
            "yealink",
        ],
    );
    assert!(output.status.success());
    let leases = lab.until(&server, &["dhcp", "leases"], |said| {
        said["items"] != json!([])
    });
    let lease = &leases["items"][0];
    assert_eq!(
        (lease["mac"].clone(), lease["source"].clone()),
        (json!("80:5e:c0:00:00:05"), json!("observed"))
    );
    assert!(lease["ip"].as_str().unwrap().starts_with("10.99.20."));
    assert!(
        tap.datagrams(67, 68).is_empty()
            && tap
                .datagrams(68, 67)
                .iter()
                .all(|octets| octets[28..34] == [0x80, 0x5e, 0xc0, 0, 0, 5])
    );
    // Its next DISCOVER ends it.
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    lab.until(&server, &["dhcp", "leases"], |said| {
        said["items"] == json!([])
    });
}

#[test]
fn inform_answers_inform_and_nothing_else() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", Some("10.99.0.11/16"));
    let _server = lab.serve(&network("inform", ""));
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    let ask = Message::new(Kind::Inform, 6).from(Ipv4Addr::new(10, 99, 0, 11));
    client.send_to(&ask.octets(), SERVER);
    let reply = client.next();
    assert_eq!((reply.kind, reply.xid), (Kind::Ack, 6));
    let codes: Vec<u8> = reply.options.keys().copied().collect();
    assert_eq!(codes, [53, 54, 66]);
    assert_eq!(reply.yiaddr, Ipv4Addr::UNSPECIFIED);
    // A stranger gets silence.
    let mut stranger = ask.clone();
    stranger.options = Vec::new();
    stranger.mac = [2, 0, 0, 0, 0, 1];
    client.send_to(&stranger.octets(), SERVER);
    let again = Message { xid: 7, ..ask };
    client.send_to(&again.octets(), SERVER);
    assert_eq!(client.next().xid, 7);
    client.is_silent();
}

#[test]
fn a_lease_is_there_after_the_server_was_killed_and_ends_by_release() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let dhcp = network("server", "probe = false");
    let server = lab.serve(&dhcp);
    let client = lab.client("c1");
    let ask = Message::new(Kind::Discover, 5);
    client.send(&ask.octets());
    let offer = client.next();
    let take = |kind| Message {
        kind,
        ..ask.clone()
    };
    let chosen = take(Kind::Request).with(50, &offer.yiaddr.octets());
    client.send(&chosen.clone().with(54, &SERVER.octets()).octets());
    assert_eq!(client.next().kind, Kind::Ack);
    server.signal(rustix::process::Signal::KILL);
    drop(server);
    let server = lab.serve(&dhcp);
    let leases = lab.leases(&server);
    assert_eq!(leases[0]["ip"], json!(offer.yiaddr.to_string()));
    // INIT-REBOOT.
    client.send(&chosen.octets());
    let ack = client.next();
    assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, offer.yiaddr));
    let other = Message::new(Kind::Request, 6).with(50, &offer.yiaddr.octets());
    client.send(&other.octets());
    assert_eq!(client.next().kind, Kind::Nak);
    lab.plug_address("c1", offer.yiaddr);
    let release = take(Kind::Release)
        .from(offer.yiaddr)
        .with(54, &SERVER.octets());
    let holder = lab.client_at("c1", offer.yiaddr);
    holder.send_to(&release.octets(), SERVER);
    lab.until(&server, &["dhcp", "leases"], |said| {
        said["items"] == json!([])
    });
}

#[test]
fn an_address_that_somebody_uses_is_not_offered() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    // 10.99.10.0 is the first of the pool.
    lab.host("squatter", "sw", Some("10.99.10.0/16"));
    let server = lab.serve(&network("server", "probe = false"));
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    assert_eq!(client.next().yiaddr, Ipv4Addr::new(10, 99, 10, 1));
    server.logged("somebody else answers at an address of the pool");
}

#[test]
fn a_reload_takes_other_networks_and_a_broken_one_nothing() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let dhcp = network("server", "probe = false");
    let server = lab.serve(&dhcp);
    let client = lab.client("c1");
    let folder = lab.path("srv");
    super::lab::configure(
        &folder,
        super::lab::SERVER,
        &dhcp
            .replace("lease_time", "leese_time")
            .replace("router", "ruoter"),
    );
    server.signal(rustix::process::Signal::HUP);
    server.logged("nothing was reloaded");
    super::lab::configure(
        &folder,
        super::lab::SERVER,
        &dhcp.replace("10.99.10.", "10.99.30."),
    );
    server.signal(rustix::process::Signal::HUP);
    server.logged("reloaded");
    client.send(&Message::new(Kind::Discover, 5).octets());
    assert_eq!(client.next().yiaddr, Ipv4Addr::new(10, 99, 30, 0));
    assert_eq!(server.ready["dhcp"], json!(["eth0"]));
}

#[test]
fn the_inventory_keeps_an_address_for_a_unit() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let server = lab.serve(&network("server", "probe = false"));
    server.add("805ec0000005", "T46S");
    server.set("805ec0000005", "dhcp_address", "10.99.40.7");
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    assert_eq!(client.next().yiaddr, Ipv4Addr::new(10, 99, 40, 7));
    let told = lab.leases(&server);
    assert_eq!(told[0]["why"]["reason"], "reserved");
}

/// A renewal is unicast and passes no relay: the unit is where it was.
#[test]
fn a_renewal_keeps_the_port_that_the_relay_named() {
    let mut lab = Lab::new();
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    lab.host("c1", "sw", None);
    let dhcp = network("server", "probe = false\nrelays = [\"10.99.0.2\"]");
    let server = lab.serve(&dhcp);
    let at = Ipv4Addr::new(10, 99, 0, 2);
    let relay = lab.relay("rly", at);
    let ask = Message::new(Kind::Discover, 5)
        .through(at)
        .with(82, &[1, 1, b'7']);
    relay.send_to(&ask.octets(), SERVER);
    let offer = relay.next();
    let mut take = ask
        .with(50, &offer.yiaddr.octets())
        .with(54, &SERVER.octets());
    take.kind = Kind::Request;
    relay.send_to(&take.octets(), SERVER);
    assert_eq!(relay.next().kind, Kind::Ack);
    let before = lab.leases(&server);
    lab.plug_address("c1", offer.yiaddr);
    let client = lab.client_at("c1", offer.yiaddr);
    let renews = Message::new(Kind::Request, 5).from(offer.yiaddr);
    client.send_to(&renews.octets(), SERVER);
    assert_eq!(client.next().kind, Kind::Ack);
    let after = lab.leases(&server);
    assert_eq!(after[0]["why"]["reason"], "renewed");
    assert_eq!(before[0]["relay"]["circuit_id"], "37");
    assert_eq!(after[0]["relay"], before[0]["relay"]);
}

/// What comes from three routers away says nothing of who is here.
#[test]
fn observe_believes_nobody_who_is_elsewhere() {
    let mut lab = Lab::new();
    lab.switch("far");
    lab.host("rtr", "sw", Some("10.99.0.2/16"));
    lab.plug("rtr", "eth1", "far", Some("198.51.100.1/24"));
    lab.host("thief", "far", Some("198.51.100.9/24"));
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    for (host, to, via) in [
        ("srv", "198.51.100.0/24", "10.99.0.2"),
        ("thief", "10.99.0.0/16", "198.51.100.1"),
    ] {
        let route = ["-n", &lab.full(host), "route", "add", to, "via", via];
        super::lab::run("ip", &route);
    }
    let forward = lab.output("rtr", "sysctl", &["-w", "net.ipv4.ip_forward=1"]);
    assert!(forward.status.success());
    // No network is configured: the sites' prefixes are what counts.
    let server = lab.serve("mode = \"observe\"\n");
    for mac in ["805ec0000005", "805ec0000006", "805ec0000007"] {
        server.add(mac, "T46S");
    }
    let own = Ipv4Addr::new(198, 51, 100, 9);
    let thief = lab.client("thief");
    let ack = |last: u8, at: Ipv4Addr| {
        let mut octets = Message::new(Kind::Ack, last)
            .with(54, &[10, 99, 0, 3])
            .octets();
        octets[0] = 2;
        octets[16..20].copy_from_slice(&at.octets());
        octets
    };
    // What another server grants on the wire is learned, once memory knows the unit.
    let other = lab.relay("other", Ipv4Addr::new(10, 99, 0, 3));
    let granted = ack(7, Ipv4Addr::new(10, 99, 20, 7));
    lab.until(&server, &["dhcp", "leases"], |said| {
        other.broadcast(&granted, 68);
        said["items"][0]["ip"] == "10.99.20.7"
    });
    // A REQUEST and an ACK in a listed unit's name, for his own address and for one that is here.
    for at in [own, Ipv4Addr::new(10, 99, 20, 5)] {
        let ask = Message::new(Kind::Request, 5).with(50, &at.octets());
        thief.send_to(&ask.octets(), SERVER);
        thief.send_to(&ask.from(own).octets(), SERVER);
        lab.relay("thief", own).send_at(&ack(5, at), SERVER, 68);
    }
    lab.until(&server, &["dhcp", "decisions"], |said| {
        said["items"][0]["reason"] == "outside"
    });
    // On the wire both are learned, but for an address of nobody here.
    let client = lab.client("c1");
    let stray = Message::new(Kind::Request, 5).with(50, &own.octets());
    client.send(&stray.octets());
    let here = Message::new(Kind::Request, 6).with(50, &[10, 99, 20, 6]);
    client.send(&here.octets());
    other.broadcast(&ack(7, Ipv4Addr::new(10, 99, 20, 8)), 68);
    let addresses = |said: &serde_json::Value| -> Vec<String> {
        let items = said["items"].as_array().unwrap().iter();
        items
            .map(|row| row["ip"].as_str().unwrap().to_owned())
            .collect()
    };
    lab.until(&server, &["dhcp", "leases"], |said| {
        addresses(said) == ["10.99.20.6", "10.99.20.8"]
    });
}

/// A file system of its own, gone with the guard.
struct Small(String);

impl Small {
    fn new(folder: &std::path::Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let folder = folder.display().to_string();
        let words = ["-t", "tmpfs", "-o", "size=200m", "tmpfs", &folder];
        super::lab::run("mount", &words);
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        super::lab::run("umount", &["-l", &self.0]);
    }
}

#[test]
fn a_lease_that_cannot_be_written_is_not_given_and_the_reason_is_told() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let small = Small::new(&lab.path("srv"));
    let server = lab.serve(&network("server", "probe = false\nserve = \"all\""));
    let client = lab.client("c1");
    let ask = Message::new(Kind::Discover, 5);
    let take = |offered: Ipv4Addr| {
        let mut take = ask.clone();
        take.kind = Kind::Request;
        take.with(50, &offered.octets())
            .with(54, &SERVER.octets())
            .octets()
    };
    client.send(&ask.octets());
    let offered = client.next().yiaddr;
    // Below the engine's own part of the reserve nothing is written.
    let filler = lab.path("srv").join("filler");
    std::fs::write(&filler, vec![0; 190 << 20]).unwrap();
    client.send(&take(offered));
    lab.until(&server, &["dhcp", "decisions"], |said| {
        said["items"][0]["reason"] == "not-durable"
    });
    client.is_silent();
    // Space again: it asks again, and has it.
    std::fs::remove_file(&filler).unwrap();
    client.send(&take(offered));
    assert_eq!(client.next().kind, Kind::Ack);
    drop(server);
    drop(small);
}
