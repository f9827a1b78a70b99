//! One battery that every engine of the store is run through.

use std::path::Path;
use std::process::{Command, Stdio};

use dialtone::store::{Batch, Durability, Kind, MOST, Store, StoreError};

pub(crate) const KINDS: [Kind; 1] = [Kind::Sled];

pub(crate) fn open(dir: &Path, kind: Kind) -> Store {
    Store::open(dir, kind, 8 << 20).expect("the store opens")
}

pub(crate) fn put(key: &str, value: &str) -> Batch {
    Batch {
        expect: Vec::new(),
        put: vec![(key.into(), Some(value.into()))],
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_batch_is_whole_and_stays_over_a_restart() {
    for kind in KINDS {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path(), kind);
        runtime().block_on(async {
            let mut batch = put("a/1", "one");
            batch.put.push((b"a/2".to_vec(), Some(b"two".to_vec())));
            batch.put.push((b"b/1".to_vec(), Some(b"other".to_vec())));
            store
                .commit(batch, Durability::Now)
                .await
                .expect("committed");
            let gone = Batch {
                expect: Vec::new(),
                put: vec![(b"a/1".to_vec(), None)],
            };
            store.commit(gone, Durability::Soon).await.expect("taken");
            // Soon is visible at once.
            assert_eq!(store.get(b"a/1").expect("read"), None, "{kind:?}");
        });
        drop(store);
        let store = open(dir.path(), kind);
        let rows = store.scan(b"a/", None, 10).expect("read");
        assert_eq!(rows.len(), 1, "{kind:?}");
        assert_eq!(
            (rows[0].key.as_slice(), rows[0].value.as_slice()),
            (&b"a/2"[..], &b"two"[..])
        );
        assert_eq!(store.scan(b"a/", Some(b"a/2"), 10).expect("read"), []);
        assert_eq!(store.scan(b"", None, 1).expect("read").len(), 1);
    }
}

#[test]
fn of_fifty_that_swap_the_same_value_one_wins() {
    for kind in KINDS {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path(), kind);
        let won = runtime().block_on(async {
            let tasks: Vec<_> = (0..50)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let mut batch = put("window", &n.to_string());
                        batch
                            .put
                            .push((format!("serving/{n}").into(), Some(Vec::new())));
                        batch.expect.push((b"window".to_vec(), None));
                        match store.commit(batch, Durability::Now).await {
                            Ok(()) => 1,
                            Err(StoreError::Conflict) => 0,
                            Err(other) => panic!("{other}"),
                        }
                    })
                })
                .collect();
            let mut won = 0;
            for task in tasks {
                won += task.await.expect("it ends");
            }
            won
        });
        assert_eq!(won, 1, "{kind:?}");
        assert_eq!(
            store.scan(b"serving/", None, 99).expect("read").len(),
            1,
            "the losers left nothing"
        );
    }
}

#[test]
fn f6_a_store_that_cannot_be_had_says_why() {
    for kind in KINDS {
        let dir = tempfile::tempdir().expect("a folder");
        let held = open(dir.path(), kind);
        let error = Store::open(dir.path(), kind, 8 << 20).expect_err("it is held");
        assert!(matches!(error, StoreError::Locked(_)), "{kind:?}: {error}");
        drop(held);
        let file = dir.path().join("file");
        std::fs::write(&file, "no folder").expect("written");
        let error = Store::open(&file, kind, 8 << 20).expect_err("no folder");
        assert!(error.to_string().contains("restore a backup"), "{error}");
        let store = open(dir.path(), kind);
        let large = Batch {
            expect: Vec::new(),
            put: vec![(b"x".to_vec(), Some(vec![0; MOST + 1]))],
        };
        let error = runtime()
            .block_on(store.commit(large, Durability::Now))
            .expect_err("too large");
        assert!(matches!(error, StoreError::TooLarge(_)));
    }
}

/// Runs a writer in a process of its own; it prints each key after its commit was acknowledged.
pub(crate) fn writer(dir: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "store::child_writer", "--nocapture"])
        .env("DIALTONE_TEST_WRITER", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the writer starts")
}

/// The child of [`writer`]; alone it does nothing.
#[test]
fn child_writer() {
    use std::io::Write as _;
    let Some(dir) = std::env::var_os("DIALTONE_TEST_WRITER") else {
        return;
    };
    let store = open(Path::new(&dir), Kind::Sled);
    runtime().block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0.. {
                        let key = format!("{task}/{n}");
                        let mut batch = put(&key, &key);
                        batch
                            .put
                            .push((format!("twin/{key}").into(), Some(vec![b'x'; 200])));
                        if store.commit(batch, Durability::Now).await.is_err() {
                            return;
                        }
                        if writeln!(std::io::stdout().lock(), "ack {key}").is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

/// Every acknowledged key is there with its twin, and no key is there without.
pub(crate) fn lost(store: &Store, acknowledged: &[String]) -> Vec<String> {
    let mut lost = Vec::new();
    for key in acknowledged {
        if store.get(key.as_bytes()).expect("read").as_deref() != Some(key.as_bytes()) {
            lost.push(key.clone());
        }
    }
    for task in 0..8 {
        for row in store
            .scan(format!("{task}/").as_bytes(), None, usize::MAX)
            .expect("read")
        {
            let key = String::from_utf8(row.key).expect("a key");
            if store
                .get(format!("twin/{key}").as_bytes())
                .expect("read")
                .is_none()
            {
                lost.push(format!("half of {key}"));
            }
        }
    }
    lost
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    use std::io::{BufRead as _, BufReader};
    for kind in KINDS {
        for seed in 0..5_usize {
            let dir = tempfile::tempdir().expect("a folder");
            let mut child = writer(dir.path());
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            let mut acknowledged = Vec::new();
            while acknowledged.len() < 20 + seed * 37 {
                let line = lines.next().expect("it goes on").expect("text");
                acknowledged.extend(line.split("ack ").nth(1).map(str::to_owned));
            }
            child.kill().expect("killed");
            acknowledged.extend(
                lines
                    .map_while(Result::ok)
                    .filter_map(|line| line.split("ack ").nth(1).map(str::to_owned)),
            );
            child.wait().expect("it ended");
            // The last line may have been cut: a key that was not acknowledged whole does not count.
            acknowledged.pop();
            assert_eq!(
                lost(&open(dir.path(), kind), &acknowledged),
                Vec::<String>::new(),
                "{kind:?}"
            );
        }
    }
}
