//! The people's listeners: accept, say who it is, serve, drain. Bounded in connections and time.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{State, routes};
use crate::admin::Actor;

/// Connections of one listener at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a head may take to come, and a connection may stay idle.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long connections at work may go on after the stop.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// A pause after an accept that failed, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds the socket of the verbs, mode 0600. A socket that nobody listens on any more is replaced;
/// one that answers is somebody's, and an error.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "a server answers at this socket",
                ));
            }
            std::fs::remove_file(path)?;
        }
    }
    // Bound under another name and moved, so that nobody connects before the mode is set.
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    match std::fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(fresh)?;
    std::fs::set_permissions(fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(fresh, path)?;
    Ok(listener)
}

/// Serves the whole API to the socket's owner and to root, until `stop`. Then finishes what is at
/// work.
pub async fn serve_unix(state: State, listener: UnixListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let ours = rustix::process::geteuid().as_raw();
    let (all, nobody) = (routes::everything(state), routes::nothing());
    let mut connections = JoinSet::new();
    while let Some(permit) = place(&places, &stop).await {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        reap(&mut connections);
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                failed(&error, &stop).await;
                continue;
            }
        };
        let peer = uid(&stream);
        let (actor, router) = match peer {
            Some(uid) if uid == ours || uid == 0 => (Some(Actor::Uid(uid)), all.clone()),
            Some(_) | None => (None, nobody.clone()),
        };
        connections.spawn(connection(stream, actor, router, permit, stop.clone()));
    }
    drop(listener);
    drain(connections).await;
}

/// Serves the read-only pages to anybody, over TLS where `tls` is there, until `stop`.
pub async fn serve_tcp(
    state: State,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let router = routes::pages(state);
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    while let Some(permit) = place(&places, &stop).await {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        reap(&mut connections);
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                failed(&error, &stop).await;
                continue;
            }
        };
        let (router, stop) = (router.clone(), stop.clone());
        match tls.clone() {
            None => drop(connections.spawn(connection(stream, None, router, permit, stop))),
            Some(tls) => drop(connections.spawn(async move {
                match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, None, router, permit, stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a handshake of a person's client"),
                    Err(_) => {}
                }
            })),
        }
    }
    drop(listener);
    drain(connections).await;
}

/// A place for one more connection; `None` at the stop.
async fn place(places: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        () = stop.cancelled() => None,
        permit = Arc::clone(places).acquire_owned() => permit.ok(),
    }
}

async fn failed(error: &io::Error, stop: &CancellationToken) {
    tracing::warn!(%error, "no connection of a person can be accepted for now");
    drop(tokio::time::timeout(PAUSE, stop.cancelled()).await);
}

fn reap(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.try_join_next() {
        if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("the task of a person's connection panicked");
        }
    }
}

async fn drain(mut connections: JoinSet<()>) {
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN_TIME, all).await);
    connections.shutdown().await;
}

/// The user at the other end of a socket.
fn uid(stream: &UnixStream) -> Option<u32> {
    stream.peer_cred().ok().map(|peer| peer.uid())
}

/// Serves one connection. `actor` is who its requests come from.
async fn connection<S>(
    stream: S,
    actor: Option<Actor>,
    router: Router,
    permit: OwnedSemaphorePermit,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        if let Some(actor) = actor.clone() {
            request.extensions_mut().insert(actor);
        }
        app.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a person's connection");
    }
    drop(permit);
}
