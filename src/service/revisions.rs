//! Revisions that are open, by digest: bounded, and filled from the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Inner, Trouble};
use crate::catalog::revision::Revision;
use crate::model::identity::Digest;

/// How many are kept open.
const MOST: usize = 256;

/// The open ones.
#[derive(Default)]
pub(super) struct Revisions(Mutex<Open>);

/// By digest, with the turn in which each was last asked for.
#[derive(Default)]
struct Open {
    turn: u64,
    rows: BTreeMap<[u8; 32], (u64, Arc<Revision>)>,
}

impl Revisions {
    fn get(&self, digest: Digest) -> Option<Arc<Revision>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.turn = kept.turn.wrapping_add(1);
        let turn = kept.turn;
        let (last, revision) = kept.rows.get_mut(&digest.0)?;
        *last = turn;
        Some(Arc::clone(revision))
    }

    fn put(&self, revision: Arc<Revision>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.rows.len() >= MOST {
            let oldest = kept.rows.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                kept.rows.remove(&digest);
            }
        }
        kept.turn = kept.turn.wrapping_add(1);
        let turn = kept.turn;
        kept.rows.insert(revision.digest.0, (turn, revision));
    }
}

impl Inner {
    /// A revision by its digest; `None` where its bytes are gone or damaged, which is logged.
    pub(super) async fn revision(&self, digest: Digest) -> Result<Option<Arc<Revision>>, Trouble> {
        if let Some(revision) = self.revisions.get(digest) {
            return Ok(Some(revision));
        }
        let Some(bytes) = self.hub.store.bundle(digest).await? else {
            tracing::error!(%digest, "a published revision has no bytes in the store");
            return Ok(None);
        };
        match Revision::open(&bytes) {
            Ok(revision) => {
                self.revisions.put(Arc::clone(&revision));
                Ok(Some(revision))
            }
            Err(error) => {
                tracing::error!(%digest, %error, "a published revision cannot be opened");
                Ok(None)
            }
        }
    }
}
