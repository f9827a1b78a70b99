//! Hostile-cases F10: units boot over HTTPS and over TFTP while one packet in five is lost, both ways,
//! and each round takes 300 ms (40 in the small size). The network is a namespace of the test's own thread: it is gone with
//! it. The kernel loses TCP's segments; what delays is a relay of our own, which keeps the units'
//! addresses.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dialtone::hub::Hub;
use dialtone::model::activation::{Check, CheckKind, Outcome, State};
use dialtone::model::identity::{Channel, DeviceId};
use dialtone::simulate::Unit;
use jiff::Timestamp;
use nix::sched::{CloneFlags, unshare};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::scene::{Listed, Scene};
use crate::device_plane::PATIENCE;
use crate::relay::{Conduct, Relay};
use crate::serve_process::sized;

/// Where the units see the server.
const FRONT: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 9);
/// One way; small where nobody asked for everything.
fn delay() -> Duration {
    Duration::from_millis(sized(20, 150).into())
}
/// Percent of the packets of each way.
const LOSS: u64 = 20;

/// Takes this thread, and what it starts from here on, into a network of loopback alone that loses
/// TCP segments from and to [`FRONT`].
fn enter_bad_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: needs root");
    let run = |program: &str, words: &[&str]| {
        let status = Command::new(program).args(words).status();
        assert!(status.unwrap().success(), "{program} {words:?}");
    };
    run("ip", &["link", "set", "lo", "up"]);
    let hook = "{ type filter hook input priority 0; }";
    run("nft", &["add table inet bad"]);
    run("nft", &[&format!("add chain inet bad arrives {hook}")]);
    for end in ["saddr", "daddr"] {
        let rule = format!(
            "add rule inet bad arrives ip {end} {FRONT} meta l4proto tcp numgen random mod 100 < {LOSS} counter drop"
        );
        run("nft", &[&rule]);
    }
}

/// Carries connections to the server, and everything on them later.
async fn carry(front: TcpListener, server: SocketAddr) {
    let mut ways = JoinSet::new();
    loop {
        let (unit, from) = front.accept().await.unwrap();
        ways.spawn(async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from.ip(), 0).into()).unwrap();
            let Ok(server) = socket.connect(server).await else {
                return;
            };
            let (from_unit, to_unit) = unit.into_split();
            let (from_server, to_server) = TcpStream::into_split(server);
            tokio::join!(late(from_unit, to_server), late(from_server, to_unit));
        });
    }
}

/// Each piece as much later as every other.
async fn late(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let (tell, mut told) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let reads = async move {
        let mut octets = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut octets).await {
            drop(tell.send((Instant::now() + delay(), octets[..length].to_vec())));
        }
    };
    let writes = async {
        while let Some((at, octets)) = told.recv().await {
            sleep_until(at).await;
            if to.write_all(&octets).await.is_err() {
                break;
            }
        }
        drop(to.shutdown().await);
    };
    tokio::join!(reads, writes);
}

#[test]
fn f10_units_boot_over_a_network_that_loses_one_packet_in_five() {
    let each = u8::try_from(sized(1, 100)).unwrap();
    enter_bad_network();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(boots(each));
}

/// A unit under way.
struct Booting {
    id: DeviceId,
    unit: Unit,
    own: String,
    ends: State,
    by: Channel,
}

async fn boots(each: u8) {
    let fronts = [
        TcpListener::bind((FRONT, 0)).await.unwrap(),
        TcpListener::bind((FRONT, 0)).await.unwrap(),
    ];
    let [https, http] = fronts.each_ref().map(|front| front.local_addr().unwrap());
    let more = format!(
        "public_url = \"https://{https}\"\npublic_http_url = \"http://{http}\"\n[[site]]\nname = \"hq\"\nprefixes = [\"127.0.0.0/8\"]\n"
    );
    let listen = "https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\ntftp = [\"127.0.0.1:0\"]\nadmin = []\n";
    let scene = Scene::listening(&more, listen).await;
    let addresses = &scene.server.running.addresses;
    let mut ways = JoinSet::new();
    for (front, server) in fronts
        .into_iter()
        .zip([addresses.https[0], addresses.http[0]])
    {
        ways.spawn(carry(front, server));
    }
    let conduct = Conduct {
        seed: 10,
        loss: LOSS,
        delay: delay(),
        ..Conduct::default()
    };
    let relay = Relay::start(addresses.tftp[0], conduct).await;
    let mut units = Vec::new();
    for (net, family, model, oui, by) in [
        (1, "yealink/sip-t4-t5", "T46S", "805ec0", Channel::Https),
        (2, "cisco/spa", "SPA942", "000e08", Channel::Http),
        (3, "cisco/sep", "7941G", "003094", Channel::Tftp),
    ] {
        if by != Channel::Https {
            scene.waive(model).await;
        }
        for n in 1..=each {
            let mac = format!("{oui}{n:06x}");
            let ip = format!("127.0.{net}.{n}");
            let listed = Listed {
                family,
                model,
                mac: Some(&mac),
                ..Listed::default()
            };
            let id = scene.list(&listed).await;
            scene.lease(&ip, &mac).await;
            let mut around = scene.around(&ip);
            let secure = by == Channel::Https;
            around.pointer = Some(if secure {
                format!("http://{http}/")
            } else {
                format!("tftp://{}/", relay.front)
            });
            units.push(Booting {
                id,
                unit: scene.unit_in(family, &mac, around),
                own: mac,
                ends: if secure { State::Active } else { State::Served },
                by,
            });
        }
    }
    let seen = Seen::default();
    ways.spawn(watch(Arc::clone(scene.server.hub()), Arc::clone(&seen)));
    let mut boots = JoinSet::new();
    for mut booting in units {
        boots.spawn(async move {
            // A phone that got nothing tries again, as its user would.
            for _ in 0..5 {
                booting.unit.boot_until_quiet(6).await;
                if booting.unit.account().is_some() {
                    break;
                }
            }
            booting
        });
    }
    let mut all = Vec::new();
    while let Some(booted) = boots.join_next().await {
        all.push(booted.unwrap());
    }
    for booted in &mut all {
        // Where the last acknowledgement is what was lost, we cannot know that it has the file: its user
        // restarts it.
        for _ in 0..5 {
            ended(&scene, booted).await;
            if scene.activation(booted.id).await.state == booted.ends {
                break;
            }
            booted.unit.boot_until_quiet(6).await;
        }
    }
    for booted in &all {
        let checks = ended(&scene, booted).await;
        let told = scene.told(booted.id).await;
        assert!(booted.unit.account().is_some(), "{told:#?}");
        assert_eq!(
            scene.activation(booted.id).await.state,
            booted.ends,
            "{told:#?}"
        );
        let whole = checks.iter().filter(|check| {
            check.channel == booted.by
                && check.kind == CheckKind::Delivery
                && check.outcome == Outcome::Pass
        });
        assert!(whole.count() >= 1, "{told:#?}");
        assert!(scene.alerts(booted.id).await.is_empty(), "{told:#?}");
    }
    let (carried, lost) = relay.counted();
    assert!(lost > 0, "{carried}");
    // It is active once, whatever came again.
    for booted in &all {
        look(scene.hub(), booted.id, &seen).await;
        let seen = seen.lock().unwrap();
        let times = seen.iter().filter(|(id, _)| *id == booted.id).count();
        assert_eq!(times, usize::from(booted.ends == State::Active));
    }
    ways.shutdown().await;
    scene.stop().await;
}

/// The checks of a unit, once each answer with its own file has its end beside it: an attempt that
/// broke off is one of its own.
async fn ended(scene: &Scene, booted: &Booting) -> Vec<Check> {
    let mut news = scene.hub().news.subscribe();
    let wait = async {
        loop {
            let checks = scene.checks(booted.id).await;
            let own = |check: &&Check| {
                let path = check.path.as_deref().unwrap_or_default().to_lowercase();
                path.contains(&booted.own)
            };
            let own: Vec<&Check> = checks.iter().filter(own).collect();
            let count = |kind: CheckKind, refused: bool| {
                let these = own.iter().filter(|check| {
                    check.kind == kind && (check.outcome != Outcome::Refused || refused)
                });
                these.count()
            };
            if count(CheckKind::Request, false) == count(CheckKind::Delivery, true) {
                return checks;
            }
            drop(news.recv().await);
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(checks) => checks,
        Err(_) => panic!("{:#?}", scene.told(booted.id).await),
    }
}

/// When each unit was seen active, and since when it is.
type Seen = Arc<Mutex<BTreeSet<(DeviceId, Option<Timestamp>)>>>;

async fn look(hub: &Hub, id: DeviceId, seen: &Seen) {
    let device = hub.store.device(id).await.unwrap().unwrap();
    let activation = &device.status_now().activation;
    if activation.state == State::Active {
        seen.lock().unwrap().insert((id, activation.since));
    }
}

/// Looks at each unit that changes.
async fn watch(hub: Arc<Hub>, seen: Seen) {
    let mut devices = hub.devices.subscribe();
    loop {
        match devices.recv().await {
            Ok(id) => look(&hub, id, &seen).await,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
