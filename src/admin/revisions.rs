//! Revisions that are open, kept for a while: opening one compiles its templates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Admin, Code, Problem};
use crate::catalog::Revision;
use crate::catalog::manifest::ArtefactScope;
use crate::model::identity::Digest;

/// How many are kept open.
const MOST: usize = 32;

/// Open revisions, the last used at the end.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Vec<Arc<Open>>>);

/// A revision, and what the files of its units read.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) revision: Arc<Revision>,
    /// Names that any of the unit's own files reads.
    pub(crate) reads: BTreeSet<String>,
}

impl Kept {
    fn get(&self, digest: Digest) -> Option<Arc<Open>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|open| open.revision.digest == digest)?;
        let open = all.remove(at);
        all.push(Arc::clone(&open));
        Some(open)
    }

    fn keep(&self, open: &Arc<Open>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(Arc::clone(open));
    }
}

impl Admin {
    /// A revision by its digest, opened from its stored bytes; `None` where there is none.
    pub(crate) async fn revision(&self, digest: Digest) -> Result<Option<Arc<Open>>, Problem> {
        if let Some(open) = self.kept.get(digest) {
            return Ok(Some(open));
        }
        match self.hub().store.bundle(digest).await? {
            Some(bytes) => self.open(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Opens a revision from its bytes.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Arc<Open>, Problem> {
        let revision = Revision::open(bytes).map_err(|error| {
            tracing::error!(%error, "a stored revision");
            Problem::new(Code::Internal, format!("a stored revision: {error}"))
        })?;
        let units = revision.family.artefacts.iter();
        let units = units.filter(|artefact| artefact.scope == ArtefactScope::Unit);
        let reads = units
            .filter_map(|artefact| revision.reads(&artefact.id))
            .flatten()
            .cloned()
            .collect();
        let open = Arc::new(Open { revision, reads });
        self.kept.keep(&open);
        Ok(open)
    }

    /// What the files of each published kind of unit read.
    pub(crate) async fn reads_of(
        &self,
        published: impl Iterator<Item = ((String, String, String), Digest)>,
    ) -> Result<BTreeMap<(String, String, String), Arc<Open>>, Problem> {
        let mut reads = BTreeMap::new();
        for (kind, digest) in published {
            if let Some(open) = self.revision(digest).await? {
                reads.insert(kind, open);
            }
        }
        Ok(reads)
    }
}
