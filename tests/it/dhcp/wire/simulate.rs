//! `dialtone simulate` on a wire: units that ask for their addresses on an interface and through a
//! relay, by SIP PnP, and `--dhcp-only` beside other servers.

use std::process::Output;

use dialtone::model::dhcp::Kind;
use dialtone::model::identity::Mac;
use serde_json::Value;

use super::lab::{Background, Lab, run};
use super::raw::Message;
use super::rivals::kea;
use crate::serve_process::{Process, enter};

const FAMILY: &str = "yealink/sip-t4-t5";
const FIRST: u64 = 0x805e_c000_0010;

impl Lab {
    /// A server that units can follow: it listens where it sends them.
    fn serve_units(&self, site: &str, dhcp: &str) -> Process {
        let folder = self.path("srv");
        std::fs::create_dir_all(&folder).unwrap();
        let data = folder.join("data").display().to_string();
        let text = format!(
            "data = {data:?}\npublic_url = \"https://10.99.0.1\"\npublic_http_url = \"http://10.99.0.1\"\npublic_tftp = \"10.99.0.1\"\n[listen]\nhttps = [\"10.99.0.1:443\"]\nhttp = [\"10.99.0.1:80\"]\ntftp = [\"10.99.0.1:69\"]\nadmin = []\nsip_pnp = [\"10.99.0.1:5060\"]\n[[site]]\nname = \"hq\"\nprefixes = [\"10.98.0.0/15\"]\n{site}\n[dhcp]\n{dhcp}"
        );
        std::fs::write(folder.join("dialtone.toml"), text).unwrap();
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &self.full("srv")]);
        command.arg(env!("CARGO_BIN_EXE_dialtone"));
        Process::start_by(command, &folder)
    }

    fn simulate(&self, host: &str, words: &[&str]) -> (Output, Value) {
        let mut all = vec!["simulate", "--json"];
        all.extend(words);
        let output = self.output(host, env!("CARGO_BIN_EXE_dialtone"), &all);
        let told = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output, told)
    }

    fn dnsmasq(&self, more: &[&str]) -> Background {
        let mut words = vec![
            "-k",
            "-C",
            "/dev/null",
            "-p",
            "0",
            "-u",
            "root",
            "--no-ping",
            "--leasefile-ro",
            "--interface=eth0",
            "--bind-interfaces",
            "--dhcp-range=10.99.20.1,10.99.20.99,255.255.0.0,1h",
            "--pid-file=",
        ];
        words.extend(more);
        self.spawn("other", "dnsmasq", &words)
    }
}

/// Lists so many units, one after the other.
fn list(server: &Process, count: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for number in 0..count {
        let [_, _, octets @ ..] = (FIRST + number).to_be_bytes();
        let mac = Mac::new(octets).unwrap().bare();
        runtime.block_on(enter(&server.api(), "yealink", "T46S", &mac, "s3cret"));
    }
}

#[test]
fn units_come_up_by_dhcp_on_an_interface() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let server = lab.serve_units(
        "",
        &format!(
            "interface = [\"eth0\"]\n{}",
            super::lab::network("server", "probe = false")
        ),
    );
    list(&server, 3);
    let words = [
        "--dhcp",
        "eth0",
        "--family",
        FAMILY,
        "--count",
        "3",
        "--mac-from",
        "805ec0000010",
    ];
    let (output, told) = lab.simulate("c1", &words);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert_eq!(told["up"], 3, "{told:#}");
    assert_eq!(told["units"][2]["reported"], true, "{told:#}");
    let leases = lab.leases(&server);
    assert_eq!(leases.len(), 3);
    // The interface has its units' addresses no more.
    let shown = lab.output("c1", "ip", &["-4", "addr", "show", "dev", "eth0"]);
    assert!(shown.stdout.is_empty(), "{shown:?}");
    // What our own server offers is right for every family whose words are known.
    let file = lab.path("srv").join("dialtone.toml").display().to_string();
    let words = ["--dhcp", "eth0", "--dhcp-only", "--config", &file];
    let (output, told) = lab.simulate("c1", &words);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    let units = told["units"].as_array().unwrap();
    assert!(units.len() >= 19, "{}", units.len());
    for unit in units {
        let asks = &unit["servers"][0]["asks"];
        assert_eq!(asks, &unit["expected"]["asks"], "{unit:#}");
        assert!(asks.as_str().unwrap().contains("10.99.0.1"), "{unit:#}");
        assert_eq!(
            unit["servers"][0]["differs"],
            serde_json::json!([]),
            "{unit:#}"
        );
    }
}

#[test]
fn units_come_up_through_a_relay() {
    let mut lab = Lab::new();
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    let relay = lab.full("rly");
    run(
        "ip",
        &["-n", &relay, "addr", "add", "10.98.0.1/32", "dev", "lo"],
    );
    run(
        "ip",
        &[
            "-n",
            &relay,
            "route",
            "add",
            "local",
            "10.98.0.0/16",
            "dev",
            "lo",
        ],
    );
    run(
        "ip",
        &[
            "-n",
            &lab.full("srv"),
            "route",
            "add",
            "10.98.0.0/16",
            "via",
            "10.99.0.2",
        ],
    );
    let dhcp = "mode = \"server\"\ninterface = [\"eth0\"]\nprobe = false\nrelays = [\"10.98.0.1\"]\n[[dhcp.subnet]]\nsubnet = \"10.98.0.0/16\"\npools = [\"10.98.10.0-10.98.10.99\"]\nsite = \"hq\"\n";
    let server = lab.serve_units("expect = 20", dhcp);
    list(&server, 12);
    let words = [
        "--relay",
        "10.98.0.1",
        "--dhcp-server",
        "10.99.0.1",
        "--family",
        FAMILY,
        "--count",
        "12",
        "--mac-from",
        "805ec0000010",
    ];
    let (output, told) = lab.simulate("rly", &words);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert_eq!(told["up"], 12, "{told:#}");
    assert!(told["boot_ms"]["p99"].as_f64() >= told["boot_ms"]["p50"].as_f64());
    let leases = lab.leases(&server);
    let ports: std::collections::BTreeSet<&str> = leases
        .iter()
        .filter_map(|lease| lease["relay"]["circuit_id"].as_str())
        .collect();
    assert_eq!(ports.len(), 12, "{leases:?}");
}

#[test]
fn dhcp_only_says_what_is_wrong_and_pnp_finds_us_all_the_same() {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let look = |lab: &Lab, families: &[&str]| {
        let mut words = vec![
            "--dhcp",
            "eth0",
            "--dhcp-only",
            "--server",
            "http://10.99.0.1/",
        ];
        words.extend(families.iter().flat_map(|family| ["--family", *family]));
        lab.simulate("c1", &words)
    };
    let (output, told) = look(&lab, &[FAMILY]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told["units"][0]["wrong"][0]
            .as_str()
            .unwrap()
            .starts_with("nobody offered")
    );

    // A server that tells nothing: the unit finds us by PnP.
    let plain = lab.dnsmasq(&[]);
    let (output, told) = look(&lab, &[FAMILY, "arista/eos"]);
    assert_eq!(output.status.code(), Some(1), "{told:#}");
    let wrong = |unit: usize| told["units"][unit]["servers"][0]["wrong"].to_string();
    assert!(
        wrong(0).contains("nothing in it names a server"),
        "{told:#}"
    );
    assert!(
        wrong(0).contains("option 66 is missing: put \\\"http://10.99.0.1/\\\" there"),
        "{told:#}"
    );
    assert!(wrong(1).contains("option 67 is missing"), "{told:#}");
    let server = lab.serve_units("corroborate = \"prefix\"", "mode = \"off\"\n");
    list(&server, 1);
    let words = [
        "--dhcp",
        "eth0",
        "--pnp",
        "10.99.0.1:5060",
        "--family",
        FAMILY,
        "--mac-from",
        "805ec0000010",
    ];
    let (output, told) = lab.simulate("c1", &words);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    drop((plain, server));

    // One that sends them elsewhere, beside another one.
    let _wrong = lab.dnsmasq(&["--dhcp-option=66,192.0.2.9"]);
    lab.host("third", "sw", Some("10.99.0.4/16"));
    let _kea = kea(&lab, "third");
    let mut told = Value::Null;
    // Kea takes a while until it answers.
    for _ in 0..10 {
        told = look(&lab, &[FAMILY]).1;
        if told["units"][0]["servers"].as_array().unwrap().len() == 2 {
            break;
        }
    }
    let unit = &told["units"][0];
    assert!(
        unit["wrong"][0]
            .as_str()
            .unwrap()
            .starts_with("2 servers answer"),
        "{told:#}"
    );
    let text = unit["servers"].to_string();
    assert!(
        text.contains("it sends the unit to tftp://192.0.2.9/, not to http://10.99.0.1/"),
        "{told:#}"
    );
    assert!(
        text.contains("option 66 holds \\\"192.0.2.9\\\""),
        "{told:#}"
    );
}

/// A client without an address is told the base of the site whose network it hangs at.
#[test]
fn a_direct_client_is_told_the_base_of_its_interface_s_site() {
    for (site, subnet) in [
        // By the interface's own address, and by the name that its network has.
        ("public_http_url = \"http://10.99.0.1:8080\"", ""),
        (
            "[[site]]\nname = \"branch\"\npublic_http_url = \"http://10.99.0.1:8080\"",
            "site = \"branch\"",
        ),
    ] {
        let mut lab = Lab::new();
        lab.host("c1", "sw", None);
        let dhcp = format!(
            "mode = \"server\"\ninterface = [\"eth0\"]\nprobe = false\n[[dhcp.subnet]]\nsubnet = \"10.99.0.0/16\"\npools = [\"10.99.10.0-10.99.10.99\"]\n{subnet}\n"
        );
        let _server = lab.serve_units(site, &dhcp);
        let client = lab.client("c1");
        client.send(&Message::new(Kind::Discover, 5).octets());
        let offer = client.next();
        assert_eq!(
            offer.option(66),
            b"http://10.99.0.1:8080/",
            "{site} {subnet}"
        );
    }
}
