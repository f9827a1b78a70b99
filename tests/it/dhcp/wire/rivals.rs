//! Another server on the wire: we give way and say so. Two of our own: both say the same.

use dialtone::model::dhcp::Kind;
use serde_json::json;

use super::lab::{Background, Lab, network};
use super::modes::dnsmasq;
use super::raw::Message;

pub(super) fn kea(lab: &Lab, host: &str) -> Background {
    let folder = lab.folder.path().display().to_string();
    let conf = json!({"Dhcp4": {
        "interfaces-config": {"interfaces": ["eth0"], "dhcp-socket-type": "raw"},
        "lease-database": {"type": "memfile", "persist": false},
        "subnet4": [{"subnet": "10.99.0.0/16", "pools": [{"pool": "10.99.21.1 - 10.99.21.99"}]}],
    }});
    let file = lab.path("kea.json");
    std::fs::write(&file, conf.to_string()).unwrap();
    let script = format!(
        "export KEA_PIDFILE_DIR={folder} KEA_LOCKFILE_DIR={folder}; exec kea-dhcp4 -c {}",
        file.display()
    );
    lab.spawn(host, "sh", &["-c", &script])
}

/// Waits until the other server answers somebody.
fn answers(lab: &Lab, host: &str) {
    let client = lab.client(host);
    let ask = Message::new(Kind::Discover, 250);
    for _ in 0..100 {
        client.send(&ask.octets());
        if client.heard() {
            return;
        }
    }
    panic!("the other server never answered");
}

fn gives_way(other: fn(&Lab, &str) -> Background) {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let _other = other(&lab, "other");
    answers(&lab, "c1");
    let server = lab.serve(&network("server", ""));
    let standing = lab.until(&server, &["dhcp"], |said| {
        said["other_servers"] != json!([])
    });
    assert_eq!(standing["other_servers"][0]["server"], "10.99.0.3");
    let (tap, client) = (lab.tap("srv"), lab.client("c1"));
    client.send(&Message::new(Kind::Discover, 5).octets());
    assert_eq!(client.next().option(54), [10, 99, 0, 3]);
    let told = lab.until(&server, &["dhcp", "decisions"], |said| {
        said["items"] != json!([])
    });
    assert_eq!(told["items"][0]["reason"], "gave-way");
    assert!(tap.datagrams(67, 68).iter().all(|octets| {
        octets[4..8] != [0, 0, 0, 5]
            || octets[20..24] != [0; 4]
            || octets[240..]
                .windows(6)
                .any(|part| part == [54, 4, 10, 99, 0, 3])
    }));
    let alerts = lab.until(&server, &["alerts"], |said| said["items"] != json!([]));
    assert_eq!(alerts["items"][0]["kind"], "other-dhcp-server");
}

#[test]
fn we_give_way_to_dnsmasq() {
    gives_way(dnsmasq);
}

#[test]
fn we_give_way_to_kea() {
    gives_way(kea);
}

#[test]
fn who_is_allowed_is_no_reason_to_give_way() {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let _other = dnsmasq(&lab, "other");
    answers(&lab, "c1");
    let _server = lab.serve(&network("server", "allow_other = [\"10.99.0.3\"]"));
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    let mut servers = [client.next(), client.next()].map(|reply| reply.option(54).to_vec());
    servers.sort();
    assert_eq!(servers, [[10, 99, 0, 1], [10, 99, 0, 3]]);
}

#[test]
fn f12_two_of_our_nodes_say_the_same_and_a_third_server_is_alerted() {
    let mut lab = Lab::new();
    lab.host("two", "sw", Some("10.99.0.4/16"));
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let dhcp = |pool: &str| {
        network("server", "allow_other = [\"10.99.0.1\", \"10.99.0.4\"]").replace("10.99.10.", pool)
    };
    let one = lab.serve_at("srv", "10.99.0.1", &dhcp("10.99.10."), "dialtone=info");
    let two = lab.serve_at("two", "10.99.0.4", &dhcp("10.99.11."), "dialtone=info");
    let client = lab.client("c1");
    let ask = Message::new(Kind::Discover, 5);
    client.send(&ask.octets());
    let offers = [client.next(), client.next()];
    assert_ne!(offers[0].option(54), offers[1].option(54));
    for offer in &offers {
        assert_eq!(offer.option(66), b"http://prov.example.net/");
    }
    for server in [&one, &two] {
        let standing = lab.until(server, &["dhcp"], |_| true);
        assert_eq!(standing["other_servers"], json!([]));
        let alerts = lab.until(server, &["alerts"], |_| true);
        assert_eq!(alerts["items"], json!([]));
    }
    // A third one, that nobody allowed.
    let _third = dnsmasq(&lab, "other");
    for server in [&one, &two] {
        let standing = lab.until(server, &["dhcp"], |said| {
            client.send(&ask.octets());
            said["other_servers"] != json!([])
        });
        let others = standing["other_servers"].as_array().unwrap();
        let others: Vec<_> = others.iter().map(|other| &other["server"]).collect();
        assert_eq!(others, ["10.99.0.3"]);
        let alerts = lab.until(server, &["alerts"], |said| said["items"] != json!([]));
        assert_eq!(alerts["items"].as_array().unwrap().len(), 1);
        assert_eq!(alerts["items"][0]["kind"], "other-dhcp-server");
        let place = alerts["items"][0]["places"][0].as_str().unwrap();
        assert!(place.starts_with("eth0: 10.99.0.3 at "), "{place}");
    }
    // Both leave the network to it.
    let next = Message::new(Kind::Discover, 6);
    for server in [&one, &two] {
        lab.until(server, &["dhcp", "decisions"], |said| {
            client.send(&next.octets());
            let last = &said["items"][0];
            (&last["mac"], &last["reason"]) == (&json!("80:5e:c0:00:00:06"), &json!("gave-way"))
        });
    }
    let mut offers: Vec<Vec<u8>> = Vec::new();
    for _ in 0..30 {
        while let Some(reply) = client.reply_soon() {
            offers.extend((reply.xid == 6).then(|| reply.option(54).to_vec()));
        }
        if !offers.is_empty() {
            break;
        }
        client.send(&next.octets());
    }
    assert!(!offers.is_empty());
    assert!(
        offers.iter().all(|from| from == &[10, 99, 0, 3]),
        "{offers:?}"
    );
}

/// What another server says to us, as anybody can from anywhere, is no reason to be silent; and
/// while we are, nobody loses the lease that it has of us.
#[test]
fn a_forged_answer_silences_nobody_s_lease() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    lab.host("c2", "sw", None);
    lab.host("rogue", "sw", Some("10.99.0.66/16"));
    let server = lab.serve(&network("server", ""));
    let rogue_at = "10.99.0.66".parse().unwrap();
    let own = "10.99.0.1".parse().unwrap();
    let rogue = lab.relay("rogue", rogue_at);
    let mut forged = Message::new(Kind::Offer, 1)
        .with(54, &[10, 99, 0, 66])
        .octets();
    forged[0] = 2;
    rogue.send_at(&forged, own, 68);
    let client = lab.client("c1");
    let ask = Message::new(Kind::Discover, 5);
    client.send(&ask.octets());
    let offer = client.next();
    let mut take = ask.with(50, &offer.yiaddr.octets()).with(54, &own.octets());
    take.kind = Kind::Request;
    client.send(&take.octets());
    assert_eq!(client.next().kind, Kind::Ack);
    // To everybody it counts.
    rogue.broadcast(&forged, 68);
    lab.until(&server, &["dhcp"], |said| {
        said["other_servers"] != json!([])
    });
    drop(client);
    lab.plug_address("c1", offer.yiaddr);
    let holder = lab.client_at("c1", offer.yiaddr);
    let renews = Message::new(Kind::Request, 5).from(offer.yiaddr);
    holder.send_to(&renews.octets(), own);
    assert_eq!(holder.next().kind, Kind::Ack);
    let other = lab.client("c2");
    other.send(&Message::new(Kind::Discover, 6).octets());
    lab.until(&server, &["dhcp", "decisions"], |said| {
        said["items"][0]["reason"] == "gave-way"
    });
    other.is_silent();
    let release = Message::new(Kind::Release, 5)
        .from(offer.yiaddr)
        .with(54, &own.octets());
    holder.send_to(&release.octets(), own);
    lab.until(&server, &["dhcp", "leases"], |said| {
        said["items"] == json!([])
    });
}
