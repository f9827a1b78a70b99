//! The people's listeners: the API over the unix socket, and the read-only pages over TCP
//! (docs/api.md).
//!
//! `call` reads a request, `fields` its JSON, `failure` says what is wrong, `wire_*` are the shapes
//! of answers; the other files hold the routes of one subject each. What is decided is `admin`'s.

mod activity;
mod answer;
mod ca;
mod call;
mod devices;
mod dhcp;
mod events;
mod failure;
mod fields;
mod health;
mod imports;
mod listen;
mod openapi;
mod overview;
mod page;
mod places;
mod probes;
mod profiles;
mod replay;
mod routes;
mod stream;
mod wire;
mod wire_device;
mod wire_health;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::listen::{bind_unix, serve_tcp, serve_unix};
use crate::admin::Admin;
use crate::catalog;
use crate::pki::{Anchor, Shown};

/// From a request's description to what the server would make of it.
pub type Explain = Arc<dyn Fn(Value) -> Explained + Send + Sync>;
/// What an [`Explain`] comes to.
pub type Explained = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// What the server gives the API besides the hub.
#[derive(Clone)]
pub struct Setup {
    /// The data folder, for backups.
    pub data: PathBuf,
    /// Our own CA's certificate.
    pub authority: Shown,
    /// The vendors' anchors as they are loaded at this moment.
    pub anchors: Arc<dyn Fn() -> Vec<Anchor> + Send + Sync>,
    /// Called after a person gave an anchor: takes it up.
    pub anchors_changed: Arc<dyn Fn() + Send + Sync>,
    /// What the server would make of a request, or what is wrong with its description (contract
    /// section 5).
    pub explain: Explain,
    /// What is wrong in the profile folders as they stand on disk.
    pub lint: Arc<dyn Fn() -> Vec<catalog::Problem> + Send + Sync>,
}

/// What every handler works with. Clones are handles of the same one.
#[derive(Clone)]
pub struct State {
    admin: Admin,
    setup: Arc<Setup>,
    began: Timestamp,
    /// What the pages show, kept for a moment: anybody may ask for it.
    kept: Arc<overview::Kept>,
    /// Answers to requests with a key.
    replays: Arc<replay::Replays>,
    /// Places for streams of events.
    streams: Arc<Semaphore>,
    /// Ends streams that would go on for ever.
    stop: CancellationToken,
}

impl State {
    /// `stop` ends the streams; give the same to the listeners.
    pub fn new(admin: Admin, setup: Setup, stop: CancellationToken) -> Self {
        let began = admin.hub().now();
        Self {
            admin,
            setup: Arc::new(setup),
            began,
            kept: Arc::default(),
            replays: Arc::default(),
            streams: Arc::new(Semaphore::new(events::MOST)),
            stop,
        }
    }
}
