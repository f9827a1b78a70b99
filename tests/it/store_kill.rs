//! hostile-cases F1 for the store: `kill -9` between any two commits.

use dialtone::model::identity::DeviceId;
use dialtone::store::Filter;

use crate::power_cut::{Ack, Running};
use crate::store::is_clean;
use crate::store_sample::{ENGINES, open, runtime};

#[test]
fn f1_kill_9_loses_nothing_that_was_acknowledged() {
    let full = std::env::var("DIALTONE_FULL").is_ok_and(|value| value == "1");
    for url in ENGINES {
        // One store for all: each kill finds what the ones before it left.
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = std::collections::BTreeMap::new();
        for seed in 0..if full { 200 } else { 12 } {
            let mut child = Running::child(dir.path(), url, seed);
            let mut left = 1 + usize::from(seed) * 37 % 150;
            while left > 0 {
                let line = child.line().expect("the child writes until it is killed");
                if let Some(ack) = Ack::read(&line) {
                    acknowledged.insert(ack.id, ack.version);
                    left -= 1;
                }
            }
            child.kill();
            while let Some(line) = child.line() {
                if let Some(ack) = Ack::read(&line) {
                    acknowledged.insert(ack.id, ack.version);
                }
            }
            drop(child);
            let store = open(dir.path(), url);
            runtime().block_on(async {
                for (id, version) in &acknowledged {
                    let device = store.device(DeviceId(*id)).await.unwrap();
                    let there = device.map_or(0, |device| device.status.version);
                    assert!(
                        there >= *version,
                        "{url} {seed}: {id:x} {there} < {version}"
                    );
                }
                // Each was written with its status and its check in one batch.
                let all = store
                    .devices(&Filter::default(), None, usize::MAX)
                    .await
                    .unwrap();
                assert!(
                    all.iter().all(|device| device.status.version > 0),
                    "{url} {seed}: half"
                );
                is_clean(&store).await;
            });
        }
    }
}
