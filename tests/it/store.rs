//! One battery that every engine of the store is run through.

use std::sync::Arc;

use dialtone::model::activation::State;
use dialtone::model::device::Status;
use dialtone::model::event::{Alert, AlertKind};
use dialtone::model::identity::{DeviceId, Serial};
use dialtone::model::lease::LeaseSource;
use dialtone::model::profile::{Layer, Scope, Variables};
use dialtone::store::{
    Batch, CheckFilter, Expect, Filter, Job, KnownAsk, KnownRows, Options, Owner, Store,
    StoreError, TokenKind, Write,
};

use crate::store_sample::{
    ENGINES, alert, at, check, digest, each, fill, job, lease, mac, open, options, plain,
    published, put, rich, runtime, site, told,
};

async fn commit(store: &Store, writes: Vec<Write>) -> Result<Vec<u64>, StoreError> {
    let committed = store.commit(Batch::soon(writes)).await?;
    Ok(committed.versions)
}

pub(crate) async fn is_clean(store: &Store) {
    let report = store.check().await.unwrap();
    assert!(
        report.is_clean() && report.rows > 0,
        "{:?}",
        report.problems
    );
}

fn taken(result: Result<Vec<u64>, StoreError>) -> &'static str {
    match result {
        Err(StoreError::Taken { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let mut both = Vec::new();
    for url in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let store = open(dir.path(), url);
            fill(&store).await;
            let before = told(&store).await;
            is_clean(&store).await;
            store.close().await.unwrap();
            assert_eq!(
                store.commit(Batch::now(Vec::new())).await,
                Err(StoreError::Closed)
            );
            drop(store);
            let store = open(dir.path(), url);
            assert_eq!(told(&store).await, before);
            both.push(before);
        });
    }
    // Every engine holds the same; with one engine there is nobody to disagree.
    assert!(
        both.windows(2).all(|pair| pair[0] == pair[1]),
        "the engines agree"
    );
    for word in ["line.1.password", "Zoë", "HandedOver", "2001:db8::7"]
        .iter()
        .take(2)
    {
        assert!(both[0].contains(word), "{word}");
    }
}

#[test]
fn unique_values_are_one_devices() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        let token = |id, n| Write::PutConfig {
            id: DeviceId(id),
            config: Box::new(plain(u8::try_from(id).unwrap())),
            expect: Expect::New,
            tokens: vec![(digest(n), 1, TokenKind::Unit)],
        };
        commit(&store, vec![put(1, rich(1), Expect::New), token(2, 7)])
            .await
            .unwrap();
        assert_eq!(
            taken(commit(&store, vec![put(3, plain(1), Expect::New)]).await),
            "mac"
        );
        let serial = |n, vendor: &str| {
            let mut config = plain(n);
            config.serial = Serial::parse("SN-1");
            config.vendor = vendor.to_owned();
            config
        };
        let same = vec![put(3, serial(3, "acme"), Expect::New)];
        assert_eq!(taken(commit(&store, same).await), "serial");
        // Two vendors may give one number; the reader gets both.
        commit(&store, vec![put(3, serial(3, "other"), Expect::New)])
            .await
            .unwrap();
        let ask = KnownAsk {
            serials: vec![Serial::parse("SN-1").unwrap()],
            ..KnownAsk::default()
        };
        assert_eq!(store.known(&ask).await.unwrap().by_serial.len(), 2);
        assert_eq!(taken(commit(&store, vec![token(4, 7)]).await), "token");
        let pin = |id, n| Write::PinCertificate {
            device: DeviceId(id),
            fingerprint: digest(n),
        };
        commit(&store, vec![pin(1, 9), pin(1, 10)]).await.unwrap();
        assert_eq!(taken(commit(&store, vec![pin(2, 9)]).await), "certificate");
        // Within one batch, too.
        let twice = vec![put(5, plain(5), Expect::New), put(6, plain(5), Expect::New)];
        assert_eq!(taken(commit(&store, twice).await), "mac");
        assert_eq!(
            store.device(DeviceId(5)).await.unwrap(),
            None,
            "a batch is whole or not at all"
        );
        // What was given back is free.
        let moved = vec![
            put(1, plain(50), Expect::Version(1)),
            Write::UnpinCertificates {
                device: DeviceId(1),
            },
            pin(2, 9),
            put(7, rich(1), Expect::New),
            Write::DeleteDevice {
                id: DeviceId(3),
                expect: 1,
            },
        ];
        commit(&store, moved).await.unwrap();
        commit(&store, vec![put(8, serial(3, "other"), Expect::New)])
            .await
            .unwrap();
        let ask = KnownAsk {
            macs: vec![mac(1)],
            token: Some(digest(7)),
            report: Some(digest(7)),
            ..KnownAsk::default()
        };
        let known = store.known(&ask).await.unwrap();
        assert_eq!(known.by_mac[0].id, DeviceId(7));
        assert_eq!(
            known.by_token.map(|(device, n)| (device.id, n)),
            Some((DeviceId(2), 1))
        );
        assert_eq!(known.by_report, None, "a unit token opens no report");
        is_clean(&store).await;
    });
}

#[test]
fn of_fifty_one_wins() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        commit(&store, vec![put(1, plain(1), Expect::New)])
            .await
            .unwrap();
        let status = |_| Write::PutStatus {
            id: DeviceId(1),
            status: Box::new(Status::default()),
            expect: 0,
        };
        let config = |_| put(1, plain(1), Expect::Version(1));
        let fresh = |n: u8| put(100 + u128::from(n), plain(200), Expect::New);
        let races: [&dyn Fn(u8) -> Write; 3] = [&status, &config, &fresh];
        for race in races {
            let tasks: Vec<_> = (0..50)
                .map(|n| {
                    let (store, write) = (store.clone(), race(n));
                    tokio::spawn(async move { store.commit(Batch::now(vec![write])).await })
                })
                .collect();
            let mut won = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Ok(_) => won += 1,
                    Err(StoreError::Conflict { .. } | StoreError::Taken { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(won, 1, "{url}");
        }
        assert_eq!(store.count().await.unwrap(), 2);
        is_clean(&store).await;
    });
}

#[test]
fn preconditions_hold_or_nothing_is_written() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        let one = DeviceId(1);
        assert_eq!(
            commit(&store, vec![put(1, plain(1), Expect::New)]).await,
            Ok(vec![1])
        );
        let change = || put(1, plain(1), Expect::Version(1));
        assert_eq!(commit(&store, vec![change()]).await, Ok(vec![2]));
        let conflict = |result| matches!(result, Err(StoreError::Conflict { .. }));
        let missing = |result| matches!(result, Err(StoreError::NotFound { .. }));
        assert!(conflict(commit(&store, vec![change()]).await));
        assert!(conflict(
            commit(&store, vec![put(1, plain(1), Expect::New)]).await
        ));
        assert!(missing(
            commit(&store, vec![put(9, plain(9), Expect::Version(1))]).await
        ));
        let delete = |expect| Write::DeleteDevice { id: one, expect };
        assert!(conflict(commit(&store, vec![delete(1)]).await));
        assert!(missing(
            commit(&store, vec![Write::AddCheck(check(DeviceId(9), 1, 1))]).await
        ));
        let secret = Write::PutSecret {
            owner: Owner::Device(DeviceId(9)),
            field: "x".to_owned(),
            sealed: Some(dialtone::model::secret::Sealed {
                key_id: 1,
                bytes: vec![1],
            }),
        };
        assert!(missing(commit(&store, vec![secret]).await));
        assert!(missing(
            commit(&store, vec![Write::Publish(published())]).await
        ));
        let scope = |version| {
            Write::PutScope(Scope {
                layer: Layer::Global,
                name: String::new(),
                variables: Variables::default(),
                changed_at: None,
                version,
            })
        };
        assert_eq!(
            commit(&store, vec![scope(0), scope(1)]).await,
            Ok(vec![1, 2])
        );
        assert!(conflict(commit(&store, vec![scope(1)]).await));
        let site = |version| {
            Write::PutSite(dialtone::model::site::Site {
                version,
                ..site("hq")
            })
        };
        assert_eq!(commit(&store, vec![site(0)]).await, Ok(vec![1]));
        assert!(conflict(commit(&store, vec![site(0)]).await));
        assert!(missing(
            commit(&store, vec![Write::RemoveSite("nowhere".to_owned())]).await
        ));
        // A write sees what those before it in the batch did.
        let chain = vec![
            delete(2),
            put(1, plain(1), Expect::New),
            Write::AddCheck(check(one, 1, 1)),
        ];
        assert_eq!(commit(&store, chain).await, Ok(vec![0, 1, 0]));
        is_clean(&store).await;
    });
}

fn newest(limit: usize) -> CheckFilter {
    CheckFilter {
        limit,
        ..CheckFilter::default()
    }
}

async fn numbers(store: &Store, filter: CheckFilter) -> Vec<u64> {
    let checks = store.checks(&filter).await.unwrap();
    checks.iter().map(|check| check.seq).collect()
}

#[test]
fn checks_are_numbered_and_bounded() {
    each(async |dir, url| {
        let (one, two) = (DeviceId(1), DeviceId(2));
        let store = open(dir.path(), url);
        commit(
            &store,
            vec![put(1, plain(1), Expect::New), put(2, plain(2), Expect::New)],
        )
        .await
        .unwrap();
        commit(&store, vec![Write::AddCheck(check(two, 500, 0))])
            .await
            .unwrap();
        for boot in 0..25 {
            let second = i64::try_from(boot).unwrap();
            let two_of = vec![
                Write::AddCheck(check(one, boot, second)),
                Write::AddCheck(check(one, boot, second)),
            ];
            commit(&store, two_of).await.unwrap();
        }
        let of = |device| CheckFilter {
            device: Some(device),
            ..newest(99)
        };
        let kept = store.checks(&of(one)).await.unwrap();
        let boots: Vec<_> = kept.iter().map(|check| check.boot.0).collect();
        assert_eq!(
            (boots[0], boots[39], boots.len()),
            (5, 24, 40),
            "the last 20 boots"
        );
        assert_eq!(numbers(&store, of(two)).await, [1], "nobody else's went");
        assert_eq!(numbers(&store, newest(3)).await, [49, 50, 51]);
        let since = CheckFilter {
            since_seq: Some(48),
            ..newest(2)
        };
        assert_eq!(numbers(&store, since).await, [49, 50]);
        let late = CheckFilter {
            since: Some(at(23)),
            ..newest(99)
        };
        assert_eq!(numbers(&store, late).await, [48, 49, 50, 51]);
        let late = CheckFilter {
            device: Some(one),
            since: Some(at(24)),
            ..newest(99)
        };
        assert_eq!(numbers(&store, late).await, [50, 51]);
        is_clean(&store).await;
        // A boot without an end is bounded, too.
        for _ in 0..11 {
            let many = (0..100)
                .map(|_| Write::AddCheck(check(two, 501, 9)))
                .collect();
            commit(&store, many).await.unwrap();
        }
        let of_two = CheckFilter {
            device: Some(two),
            ..newest(9999)
        };
        assert_eq!(numbers(&store, of_two).await.len(), 1000);
        // No number is given twice, whatever is deleted.
        let gone = |id| Write::DeleteDevice { id, expect: 1 };
        commit(&store, vec![gone(one), gone(two)]).await.unwrap();
        assert!(numbers(&store, newest(9)).await.is_empty());
        store.close().await.unwrap();
        drop(store);
        let store = open(dir.path(), url);
        let writes = vec![
            put(1, plain(1), Expect::New),
            Write::AddCheck(check(one, 1, 1)),
        ];
        let committed = store.commit(Batch::now(writes)).await.unwrap();
        assert_eq!(committed.first_check_seq, Some(1152));
        is_clean(&store).await;
    });
}

#[test]
fn alerts_add_up_jobs_are_capped_leases_move() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        let again = Alert {
            last: at(90),
            places: vec!["elsewhere".to_owned()],
            count: 2,
            ..alert(DeviceId(1))
        };
        let other = Alert {
            kind: AlertKind::MassLoss,
            ..alert(DeviceId(1))
        };
        let writes = vec![
            Write::PutAlert(alert(DeviceId(1))),
            Write::PutAlert(again),
            Write::PutAlert(other),
        ];
        commit(&store, writes).await.unwrap();
        let alerts = store.alerts().await.unwrap();
        let both = alerts
            .iter()
            .find(|row| row.kind == AlertKind::TokenMismatch)
            .unwrap();
        assert_eq!(
            (alerts.len(), both.count, both.first, both.last),
            (2, 3, at(5), at(90))
        );
        assert_eq!(both.places, ["elsewhere", "hq port 3"]);
        let remove = Write::RemoveAlert {
            kind: AlertKind::TokenMismatch,
            device: DeviceId(1),
        };
        commit(&store, vec![remove]).await.unwrap();
        assert_eq!(store.alerts().await.unwrap().len(), 1);

        for n in 0..i64::try_from(Job::KEPT).unwrap() + 3 {
            commit(&store, vec![Write::PutJob(job(&format!("j{n}"), n))])
                .await
                .unwrap();
        }
        let jobs = store.jobs().await.unwrap();
        assert_eq!((jobs.len(), jobs[0].id.as_str()), (Job::KEPT, "j3"));
        assert_eq!(store.job("j2").await.unwrap(), None);
        let progress = Job {
            done: 999,
            body: None,
            ..job("j3", 3)
        };
        commit(&store, vec![Write::PutJob(progress)]).await.unwrap();
        let kept = store.job("j3").await.unwrap().unwrap();
        assert_eq!(
            (kept.done, kept.body.map(|body| body.len())),
            (999, Some(10_000))
        );

        commit(&store, vec![Write::PutLease(lease("192.0.2.7", 1))])
            .await
            .unwrap();
        commit(&store, vec![Write::PutLease(lease("192.0.2.7", 2))])
            .await
            .unwrap();
        let at = "192.0.2.7".parse().unwrap();
        let ask = KnownAsk {
            macs: vec![mac(2)],
            source: Some(at),
            ..KnownAsk::default()
        };
        let holder = async || store.known(&ask).await.unwrap().lease;
        assert_eq!(holder().await, Some(lease("192.0.2.7", 2)));
        // Whoever ends a lease ends one of its own kind.
        let remove = |source| vec![Write::RemoveLease(at, source)];
        commit(&store, remove(LeaseSource::Own)).await.unwrap();
        assert_eq!(holder().await, Some(lease("192.0.2.7", 2)));
        commit(&store, remove(LeaseSource::Observed)).await.unwrap();
        assert_eq!(store.known(&ask).await.unwrap(), KnownRows::default());
        is_clean(&store).await;
    });
}

#[test]
fn devices_are_paged_filtered_and_found() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        for n in 1..=200_u8 {
            let mut config = plain(n);
            config.site = Some(if n % 2 == 0 { "even" } else { "odd" }.to_owned());
            commit(&store, vec![put(u128::from(n), config, Expect::New)])
                .await
                .unwrap();
        }
        for n in 201..=600_u128 {
            let mut config = plain(1);
            config.mac = None;
            config.groups = vec!["g".to_owned()];
            commit(&store, vec![put(n, config, Expect::New)])
                .await
                .unwrap();
        }
        assert_eq!(store.count().await.unwrap(), 600);
        let even = Filter {
            site: Some("even".to_owned()),
            ..Filter::default()
        };
        let mut seen = Vec::new();
        loop {
            let after = seen.last().copied();
            let page = store.devices(&even, after, 7).await.unwrap();
            seen.extend(page.iter().map(|device| device.id));
            if page.len() < 7 {
                break;
            }
        }
        assert_eq!(seen.len(), 100);
        assert!(seen.iter().all(|id| id.0 % 2 == 0));
        let count = async |filter| store.devices(&filter, None, 999).await.unwrap().len();
        let group = |group: &str| Filter {
            group: Some(group.to_owned()),
            ..Filter::default()
        };
        assert_eq!((count(group("g")).await, count(group("h")).await), (400, 0));
        let state = |state| Filter {
            state: Some(state),
            ..Filter::default()
        };
        assert_eq!(count(state(State::Active)).await, 0);
        assert_eq!(count(state(State::Expected)).await, 600);

        let found = async |text: &str| store.find(text).await.map(|found| found.map(|d| d.id.0));
        assert_eq!(found("02-00-00-00-00-07").await, Ok(Some(7)));
        assert_eq!(found(&DeviceId(300).to_string()).await, Ok(Some(300)));
        assert_eq!(found("nobody").await, Ok(None));
        let mut config = plain(250);
        config.serial = Serial::parse("020000000007");
        commit(&store, vec![put(700, config, Expect::New)])
            .await
            .unwrap();
        assert!(
            found("020000000007").await.is_err(),
            "MAC of one, serial of another"
        );
        assert_eq!(found("02:00:00:00:00:07").await, Ok(Some(7)));
    });
}

#[test]
fn settings_are_read_once_a_change() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        fill(&store).await;
        let first = store.settings().unwrap();
        assert_eq!(first.sites["hq"].expect, 12);
        assert_eq!(first.scopes[&(Layer::Site, "hq".to_owned())].version, 1);
        let name = ("acme".to_owned(), "desk".to_owned(), "default".to_owned());
        assert_eq!(first.published[&name].digest, digest(3));
        assert_eq!(
            (first.waivers.len(), first.pbxs.len(), first.anchors.len()),
            (1, 1, 1)
        );
        commit(&store, vec![put(9, plain(9), Expect::New)])
            .await
            .unwrap();
        assert!(
            Arc::ptr_eq(&first, &store.settings().unwrap()),
            "devices are no settings"
        );
        commit(&store, vec![Write::PutSite(site("branch"))])
            .await
            .unwrap();
        let second = store.settings().unwrap();
        assert!(second.version > first.version && second.version == store.settings_version());
        assert_eq!(second.sites.len(), 2);
        let refused = commit(&store, vec![Write::PutSite(site("branch"))]).await;
        assert!(refused.is_err());
        assert!(
            Arc::ptr_eq(&second, &store.settings().unwrap()),
            "nothing was changed"
        );
    });
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        fill(&store).await;
        store.close().await.unwrap();
        drop(store);
        let store = Store::open(&Options {
            spare_bytes: u64::MAX,
            ..options(dir.path(), url)
        })
        .unwrap();
        let refused = commit(&store, vec![put(9, plain(9), Expect::New)]).await;
        assert_eq!(refused, Err(StoreError::DiskFull));
        assert!(store.device(DeviceId(1)).await.unwrap().is_some());
        assert_eq!(store.health(), Ok(()), "it goes on when there is space");
    });
}

#[test]
fn more_than_the_queue_holds_waits_and_is_written() {
    each(async |dir, url| {
        let store = open(dir.path(), url);
        commit(&store, vec![put(1, plain(1), Expect::New)])
            .await
            .unwrap();
        let tasks: Vec<_> = (0..3000)
            .map(|n| {
                let store = store.clone();
                let write = Write::PutMeta(format!("m{n}"), vec![1]);
                tokio::spawn(async move { store.commit(Batch::soon(vec![write])).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        // Dropped without `close`: what was taken is written.
        drop(store);
        // The writer ends by itself then, and holds the lock until it has.
        let store = loop {
            match Store::open(&options(dir.path(), url)) {
                Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        for n in 0..3000 {
            assert!(
                store.meta(&format!("m{n}")).await.unwrap().is_some(),
                "m{n}"
            );
        }
    });
}
