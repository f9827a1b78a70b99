//! hostile-cases F11 and F11b: a whole site asks at once. Small in each run; with `DIALTONE_FULL=1` at
//! full size, with its limits in seconds.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use dialtone::cli::client::Call;
use dialtone::simulate::{Made, Story, Unit};
use tokio::task::JoinSet;

use crate::serve_process::{Process, SITE, configure, device, enter, get, sized};
use crate::serve_storm::{state, unit};

const FAMILY: &str = "yealink/sip-t4-t5";

fn mac(n: u16) -> String {
    format!("805ec0{n:06x}")
}

fn address(net: u8, n: u16) -> IpAddr {
    let [high, low] = (n + 1).to_be_bytes();
    IpAddr::from([127, net, high, low])
}

/// Resident memory of the server, in MiB.
fn resident(server: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1024
}

/// Listed phones that are up, each from an address of its own.
async fn up(server: &Process, count: u16, net: u8) -> Vec<Unit> {
    let pointer = server.http();
    let mut booting = JoinSet::new();
    let mut units = Vec::new();
    for n in 0..count {
        let mac = mac(n);
        enter(&server.api(), "yealink", "T46S", &mac, "CANARY-line").await;
        let mut unit = unit(FAMILY, "T46S", &mac, address(net, n), &pointer);
        booting.spawn(async move {
            unit.boot_until_quiet(6).await;
            (n, unit)
        });
        // As crews unpack them.
        while booting.len() > 40 {
            units.extend(booting.join_next().await.map(Result::unwrap));
        }
    }
    units.extend(booting.join_all().await);
    units.sort_by_key(|(n, _)| *n);
    for (n, unit) in &units {
        assert!(unit.account().is_some(), "{}", mac(*n));
    }
    units.into_iter().map(|(_, unit)| unit).collect()
}

/// All of them at once, spread over a minute where all are asked for.
async fn storm(units: Vec<Unit>, full: bool) -> Vec<(Unit, Vec<Story>)> {
    let count = u32::try_from(units.len()).unwrap();
    let pause = Duration::from_secs(60) / count;
    let begin = tokio::time::Instant::now();
    let mut booting = JoinSet::new();
    for (n, mut unit) in (0_u32..).zip(units) {
        booting.spawn(async move {
            if full {
                tokio::time::sleep_until(begin + pause * n).await;
            }
            let stories = unit.boot_until_quiet(3).await;
            (unit, stories)
        });
    }
    booting.join_all().await
}

/// Every request at a unit's own URL was answered with its file; how long each of all took.
fn served(stories: &[Story]) -> Vec<Duration> {
    let steps = stories.iter().flat_map(|story| &story.steps);
    let own = steps.clone().filter(|step| step.url.contains("/u/"));
    let files = own.filter(|step| step.url.ends_with(".cfg"));
    let own: Vec<_> = files.filter(|step| !step.url.contains("y0000")).collect();
    assert!(!own.is_empty(), "{stories:#?}");
    for step in own {
        let there = matches!(step.status, Some(200 | 304)) && step.made == Made::Taken;
        assert!(there, "{step:?}");
    }
    steps.map(|step| step.took).collect()
}

fn within_five_seconds(mut took: Vec<Duration>, full: bool) {
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    if full {
        assert!(
            p99 < Duration::from_secs(5),
            "{p99:?} of {} requests",
            took.len()
        );
    }
}

async fn alerts(server: &Process) -> Vec<serde_json::Value> {
    let found = server.api().get(&Call::to(&["alerts"])).await.unwrap();
    found["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_site_comes_back_from_a_power_cut_while_somebody_scans() {
    let count = sized(10, 5000);
    let full = count > 10;
    let folder = tempfile::tempdir().unwrap();
    let expect = format!("expect = {count}");
    configure(folder.path(), "", &SITE.replace("expect = 1000", &expect));
    let server = Process::start(&folder);
    let units = up(&server, count, 77).await;
    let before = resident(&server);

    let http = server.address("http").to_owned();
    let scan = tokio::spawn(async move {
        for n in 0..sized(60, 20_000) {
            let path = format!("/001565{n:06x}.cfg");
            let answer = get("127.76.0.1", &http, &path, "").await;
            assert!(!answer.contains("CANARY"), "{answer}");
        }
    });
    let booted = storm(units, full).await;
    scan.await.unwrap();
    let mut took = Vec::new();
    for (n, (unit, stories)) in (0..).zip(&booted) {
        assert!(unit.account().is_some());
        took.extend(served(stories));
        if n % 100 == 0 {
            let device = device(&server.api(), &unit.identity().mac.bare()).await;
            assert_eq!(state(&device), "active", "{device:#}");
        }
    }
    within_five_seconds(took, full);
    let after = resident(&server);
    assert!(after <= before + 64, "{before} MiB became {after} MiB");
    assert_eq!(alerts(&server).await, Vec::<serde_json::Value>::new());
    server.stop();
}

/// A branch behind one address, which proves nothing there.
const BRANCH: &str = r#"
[[site]]
name = "branch"
prefixes = ["127.79.0.1/32"]
nat = true
expect = 1000
"#;

#[tokio::test(flavor = "multi_thread")]
async fn f11b_phones_behind_one_address_are_told_apart_by_their_tokens() {
    let all = sized(20, 1000);
    let full = all > 20;
    let folder = tempfile::tempdir().unwrap();
    let own = SITE.replace("127.0.0.0/8", "127.78.0.0/16");
    configure(folder.path(), "", &format!("{own}{BRANCH}"));
    let server = Process::start(&folder);
    let one: IpAddr = "127.79.0.1".parse().unwrap();
    let pointer = server.http();
    let mut units = up(&server, all * 2 / 5, 78).await;
    for unit in &mut units {
        unit.around.bind = Some(one);
    }
    let tokens = units.len();
    for n in all * 2 / 5..all {
        let mac = mac(n);
        if n < all * 9 / 10 {
            enter(&server.api(), "yealink", "T46S", &mac, "CANARY-line").await;
        }
        units.push(unit(FAMILY, "T46S", &mac, one, &pointer));
    }
    let macs: Vec<String> = units
        .iter()
        .map(|unit| unit.identity().mac.bare())
        .collect();
    let mut booted = storm(units, full).await;
    booted.sort_by_key(|(unit, _)| {
        macs.iter()
            .position(|mac| *mac == unit.identity().mac.bare())
    });
    let mut took = Vec::new();
    let (known, strangers) = booted.split_at(tokens);
    for (unit, stories) in known {
        assert!(unit.account().is_some());
        took.extend(served(stories));
    }
    within_five_seconds(took, full);
    // Listed or not, at the shared URL of such a place all are alike, and none has its account.
    let shapes: Vec<Vec<Option<u16>>> = strangers
        .iter()
        .map(|(unit, stories)| {
            assert!(unit.account().is_none());
            let steps = stories.iter().flat_map(|story| &story.steps);
            steps.map(|step| step.status).collect()
        })
        .collect();
    assert!(
        shapes.windows(2).all(|pair| pair[0] == pair[1]),
        "{shapes:?}"
    );
    let alerts = alerts(&server).await;
    assert!(alerts.len() <= 1, "{alerts:#?}");
    server.stop();
}
