//! The demo's units at work: each with an address, a clock and a conduct of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::scene::Planned;
use crate::cli::client::{Api, Call};
use crate::cli::clock;
use crate::cli::exit::Fail;
use crate::simulate::{ClientCertificate, Clock, Identity, Story, Surroundings, Unit};

/// How long a wait of a unit really takes at most.
const BLINK: Duration = Duration::from_millis(50);
/// Runs that a unit makes by itself, one after the other.
const RUNS: usize = 6;
/// The longest that a script waits in one run.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Waits that somebody has the patience for.
const WAITS: usize = 8;

/// Whether a device's record says that it is where its family can get.
pub(super) fn at_its_end(device: &Value) -> bool {
    let text = |pointer: &str| device.pointer(pointer).and_then(Value::as_str);
    let none_possible = text("/activation/proof") == Some("none-possible");
    match text("/activation/state") {
        Some("active" | "handed-over") => true,
        Some("served") => none_possible,
        Some(_) | None => false,
    }
}

/// A unit's time: what it waits for is there in a blink, and its own clock has moved on by it.
struct Hurried(Mutex<SignedDuration>);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        let ahead = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock::now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let short = time.min(BLINK);
        Box::pin(async move {
            tokio::time::sleep(short).await;
            let rest = SignedDuration::try_from(time - short).unwrap_or(SignedDuration::MAX);
            let mut ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *ahead = ahead.saturating_add(rest);
            true
        })
    }
}

/// Switches a unit on as it came from the factory, and goes on until the server says that it is at
/// its end. Gives what it did.
pub(super) async fn play(
    unit: Planned,
    pointer: String,
    certificate: Option<Arc<ClientCertificate>>,
    api: Api,
) -> Result<Vec<Story>, Fail> {
    let name = unit.mac.to_string();
    let wrong = |problem: crate::simulate::Problem| Fail::failed("demo", problem);
    let conduct = Arc::new(unit.conduct()?);
    let mut who = Identity::sample(&conduct).map_err(wrong)?;
    who.mac = unit.mac;
    who.serial.clone_from(&unit.serial);
    who.model.clone_from(&unit.kind.model);
    let around = Surroundings {
        pointer: Some(pointer),
        bind: Some(unit.address),
        client_certificate: certificate,
        public_roots: Vec::new(),
        vendor_roots: Vec::new(),
        registrar_ok: true,
        python: false,
        longest: LONGEST,
        clock: Arc::new(Hurried(Mutex::default())),
    };
    let mut unit = Unit::factory(conduct, who, around).map_err(wrong)?;
    let mut stories = unit.boot_until_quiet(RUNS).await;
    for _ in 0..WAITS {
        if at_its_end(&api.get(&Call::to(&["devices", &name])).await?) {
            break;
        }
        let Some(story) = unit.wait().await else {
            break;
        };
        stories.push(story);
    }
    Ok(stories)
}
