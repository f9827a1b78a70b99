//! A real server of the people's API behind its unix socket, and a plain client for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use dialtone::admin::Admin;
use dialtone::catalog::{Catalog, Files, load};
use dialtone::engine::sightings::Sightings;
use dialtone::hub::{Bases, Hub};
use dialtone::model::identity::Channel;
use dialtone::pki::Authority;
use dialtone::store::{Keys, Options, Store};
use dialtone::web::{self, Setup, State};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The server's clock at the start: a Monday.
pub(crate) const START: &str = "2026-11-23T12:00:00Z";

pub(crate) struct Server {
    pub(crate) hub: Arc<Hub>,
    pub(crate) admin: Admin,
    pub(crate) state: State,
    pub(crate) socket: PathBuf,
    /// Seconds since [`START`].
    pub(crate) clock: Arc<AtomicI64>,
    stop: CancellationToken,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn ours() -> Files {
    load::read_folders(&[PathBuf::from("profiles")]).expect("profiles/ is there")
}

fn catalogue() -> Arc<Catalog> {
    let (catalog, problems) = Catalog::from_files(&ours());
    catalog.unwrap_or_else(|| panic!("{problems:?}"))
}

fn fill(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(catalogue())
    }

    /// Must be called inside a runtime.
    pub(crate) fn with(catalog: Arc<Catalog>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let keys = Keys::load(dir.path(), false, fill).expect("keys");
        let authority = Authority::open(dir.path()).expect("our CA");
        let store = Store::open(&Options {
            cache_bytes: 8 << 20,
            spare_bytes: 0,
            ..Options::new(dir.path())
        })
        .expect("the store opens");
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(AtomicI64::new(0));
        let second = Arc::clone(&clock);
        let number = AtomicU64::new(1);
        let hub = Arc::new(Hub {
            store,
            keys,
            catalog: ArcSwap::new(catalog),
            written: ArcSwap::default(),
            former: ArcSwap::default(),
            bases: ArcSwap::from_pointee(Bases {
                https: Some("https://prov.example.net/".to_owned()),
                http: Some("http://prov.example.net/".to_owned()),
                tftp: None,
                aliases: Vec::new(),
                pointers: BTreeSet::from([Channel::Https, Channel::Http]),
                certified: Vec::new(),
            }),
            ca_pem: authority.pem().to_owned(),
            anchored: ArcSwap::from_pointee(BTreeSet::new()),
            sightings: Mutex::new(Sightings::default()),
            dhcp: Mutex::default(),
            clock: Arc::new(move || {
                start + jiff::SignedDuration::from_secs(second.load(Ordering::SeqCst))
            }),
            random: Arc::new(move || Some(u128::from(number.fetch_add(1, Ordering::SeqCst)))),
            news: tokio::sync::broadcast::channel(64).0,
            counts: dialtone::hub::Counts::default(),
            devices: tokio::sync::broadcast::channel(64).0,
        });
        let admin = Admin::new(Arc::clone(&hub));
        let stop = CancellationToken::new();
        let setup = Setup {
            data: dir.path().to_owned(),
            authority: authority.show(),
            anchors: Arc::new(Vec::new),
            anchors_changed: Arc::new(|| {}),
            explain: Arc::new(|_| Box::pin(async { Err("no device door here".to_owned()) })),
            lint: Arc::new(|| Catalog::from_files(&ours()).0.unwrap().lint()),
        };
        let state = State::new(admin.clone(), setup, stop.clone());
        let socket = dir.path().join("admin.sock");
        let listener = web::bind_unix(&socket).expect("the socket");
        tokio::spawn(web::serve_unix(state.clone(), listener, stop.clone()));
        Self {
            hub,
            admin,
            state,
            socket,
            clock,
            stop,
            dir,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None, &[]).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let bytes = body.map(|body| body.to_string().into_bytes());
        let mut all = headers.to_vec();
        if bytes.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        let path = format!("/api/v1{path}");
        raw(&self.socket, method, &path, bytes.unwrap_or_default(), &all).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) body: Value,
}

impl Answer {
    /// The document of an answer that went well.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn fails(self, status: u16, code: &str) -> Value {
        let found = (self.status.as_u16(), self.body["code"].as_str());
        assert_eq!(found, (status, Some(code)), "{}", self.body);
        let media = self.headers["content-type"].to_str().unwrap();
        assert_eq!(media, "application/problem+json");
        self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(crate) async fn raw(
    socket: &Path,
    method: Method,
    path: &str,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> Answer {
    let stream = tokio::net::UnixStream::connect(socket)
        .await
        .expect("a listener");
    over(stream, method, path, body, headers).await
}

pub(crate) async fn over<S>(
    stream: S,
    method: Method,
    path: &str,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> Answer
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP");
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "dialtone");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        bytes,
    }
}

/// A desk phone, as people enter it.
pub(crate) fn desk(mac: &str) -> Value {
    json!({"mac": mac, "vendor": "yealink", "model": "T46S"})
}
