//! Started as root, going on as somebody else: what only root may open is open, and nothing else is
//! left of it.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use dialtone::model::dhcp::Kind;
use nix::unistd::User;

use super::lab::{Lab, network};
use super::raw::Message;
use crate::device_plane::PATIENCE;
use crate::serve_process::Process;
use crate::tftp_support::rrq;

const USER: &str = "nobody";

fn configure(lab: &Lab, user: &str) {
    let data = lab.path("data").display().to_string();
    let dhcp = network("server", "interface = [\"eth0\"]");
    let text = format!(
        "data = {data:?}\n{user}\npublic_url = \"https://prov.example.net\"\npublic_http_url = \"http://prov.example.net\"\npublic_tftp = \"10.99.0.1\"\n[listen]\nhttps = [\"10.99.0.1:443\"]\nhttp = [\"10.99.0.1:80\"]\ntftp = [\"10.99.0.1:69\"]\nadmin = []\n[[site]]\nname = \"hq\"\nprefixes = [\"10.99.0.0/16\"]\n[dhcp]\n{dhcp}"
    );
    fs::write(lab.path("dialtone.toml"), text).unwrap();
}

fn start(lab: &Lab) -> Process {
    let mut command = Command::new("ip");
    let binary = env!("CARGO_BIN_EXE_dialtone");
    command.args(["netns", "exec", &lab.full("srv"), binary]);
    Process::start_by(command, lab.folder.path())
}

/// A line of `/proc/PID/status`, as words.
fn status(server: &Process, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_server_of_root_goes_on_under_its_account_without_a_capability_and_answers() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    lab.host("c2", "sw", Some("10.99.0.9/16"));
    // The account has to come through the folders above its data.
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(lab.folder.path(), everybody).unwrap();
    // A first run as root leaves files of root.
    configure(&lab, "");
    start(&lab).stop();
    let user = User::from_name(USER).unwrap().unwrap();
    configure(&lab, &format!("user = {USER:?}"));
    let server = start(&lab);
    let ids = vec![user.uid.to_string(); 4];
    assert_eq!(status(&server, "Uid:"), ids);
    assert_eq!(status(&server, "Gid:"), vec![user.gid.to_string(); 4]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(&server, set), ["0000000000000000"], "{set}");
    }
    let socket = fs::metadata(server.data.join("admin.sock")).unwrap();
    assert_eq!(socket.uid(), user.uid.as_raw());

    // Every way in still answers: 67 by a frame to a client without an address, 69, 80.
    server.add("805ec0000005", "T46S");
    let client = lab.client("c1");
    client.send(&Message::new(Kind::Discover, 5).octets());
    let offer = client.next();
    let asks = Message::new(Kind::Request, 5)
        .with(50, &offer.yiaddr.octets())
        .with(54, &[10, 99, 0, 1]);
    client.send(&asks.octets());
    assert_eq!(client.next().kind, Kind::Ack);
    let refused = lab.within("c2", || {
        let socket = UdpSocket::bind("10.99.0.9:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let asks = rrq("nothing.cfg", "octet", &[]);
        socket.send_to(&asks, "10.99.0.1:69").unwrap();
        let mut packet = [0; 600];
        let length = socket.recv(&mut packet).expect("an answer");
        packet[..length.min(4)].to_vec()
    });
    assert_eq!(refused, [0, 5, 0, 1]);
    let page = lab.output("c2", "curl", &["-si", "http://10.99.0.1/nothing.cfg"]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.starts_with("HTTP/1.1 404"), "{page}");
    server.stop();
}
