//! `demo`: a whole server in a temporary folder, and units that boot through it over real sockets.
//!
//! Nothing here is a shortcut: the server is `serve`'s, people's wishes go over its socket as the
//! verbs send them, and units know nothing of the server but its address.

mod ca;
mod play;
mod scene;

use std::fs;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::task::JoinSet;

use self::ca::FactoryCa;
use self::play::{at_its_end, play};
use self::scene::{DEMO, Planned};
use super::client::{Api, Call};
use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::out::{self, Out};
use super::server::{self, Options, Running};
use super::{clock, logs, serve};
use crate::config::rows::{Row, Rows, SiteKey};
use crate::config::{Config, Folder, Listen};
use crate::model::site::{Corroborate, Waiver};
use crate::simulate::{Made, Story};

/// `demo [--keep] [--devices N]`.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Leave the folder with the server's data where it is
    #[arg(long)]
    keep: bool,
    /// How many units boot
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=2000))]
    devices: u16,
}

/// How long all units together may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Units that boot at the same time.
const AT_ONCE: usize = 32;

const COLUMNS: &[(&str, &str)] = &[
    ("MAC", "/mac"),
    ("VENDOR", "/vendor"),
    ("MODEL", "/model"),
    ("STATE", "/activation/state"),
    ("PROOF", "/activation/proof"),
    ("LEVEL", "/activation/assurance"),
    ("NEXT STEP", "/activation/next_step"),
];

impl Demo {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        if std::env::var_os("DIALTONE_LOG").is_some() {
            logs::start();
        }
        let folder = Temporary::make(self.keep)?;
        let stay = std::io::stdout().is_terminal();
        serve::runtime()?.block_on(async {
            tokio::select! {
                ended = demo(self.devices, folder.path(), globals.out(), stay) => ended,
                // Whoever has seen enough.
                _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
            }
        })
    }
}

/// The demo's folder; it goes with the demo unless somebody wants to keep it.
struct Temporary {
    path: PathBuf,
    keep: bool,
}

impl Temporary {
    fn make(keep: bool) -> Result<Self, Fail> {
        let number = clock::random_id();
        let number = number.ok_or_else(|| Fail::failed("random", "the kernel gives none"))?;
        let path = std::env::temp_dir().join(format!("dialtone-demo-{number:032x}"));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Fail::failed("demo", format!("{}: {error}", path.display())))?;
        Ok(Self { path, keep })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let shown = self.path.display();
        if self.keep {
            out::note(&format!("kept: dialtone serve --data {shown}/data"));
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            out::note(&format!("{shown} was not removed: {error}"));
        }
    }
}

async fn demo(count: u16, folder: &Path, out: Out, stay: bool) -> Result<Exit, Fail> {
    let units = scene::plan(count)?;
    let mut running = server::start(Options::new(config(folder, &units)))
        .await
        .map_err(|error| serve::failed(&error))?;
    let shown = show(&running, &units, folder, out).await;
    if stay && shown.is_ok() {
        out::note(&format!(
            "the server stays up until Ctrl-C; try: dialtone status --data {}/data",
            folder.display()
        ));
        // An error of the wait is an end as well.
        drop(tokio::signal::ctrl_c().await);
    }
    running.stop();
    running
        .ended()
        .await
        .map_err(|error| serve::failed(&error))?;
    shown
}

/// Boots everything and says how it went.
async fn show(running: &Running, units: &[Planned], folder: &Path, out: Out) -> Result<Exit, Fail> {
    let api = Api::at(&running.addresses.admin_socket);
    let stories = boot(running, units, folder, &api).await?;
    let mut devices = Vec::new();
    for unit in units {
        let name = unit.mac.to_string();
        devices.push(api.get(&Call::to(&["devices", &name])).await?);
    }
    let missing: Vec<usize> = (0..devices.len())
        .filter(|at| !devices.get(*at).is_some_and(at_its_end))
        .collect();
    for at in &missing {
        if let (Some(unit), Some(Some(stories))) = (units.get(*at), stories.get(*at)) {
            tell(unit, stories);
        }
    }
    if out.json {
        out.document(&json!({ "devices": devices }))?;
    } else {
        out.line(&out::table(&devices, COLUMNS))?;
    }
    let all = units.len();
    out::note(&format!(
        "{} of {all} units are where they can get",
        all - missing.len()
    ));
    for address in running.addresses.admin.iter().take(1) {
        out::note(&format!("status page: http://{address}/"));
    }
    Ok(if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Enters the units, and switches all of them on. Gives what each did.
async fn boot(
    running: &Running,
    units: &[Planned],
    folder: &Path,
    api: &Api,
) -> Result<Vec<Option<Vec<Story>>>, Fail> {
    let catalog = running.hub.catalog.load_full();
    let vendor_of = |unit: &Planned| catalog.vendors.get(&unit.kind.vendor).cloned();
    let mut factories: Vec<FactoryCa> = Vec::new();
    for unit in units.iter().filter(|unit| unit.kind.certificate) {
        let known = factories.iter().any(|ca| ca.vendor == unit.kind.vendor);
        if let (false, Some(vendor)) = (known, vendor_of(unit)) {
            let ca = FactoryCa::make(&vendor, folder)?;
            super::ca::trust(api, &ca.vendor, &ca.pem, &ca.fingerprint).await?;
            let file = ca.file.display();
            out::note(&format!(
                "trusted for {}, until the demo ends: {file}",
                ca.vendor
            ));
            factories.push(ca);
        }
    }
    for unit in units {
        let row = unit.row()?;
        api.send(http::Method::POST, &Call::to(&["devices"]), Some(&row))
            .await?;
    }
    let bases = running.hub.bases.load_full();
    let pointer = bases.http.clone().unwrap_or_default();
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut at_work = JoinSet::new();
    for (at, unit) in units.iter().enumerate() {
        let ca = factories.iter().find(|ca| ca.vendor == unit.kind.vendor);
        let certificate = match (ca, vendor_of(unit)) {
            (Some(ca), Some(vendor)) => ca.issue(&vendor, unit)?,
            (Some(_) | None, Some(_) | None) => None,
        };
        let pointer = format!("{pointer}{}", unit.kind.pointer);
        let (unit, api) = (unit.clone(), api.clone());
        let places = Arc::clone(&places);
        at_work.spawn(async move {
            let _place = places.acquire_owned().await;
            (at, play(unit, pointer, certificate, api).await)
        });
    }
    let bar = progress(units.len());
    let mut stories = vec![None; units.len()];
    let all = async {
        while let Some(ended) = at_work.join_next().await {
            let (at, played) = ended.map_err(|error| Fail::failed("demo", error))?;
            if let Some(place) = stories.get_mut(at) {
                *place = Some(played?);
            }
            bar.inc(1);
        }
        Ok::<(), Fail>(())
    };
    // Whoever is not done by then is not where it can get.
    if let Ok(ended) = tokio::time::timeout(PATIENCE, all).await {
        ended?;
    }
    at_work.shutdown().await;
    bar.finish_and_clear();
    Ok(stories)
}

/// On a terminal only.
fn progress(count: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} units");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What a unit did that is not where it could get; tokens stay out.
fn tell(unit: &Planned, stories: &[Story]) {
    out::note(&format!("{} {}:", unit.mac, unit.kind.model));
    for step in stories.iter().flat_map(|story| &story.steps) {
        let path = step.url.split('/').next_back().unwrap_or_default();
        let made = match &step.made {
            Made::Taken => "taken".to_owned(),
            Made::NotGiven => "not given".to_owned(),
            Made::Unreadable(why) => format!("unreadable: {why}"),
            Made::Failed(failure) => format!("failed: {failure:?}"),
        };
        let status = step
            .status
            .map(|status| status.to_string())
            .unwrap_or_default();
        let line = format!("  {} …/{path} {status} {made}", step.purpose.as_str());
        out::note(&out::printable(&line));
    }
    for note in stories.iter().flat_map(|story| &story.notes) {
        out::note(&format!("  {}", out::printable(note)));
    }
}

/// A server of its own: free ports of loopback, one site that is the whole of it.
fn config(folder: &Path, units: &[Planned]) -> Config {
    let free = || vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let mut models: Vec<String> = units
        .iter()
        .filter(|unit| unit.kind.waiver)
        .map(|unit| unit.kind.model.clone())
        .collect();
    models.sort();
    models.dedup();
    let site = [
        SiteKey::Prefixes("127.0.0.0/8".parse().into_iter().collect()),
        SiteKey::Expect(u32::try_from(units.len()).unwrap_or(u32::MAX)),
        SiteKey::Corroborate(Corroborate::Prefix),
    ];
    let waiver = Waiver {
        site: DEMO.to_owned(),
        models: models.clone(),
        until: clock::now()
            .checked_add(SignedDuration::from_hours(24))
            .unwrap_or(Timestamp::MAX),
        why: "speaks TLS 1.0 only".to_owned(),
    };
    Config {
        data: folder.join("data"),
        profiles: vec![Folder::Builtin],
        firmware_policies: vec![Folder::Builtin],
        certs: Folder::Builtin,
        listen: Listen {
            https: free(),
            http: free(),
            sip_pnp: Vec::new(),
            tftp: Vec::new(),
            admin: free(),
        },
        rows: Rows {
            file: "the demo's own configuration".to_owned(),
            sites: vec![Row {
                name: DEMO.to_owned(),
                line: 1,
                keys: site.into_iter().map(|key| (1, key)).collect(),
            }],
            pbxs: Vec::new(),
            waivers: if models.is_empty() {
                Vec::new()
            } else {
                vec![(1, waiver)]
            },
        },
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_an_end_is_an_end() {
        let device =
            |state: &str, proof: Value| json!({"activation": {"state": state, "proof": proof}});
        assert!(at_its_end(&device("active", json!("report"))));
        assert!(at_its_end(&device("served", json!("none-possible"))));
        assert!(!at_its_end(&device("served", Value::Null)));
        assert!(!at_its_end(&device("seen", Value::Null)));
        assert!(!at_its_end(&Value::Null));
    }
}
