//! The people door: (actor, command) → change and audit entry. One file per subject.
//!
//! Only here is changed what is wanted; what was seen is the device door's. A dry run and a commit
//! go through the same plan. Knows no transport: the wire shapes are `web`'s.
//!
//! **Invariant:** every commit of a person's wish holds the audit entry of it. No secret is in an
//! entry, an error or a view.

pub mod activity;
mod alert;
pub mod bulk;
pub mod ca;
pub mod device;
mod device_act;
mod device_fields;
mod device_lines;
pub mod dhcp;
pub mod diff;
pub mod error;
pub mod health;
pub mod import;
mod lens;
mod next_step;
pub mod pbx;
pub mod preview;
pub mod profile;
pub mod render;
mod revisions;
pub mod settings;
pub mod site;
pub mod trace;
mod variables;
pub mod vars;
pub mod waiver;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use self::error::nearest;
pub use self::error::{Code, FieldError, Problem};
pub use self::lens::{DeviceView, Lens};
use crate::config::values;
use crate::hub::Hub;
use crate::model::identity::DeviceId;
use crate::store::{AuditEntry, Write};

/// Tries of a change whose rows somebody else changes at the same time.
const TRIES: usize = 16;

/// The people door. Clones are handles of the same one.
#[derive(Clone)]
pub struct Admin {
    hub: Arc<Hub>,
    kept: Arc<revisions::Kept>,
}

impl Admin {
    /// A door onto this server.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            kept: Arc::default(),
        }
    }

    /// What it works on.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The audit entry of a change.
    pub(crate) fn audit(
        &self,
        actor: &Actor,
        action: &str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Write {
        entry(self.hub.now(), actor, action, subject.into(), detail.into())
    }

    /// A new device's id.
    pub(crate) fn fresh_id(&self) -> Result<DeviceId, Problem> {
        let random = (self.hub.random)();
        random
            .map(DeviceId)
            .ok_or_else(|| Problem::new(Code::Internal, "the system gives no random numbers"))
    }
}

/// An audit entry as a write.
pub(crate) fn entry(
    at: Timestamp,
    actor: &Actor,
    action: &str,
    subject: String,
    detail: String,
) -> Write {
    Write::Audit(AuditEntry {
        seq: 0,
        at,
        actor: actor.to_string(),
        action: action.to_owned(),
        subject,
        outcome: "done".to_owned(),
        detail,
    })
}

/// Who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The user of the process at the other end of the socket.
    Uid(u32),
    /// The configuration file, at start and reload.
    Config,
    /// The server itself.
    Server,
}

impl Actor {
    /// Reads what is written of one.
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_prefix("uid:").map(str::parse) {
            Some(Ok(uid)) => Self::Uid(uid),
            Some(Err(_)) | None => Self::Server,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Config => f.write_str("configuration"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// How a change is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Check everything, store nothing.
    pub dry_run: bool,
    /// `If-Match`: the version that must still hold.
    pub version: Option<u64>,
}

impl Ask {
    /// Whether the row is still the one that the caller read.
    pub(crate) fn fits(&self, version: u64) -> Result<(), Problem> {
        match self.version {
            Some(wanted) if wanted != version => Err(Problem::new(
                Code::VersionMismatch,
                format!("it has version {version} now, not {wanted}"),
            )
            .hint("read it again and decide again")),
            Some(_) | None => Ok(()),
        }
    }
}

/// A record after a change, and whether anything changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed<T> {
    pub record: T,
    pub changed: bool,
}

/// One page of a list: the items, and where the next page begins.
#[derive(Clone, Debug, Default)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Reads a moment or a date (docs/api.md section 1).
pub(crate) fn time(field: &str, text: &str) -> Result<Timestamp, FieldError> {
    values::until(text).map_err(|why| FieldError::new(field, Code::TimeInvalid, why))
}

/// Reads a duration and adds it to `from`.
pub(crate) fn behind(field: &str, text: &str, from: Timestamp) -> Result<Timestamp, FieldError> {
    let wrong = |why: String| FieldError::new(field, Code::DurationInvalid, why);
    let duration = values::duration(text).map_err(wrong)?;
    let end = jiff::SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| from.checked_add(duration).ok());
    end.ok_or_else(|| wrong(format!("{text:?} is longer than time goes on here")))
}
