//! Server-sent events: what happens, as it happens (docs/api.md section 4), and the same for the
//! status page. A reader that is too slow is told how much it missed; one that stands still is let
//! go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::activity::known_site;
use super::call::Call;
use super::failure::Failure;
use super::stream::{Piece, Streamed};
use super::{State, wire, wire_device};
use crate::admin::{Code, Problem};
use crate::hub::News;
use crate::model::identity::DeviceId;

/// Streams at a time, over all listeners.
pub(crate) const MOST: usize = 64;
/// Events that wait for one reader.
const WAITING: usize = 256;
/// A comment is sent after so much silence, so that nobody takes the stream for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Places of devices that one stream remembers.
const REMEMBERED: usize = 10_000;
/// The kinds of event.
const KINDS: [&str; 4] = ["check", "device", "alert", "quarantine"];

/// The routes of this subject, for the socket.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/events", get(events))
}

/// What anybody may read.
pub(crate) fn open_routes() -> Router<State> {
    Router::new().route("/status/events", get(of_status))
}

/// What one reader wants.
struct Wanted {
    site: Option<String>,
    kinds: BTreeSet<String>,
    /// Whole device records, or their ids alone.
    records: bool,
}

async fn events(Extract(state): Extract<State>, call: Call) -> Result<Response, Failure> {
    let words = call.words(&["site", "kinds"])?;
    let site = known_site(&state, words.get("site"))?.map(str::to_owned);
    let kinds: BTreeSet<String> = match words.get("kinds") {
        None => KINDS.map(str::to_owned).into(),
        Some(text) => text.split(',').map(|kind| kind.trim().to_owned()).collect(),
    };
    if let Some(other) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        let what = format!("kinds: {other:?} is none of {}", KINDS.join(", "));
        return Err(Problem::new(Code::QueryInvalid, what).into());
    }
    let wanted = Wanted {
        site,
        kinds,
        records: true,
    };
    stream(&state, wanted)
}

async fn of_status(Extract(state): Extract<State>) -> Result<Response, Failure> {
    let wanted = Wanted {
        site: None,
        kinds: KINDS.map(str::to_owned).into(),
        records: false,
    };
    stream(&state, wanted)
}

fn stream(state: &State, wanted: Wanted) -> Result<Response, Failure> {
    let permit = std::sync::Arc::clone(&state.streams).try_acquire_owned();
    let Ok(permit) = permit else {
        let what = format!("{MOST} readers of events are there already");
        return Err(Problem::new(Code::NotReady, what).into());
    };
    let (pieces, body) = mpsc::channel(WAITING);
    // Subscribed before the answer: what happens from now on is told.
    let reader = Reader {
        news: state.admin.hub().news.subscribe(),
        state: state.clone(),
        wanted,
        pieces,
        places: BTreeMap::new(),
        _permit: permit,
    };
    tokio::spawn(reader.run());
    let mut response = Response::new(Body::new(Streamed::new(body)));
    let headers = response.headers_mut();
    let media = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Reader {
    news: tokio::sync::broadcast::Receiver<News>,
    state: State,
    wanted: Wanted,
    pieces: mpsc::Sender<Piece>,
    places: BTreeMap<DeviceId, bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn run(mut self) {
        // The first octets: the reader knows that it is heard.
        if !self.send(": hello\n\n".to_owned()).await {
            return;
        }
        let stop = self.state.stop.clone();
        loop {
            let news = tokio::select! {
                () = stop.cancelled() => return,
                () = self.pieces.closed() => return,
                news = timeout(SILENCE, self.news.recv()) => news,
            };
            let sent = match news {
                Err(_) => self.send(": still here\n\n".to_owned()).await,
                Ok(Ok(news)) => self.tell(news).await,
                Ok(Err(RecvError::Lagged(missed))) => {
                    self.send(event("lost", &json!({"missed": missed}))).await
                }
                Ok(Err(RecvError::Closed)) => return,
            };
            if !sent {
                return;
            }
        }
    }

    /// Whether the reader is still there.
    async fn send(&self, text: String) -> bool {
        let piece = Ok(Bytes::from(text));
        matches!(timeout(PATIENCE, self.pieces.send(piece)).await, Ok(Ok(())))
    }

    async fn tell(&mut self, news: News) -> bool {
        let (kind, device) = match &news {
            News::Check(check) => ("check", Some(check.device)),
            News::Device(id) => ("device", Some(*id)),
            News::Alert(alert) => ("alert", Some(alert.device)),
            News::Quarantine(_) => ("quarantine", None),
        };
        if !self.wanted.kinds.contains(kind) || !self.here(&news, device).await {
            return true;
        }
        let record = match &news {
            News::Check(check) => wire::check(check),
            News::Device(id) => self.device(*id).await,
            News::Alert(alert) => wire::alert(alert),
            News::Quarantine(sighting) => wire::sighting(sighting),
        };
        self.send(event(kind, &record)).await
    }

    /// Whether it happened at the wanted site.
    async fn here(&mut self, news: &News, device: Option<DeviceId>) -> bool {
        let Some(site) = &self.wanted.site else {
            return true;
        };
        if let News::Quarantine(sighting) = news {
            return sighting.site.as_ref() == Some(site);
        }
        let Some(device) = device else { return false };
        // A device's own news may be that it moved.
        if matches!(news, News::Device(_)) || self.places.len() >= REMEMBERED {
            self.places.clear();
        }
        let found = self.state.admin.is_at(device, site, &mut self.places).await;
        found.unwrap_or_default()
    }

    async fn device(&self, id: DeviceId) -> Value {
        let gone = json!({"id": id.to_string()});
        if !self.wanted.records {
            return gone;
        }
        match self.state.admin.device(&id.to_string()).await {
            Ok(view) => wire_device::device(&view),
            Err(_) => gone,
        }
    }
}

/// One event. JSON holds no line end, so it is one line.
fn event(kind: &str, record: &Value) -> String {
    format!("event: {kind}\ndata: {record}\n\n")
}
