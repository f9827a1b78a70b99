//! Hosts that our HTTPS bases had before. A unit that was pinned to one asks there until it is told
//! otherwise, so they stay in our own certificate while there is a pinned unit (trust.md section 5).

use jiff::Timestamp;

use crate::hub::{FormerHost, Hub};
use crate::model::device::Lifecycle;
use crate::model::identity::Assurance;
use crate::store::{Batch, Filter, Store, StoreError, Write};

/// The name of its row.
const META: &str = "https-hosts";
/// Former hosts that are kept.
const MOST: usize = 32;
/// Devices that are looked at in one go.
const STRETCH: usize = 1000;

/// A host, and since when nobody is told it any more, if so.
type Kept = (String, Option<Timestamp>);

/// Hosts of before, as far as the store knows. One that the configuration still has is among them:
/// nobody compared yet.
pub(super) async fn known(store: &Store) -> Result<Vec<FormerHost>, StoreError> {
    let kept = read(store).await?.into_iter();
    let host = |(host, since): Kept| FormerHost {
        host,
        since: since.unwrap_or_default(),
    };
    Ok(kept.map(host).collect())
}

/// Takes up the hosts that are told now, and gives those of before that somebody may need.
pub(super) async fn follow(hub: &Hub, told: &[String]) -> Result<Vec<FormerHost>, StoreError> {
    let kept = read(&hub.store).await?;
    // Rows hold whole seconds: the next one, so that what was served in this one counts as before.
    let now = Timestamp::from_second(hub.now().as_second().saturating_add(1)).unwrap_or_default();
    let gone = kept.iter().filter(|(host, _)| !told.contains(host));
    let mut former: Vec<FormerHost> = gone
        .map(|(host, since)| FormerHost {
            host: host.clone(),
            since: since.unwrap_or(now),
        })
        .collect();
    if !former.is_empty() && !anybody_is_pinned(&hub.store).await? {
        former.clear();
    }
    former.sort_by_key(|old| std::cmp::Reverse(old.since));
    former.truncate(MOST);
    let mut hosts: Vec<Kept> = told.iter().map(|host| (host.clone(), None)).collect();
    hosts.extend(former.iter().map(|old| (old.host.clone(), Some(old.since))));
    if hosts != kept {
        let write = Write::PutMeta(META.to_owned(), written(&hosts));
        hub.store.commit(Batch::now(vec![write])).await?;
    }
    Ok(former)
}

/// Times in seconds: what is read back is what was kept.
fn written(hosts: &[Kept]) -> Vec<u8> {
    let rows: Vec<(&str, Option<i64>)> = hosts
        .iter()
        .map(|(host, since)| (host.as_str(), since.map(Timestamp::as_second)))
        .collect();
    serde_json::to_vec(&rows).unwrap_or_default()
}

async fn read(store: &Store) -> Result<Vec<Kept>, StoreError> {
    let bytes = store.meta(META).await?.unwrap_or_default();
    let rows: Vec<(String, Option<i64>)> = serde_json::from_slice(&bytes).unwrap_or_default();
    let rows = rows.into_iter();
    let since = |second: i64| Timestamp::from_second(second).unwrap_or_default();
    Ok(rows.map(|(host, at)| (host, at.map(since))).collect())
}

async fn anybody_is_pinned(store: &Store) -> Result<bool, StoreError> {
    let mut after = None;
    loop {
        let some = store.devices(&Filter::default(), after, STRETCH).await?;
        let pinned = some.iter().any(|device| {
            device.config.lifecycle == Lifecycle::Listed
                && device.status_now().ratchet.mark >= Assurance::L2
        });
        after = some.last().map(|device| device.id);
        if pinned || some.len() < STRETCH {
            return Ok(pinned);
        }
    }
}
