//! `serve`: the server with signals, logs, systemd and the ready line.

use clap::Args;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, Fail};
use super::globals::{self, Globals};
use super::notify::{Notify, Word};
use super::out::Out;
use super::server::{self, Options, Running, ServerError};
use super::{logs, out};

/// `serve [--config FILE] [--data DIR]`.
#[derive(Args, Debug)]
pub(super) struct Serve {}

impl Serve {
    #[expect(clippy::unused_self, reason = "all verbs are called alike")]
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let options = match globals.file() {
            Some(file) => Options::from_file(&file, globals.data.as_deref())
                .map_err(|problems| globals::refused(&problems))?,
            None => Options::new(globals.configuration()?),
        };
        logs::start();
        runtime()?.block_on(serve(options, globals.out()))
    }
}

/// A runtime for a whole server.
pub(super) fn runtime() -> Result<Runtime, Fail> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fail::failed("runtime", error))
}

/// What an operator sends.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

enum Order {
    Reload,
    Stop,
}

impl Signals {
    fn listen() -> Result<Self, Fail> {
        let on = |kind| signal(kind).map_err(|error| Fail::failed("signals", error));
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.hangup.recv() => Order::Reload,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.terminate.recv() => Order::Stop,
        }
    }
}

async fn serve(options: Options, out: Out) -> Result<Exit, Fail> {
    let mut signals = Signals::listen()?;
    let notify = std::sync::Arc::new(Notify::from_env());
    let mut running = server::start(options)
        .await
        .map_err(|error| failed(&error))?;
    out.line(&running.addresses.ready_line())?;
    tracing::info!(addresses = ?running.addresses, "ready");
    notify.tell(Word::Ready);
    let mut stopping = false;
    loop {
        let order = tokio::select! {
            ended = running.ended() => {
                notify.tell(Word::Stopping);
                return ended.map(|()| Exit::Done).map_err(|error| failed(&error));
            }
            order = signals.next() => order,
        };
        match order {
            Order::Stop if stopping => running.stop_now(),
            Order::Stop => {
                stopping = true;
                notify.tell(Word::Stopping);
                tracing::info!("stopping: what is at work is finished first");
                running.stop();
            }
            Order::Reload if stopping => {}
            Order::Reload => {
                notify.tell(Word::Reloading);
                let reload = reload(&running);
                let notify = std::sync::Arc::clone(&notify);
                tokio::spawn(async move {
                    reload.await;
                    notify.tell(Word::Ready);
                });
            }
        }
    }
}

/// Reloads and says how it went; signals are heard meanwhile.
fn reload(running: &Running) -> impl Future<Output = ()> + Send + 'static {
    let work = running.reload();
    async move {
        match work.await {
            Ok(notes) => {
                tracing::info!("reloaded");
                for note in notes {
                    tracing::warn!("{note}");
                }
            }
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("{}", out::printable(problem));
                }
                let count = problems.len();
                tracing::error!(
                    problems = count,
                    "nothing was reloaded: all stays as it was"
                );
            }
        }
    }
}

/// Why a server did not start, or ended by itself.
pub(super) fn failed(error: &ServerError) -> Fail {
    match error {
        ServerError::Catalogue(lines) => {
            let mut fail = Fail::usage("profiles", error).next("mend them, then `dialtone check`");
            fail.details.clone_from(lines);
            fail
        }
        ServerError::Dhcp(_)
        | ServerError::Io { .. }
        | ServerError::Keys(_)
        | ServerError::Listen(_)
        | ServerError::Pki(_)
        | ServerError::Store(_)
        | ServerError::Task(_)
        | ServerError::Threads(_)
        | ServerError::Tls(_) => Fail::failed("server", error),
    }
}
