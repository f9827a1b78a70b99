//! A whole server inside the test: free ports of loopback, a folder of its own, a clock of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dialtone::answer::Door;
use dialtone::cli::server::{self, Options, Running, ServerError};
use dialtone::hub::{Clock, Hub};
use jiff::{Span, Timestamp};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::device_plane::PATIENCE;

/// Free ports of loopback.
const LISTEN: &str = "https = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\ntftp = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\nsip_pnp = [\"127.0.0.1:0\"]\n";

/// Where every test's clock begins: a Monday morning.
pub(crate) const NOW: &str = "2026-11-23T09:00:00Z";

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<Mutex<Timestamp>>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(NOW.parse().unwrap())))
    }

    /// Moves it on.
    pub(crate) fn pass(&self, span: Span) {
        let mut now = self.0.lock().unwrap();
        let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
        *now = zoned.checked_add(span).unwrap().timestamp();
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    pub(crate) fn hub(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// A server that is up, with its folder.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) clock: TestClock,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts one with `more` of a configuration (TOML) over free ports and its own data folder.
    pub(crate) async fn start_with<D: Door>(more: &str, door: impl FnOnce(&Arc<Hub>) -> D) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let started = Self::start_in(folder, TestClock::new(), more, door).await;
        started.unwrap()
    }

    /// As [`Server::start_with`], in a folder that may hold a data folder already. `more` begins
    /// with top-level keys and must not have `data` or `[listen]`.
    pub(crate) async fn start_in<D: Door>(
        folder: TempDir,
        clock: TestClock,
        more: &str,
        door: impl FnOnce(&Arc<Hub>) -> D,
    ) -> Result<Self, ServerError> {
        Self::start_at(folder, clock, (more, LISTEN), door).await
    }

    /// As [`Server::start_in`], with the lines of `[listen]`.
    pub(crate) async fn start_at<D: Door>(
        folder: TempDir,
        clock: TestClock,
        (more, listen): (&str, &str),
        door: impl FnOnce(&Arc<Hub>) -> D,
    ) -> Result<Self, ServerError> {
        write_config(&folder, more, listen);
        let file = folder.path().join("dialtone.toml");
        let mut options = Options::from_file(&file, None).expect("a configuration");
        options.clock = clock.hub();
        let running = server::start_with(options, door).await?;
        Ok(Self {
            running,
            clock,
            folder,
        })
    }

    /// A path in the server's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes another configuration; a reload reads it.
    pub(crate) fn configure(&self, more: &str) {
        write_config(&self.folder, more, LISTEN);
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.running.hub
    }

    /// The first HTTPS listener, as a base URL.
    pub(crate) fn https(&self) -> String {
        format!("https://{}/", self.running.addresses.https[0])
    }

    /// The first HTTP listener, as a base URL.
    pub(crate) fn http(&self) -> String {
        format!("http://{}/", self.running.addresses.http[0])
    }

    /// The first TFTP listener, as a base URL.
    pub(crate) fn tftp(&self) -> String {
        format!("tftp://{}/", self.running.addresses.tftp[0])
    }

    /// Stops it as SIGTERM does, and gives its folder back.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.running.stop();
        let ended = timeout(PATIENCE, self.running.ended()).await;
        ended.expect("it ends").expect("and well");
        self.folder
    }
}

fn write_config(folder: &TempDir, more: &str, listen: &str) {
    let data = folder.path().join("data").display().to_string();
    let text = format!("data = {data:?}\n{more}\n[listen]\n{listen}");
    std::fs::write(folder.path().join("dialtone.toml"), text).unwrap();
}
