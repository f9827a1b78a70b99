//! Hostile-cases F10: units boot over HTTPS and over TFTP while one packet in five is lost, both
//! ways. The network is a namespace of the test's own thread: it is gone with it.

use std::process::Command;

use dialtone::model::activation::{CheckKind, Outcome, State};
use dialtone::model::identity::Channel;
use nix::sched::{CloneFlags, unshare};
use tokio::task::JoinSet;

use super::scene::{Listed, Scene};

/// Takes this thread, and what it starts from here on, into a network of loopback alone that loses
/// so many percent of all packets.
pub(crate) fn enter_bad_network(loss: u32) {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: needs root");
    let run = |program: &str, words: &[&str]| {
        let status = Command::new(program).args(words).status();
        assert!(status.unwrap().success(), "{program} {words:?}");
    };
    run("ip", &["link", "set", "lo", "up"]);
    let loses = format!("numgen random mod 100 < {loss} counter drop");
    let hook = "{ type filter hook input priority 0; }";
    run("nft", &["add table inet bad"]);
    run("nft", &[&format!("add chain inet bad arrives {hook}")]);
    run("nft", &[&format!("add rule inet bad arrives {loses}")]);
}

#[test]
fn f10_units_boot_over_a_network_that_loses_one_packet_in_five() {
    let full = std::env::var_os("DIALTONE_FULL").is_some();
    let each = if full { 100 } else { 4 };
    enter_bad_network(20);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(boots(each));
}

async fn boots(each: u32) {
    let scene = Scene::by_lease().await;
    scene.waive("SPA942").await;
    let mut units = Vec::new();
    for n in 1..=each {
        for (family, model, oui, net) in [
            ("yealink/sip-t4-t5", "T46S", "805ec0", 1),
            ("cisco/spa", "SPA942", "000e08", 2),
        ] {
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
            let unit = match net {
                1 => scene.unit(family, &mac, &ip),
                _ => scene.unit_by_tftp(family, &mac, &ip),
            };
            units.push((id, net, unit));
        }
    }
    let mut boots = JoinSet::new();
    for (id, net, mut unit) in units {
        boots.spawn(async move {
            // A phone that got nothing tries again, as its user would.
            for _ in 0..5 {
                unit.boot_until_quiet(6).await;
                if unit.account().is_some() {
                    break;
                }
            }
            (id, net, unit.account().is_some())
        });
    }
    while let Some(booted) = boots.join_next().await {
        let (id, net, has_account) = booted.unwrap();
        let told = scene.told(id).await;
        assert!(has_account, "{told:#?}");
        let expect = if net == 1 {
            State::Active
        } else {
            State::Served
        };
        assert_eq!(scene.activation(id).await.state, expect, "{told:#?}");
        let channel = if net == 1 {
            Channel::Https
        } else {
            Channel::Http
        };
        let checks = scene.checks(id).await;
        let whole = checks.iter().filter(|check| {
            check.channel == channel
                && check.kind == CheckKind::Delivery
                && check.outcome == Outcome::Pass
        });
        assert!(whole.count() >= 1, "{told:#?}");
        assert!(scene.alerts(id).await.is_empty(), "{told:#?}");
    }
    scene.stop().await;
}
