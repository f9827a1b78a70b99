//! The server's tasks: listeners, clockwork, and the one that waits for them all.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::super::explain;
use super::ServerError;
use super::folders;
use super::live::Live;
use crate::admin::Admin;
use crate::answer::Door;
use crate::model::identity::Channel;
use crate::net::admission::Admission;
use crate::net::listen::{self, Plane, Stop};
use crate::net::sip;
use crate::net::tftp;
use crate::service::Service;
use crate::web::{self, Setup, State};

/// Certificate files are looked at this often.
const WATCH: Duration = Duration::from_secs(10);
/// What people changed in the store is followed this often.
const FOLLOW: Duration = Duration::from_secs(1);
/// Units are looked over for those that make no progress this often.
const SWEEP: Duration = Duration::from_secs(60);

pub(super) type Tasks = JoinSet<Result<(), ServerError>>;

/// What the API works with.
pub(super) fn people(live: &Arc<Live>, service: Service, stop: &Stop) -> State {
    let (listed, taken, linted) = (Arc::clone(live), Arc::clone(live), Arc::clone(live));
    let setup = Setup {
        data: live.config().data.clone(),
        authority: live.authority.show(),
        anchors: Arc::new(move || listed.anchors()),
        anchors_changed: Arc::new(move || taken.notice_anchors()),
        explain: Arc::new(move |request| {
            let service = service.clone();
            Box::pin(async move { explain::by(&service, request).await })
        }),
        lint: Arc::new(move || {
            let config = linted.config();
            let mut problems = folders::missing(&config);
            let (catalog, more) = folders::proven(&config);
            problems.extend(more);
            problems.extend(catalog.iter().flat_map(|catalog| catalog.lint()));
            problems
        }),
    };
    let admin = Admin::new(Arc::clone(&live.hub));
    State::new(admin, setup, stop.drain.clone())
}

/// Imports that the last end broke off.
pub(super) fn go_on(tasks: &mut Tasks, live: &Arc<Live>, stop: &Stop) {
    let (admin, stop) = (Admin::new(Arc::clone(&live.hub)), stop.drain.clone());
    tasks.spawn(async move {
        let done = tokio::select! {
            done = admin.resume_imports() => done,
            () = stop.cancelled() => Ok(()),
        };
        if let Err(problem) = done {
            tracing::error!(
                why = problem.detail,
                "imports that were broken off do not go on"
            );
        }
        Ok(())
    });
}

/// The people's listeners; over TLS as soon as an address is not loopback.
pub(super) fn serve_people(
    tasks: &mut Tasks,
    socket: UnixListener,
    tcp: Vec<TcpListener>,
    state: State,
    live: &Live,
    stop: &Stop,
) -> Result<(), ServerError> {
    for listener in tcp {
        let alone = listener
            .local_addr()
            .is_ok_and(|address| address.ip().is_loopback());
        let tls = match alone {
            true => None,
            false => Some(live.tls.for_people()?),
        };
        let (state, stop) = (state.clone(), stop.drain.clone());
        tasks.spawn(async move {
            web::serve_tcp(state, listener, tls, stop).await;
            Ok(())
        });
    }
    let stop = stop.drain.clone();
    tasks.spawn(async move {
        web::serve_unix(state, socket, stop).await;
        Ok(())
    });
    Ok(())
}

/// The devices' listeners.
pub(super) fn serve_devices<D: Door>(
    tasks: &mut Tasks,
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    door: D,
    live: &Arc<Live>,
    stop: &Stop,
) {
    let limits = live.limits.clone();
    let (caps, judge) = (Arc::clone(live), Arc::clone(live));
    let admission = Admission::new(&limits, Box::new(move |source| caps.cap(source)));
    let mut plane = Plane::new(door, limits, Arc::new(admission));
    plane.tls = Some(Arc::clone(&live.tls));
    plane.judge = Box::new(move |chain| judge.judge(chain));
    let plane = Arc::new(plane);
    let https = https.into_iter().map(|socket| (socket, Channel::Https));
    let http = http.into_iter().map(|socket| (socket, Channel::Http));
    for (listener, channel) in https.chain(http) {
        let (plane, stop) = (Arc::clone(&plane), stop.clone());
        tasks.spawn(async move { Ok(listen::run(listener, channel, plane, stop).await?) });
    }
}

/// The devices' listeners for SIP PnP.
pub(super) fn serve_sip_pnp<D: Door>(
    tasks: &mut Tasks,
    listeners: Vec<sip::Listener>,
    door: D,
    live: &Arc<Live>,
    stop: &Stop,
) {
    let random = Arc::clone(&live.hub.random);
    let plane = Arc::new(sip::Plane { door, random });
    for listener in listeners {
        let (plane, stop) = (Arc::clone(&plane), stop.clone());
        tasks.spawn(async move { Ok(sip::run(listener, plane, stop).await?) });
    }
}

/// The devices' listeners for TFTP.
pub(super) fn serve_tftp<D: Door>(
    tasks: &mut Tasks,
    listeners: Vec<tftp::Listener>,
    door: D,
    live: &Arc<Live>,
    stop: &Stop,
) {
    let (caps, sizes) = (Arc::clone(live), Arc::clone(live));
    let plane = Arc::new(tftp::Plane::new(
        door,
        live.tftp_limits.clone(),
        Box::new(move |source| caps.tftp_cap(source)),
        Box::new(move || sizes.config().max_blksize),
    ));
    for listener in listeners {
        let (plane, stop) = (Arc::clone(&plane), stop.clone());
        tasks.spawn(async move { Ok(tftp::run(listener, plane, stop).await?) });
    }
}

/// What goes on by the clock: certificate files, what people changed, units without progress.
pub(super) fn keep(tasks: &mut Tasks, service: Option<Service>, live: &Arc<Live>, stop: &Stop) {
    let (tls, ended) = (Arc::clone(&live.tls), stop.drain.clone());
    let report = |problem| tracing::error!(%problem, "the certificate shown before is kept");
    tasks.spawn(async move {
        tls.watch(WATCH, ended, report).await;
        Ok(())
    });
    let (live, mut ticks) = (Arc::clone(live), Ticks::new(FOLLOW, stop));
    tasks.spawn(async move {
        let mut seen = live.hub.store.settings_version();
        while ticks.next().await {
            live.rebase();
            let version = live.hub.store.settings_version();
            if version != seen {
                seen = version;
                live.follow().await;
            }
        }
        Ok(())
    });
    if let Some(service) = service {
        let mut ticks = Ticks::new(SWEEP, stop);
        tasks.spawn(async move {
            while ticks.next().await {
                if let Err(error) = service.sweep().await {
                    tracing::error!(%error, "units without progress were not looked for");
                }
            }
            Ok(())
        });
    }
}

/// A clockwork that ends with the server; its first tick is at once.
pub(super) struct Ticks {
    every: Interval,
    stop: CancellationToken,
}

impl Ticks {
    pub(super) fn new(period: Duration, stop: &Stop) -> Self {
        let mut every = tokio::time::interval(period);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            every,
            stop: stop.drain.clone(),
        }
    }

    /// Waits for the next tick; `false` at the end.
    pub(super) async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            _ = self.every.tick() => true,
        }
    }
}

/// Waits for every task; one that fails or panics ends the server. Closes the store at the end.
pub(super) async fn supervise(
    mut tasks: Tasks,
    live: Arc<Live>,
    stop: Stop,
) -> Result<(), ServerError> {
    let mut outcome = Ok(());
    loop {
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = stop.now.cancelled() => {
                tasks.shutdown().await;
                break;
            }
        };
        let Some(ended) = ended else { break };
        let ended = ended.unwrap_or_else(|error| Err(ServerError::Task(error.to_string())));
        if let Err(error) = ended {
            tracing::error!(%error, "the server stops");
            stop.drain.cancel();
            if outcome.is_ok() {
                outcome = Err(error);
            }
        }
    }
    let socket = &live.addresses.admin_socket;
    if let Err(error) = std::fs::remove_file(socket) {
        tracing::debug!(%error, "the socket was gone already");
    }
    let closed = live.hub.store.close().await;
    outcome.and_then(|()| Ok(closed?))
}
