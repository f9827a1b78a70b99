//! DHCP in the server: bound with the other doors, looked around before the first answer, reloaded.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServerError;
use super::tasks::{Tasks, Ticks};
use crate::answer::Door;
use crate::hub::Hub;
use crate::model::dhcp::{Dhcp, Mode};
use crate::net::dhcp::{Server, Wire};
use crate::net::listen::Stop;
use crate::service::leases::{LeaseDesk, Writer};

/// Leases that are over are looked for this often.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// The threads that DHCP has for itself: a storm of downloads keeps nobody from an address.
pub(super) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.thread_name("dhcp").enable_all().build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Nobody waits for them: this may be a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Interfaces that are bound, and the threads that wait for their sockets.
pub(super) struct Wires {
    threads: Threads,
    pub(super) wires: Vec<Wire>,
}

/// Binds what the configuration names; none where it has no DHCP.
pub(super) fn bind(plan: &Dhcp) -> Result<Option<Wires>, ServerError> {
    if plan.mode == Mode::Off {
        return Ok(None);
    }
    let threads = Threads::start().map_err(ServerError::Threads)?;
    let here = threads.handle.enter();
    let wires = crate::net::dhcp::bind(plan)?;
    drop(here);
    Ok(Some(Wires { threads, wires }))
}

/// Interfaces that are bound, and the lease door.
pub(super) struct Ready<D> {
    threads: Threads,
    desk: LeaseDesk,
    writer: Writer,
    servers: Vec<Server<D>>,
}

/// Opens the lease door, and looks for other servers on every interface at once.
pub(super) async fn open<D: Door>(
    hub: &Arc<Hub>,
    plan: &Dhcp,
    bound: Wires,
    door: &D,
) -> Result<Ready<D>, ServerError> {
    let Wires { threads, wires } = bound;
    let (desk, writer) = LeaseDesk::open(Arc::clone(hub), plan.clone()).await?;
    let mut looks = JoinSet::new();
    for wire in wires {
        let server = Server::new(door.clone(), desk.clone(), wire);
        let look = async move {
            server.look_first().await;
            server
        };
        looks.spawn_on(look, &threads.handle);
    }
    let servers = looks.join_all().await;
    Ok(Ready {
        threads,
        desk,
        writer,
        servers,
    })
}

impl<D: Door> Ready<D> {
    pub(super) fn desk(&self) -> LeaseDesk {
        self.desk.clone()
    }

    /// Serves every interface until told to stop; then what is at work is finished, and written.
    pub(super) fn serve(self, tasks: &mut Tasks, stop: &Stop) {
        let Self {
            threads,
            desk,
            writer,
            servers,
        } = self;
        let drain = stop.drain.clone();
        tasks.spawn(async move {
            // Ends the writer, when nothing more can come.
            let done = CancellationToken::new();
            let mut writing = JoinSet::new();
            writing.spawn_on(writer.run(done.clone()), &threads.handle);
            let mut all = JoinSet::new();
            for server in servers {
                all.spawn_on(server.run(drain.clone()), &threads.handle);
            }
            let served = ended(&mut all).await;
            done.cancel();
            let written = ended(&mut writing).await;
            drop(threads);
            served.and(written)
        });
        let mut ticks = Ticks::new(TICK, stop);
        tasks.spawn(async move {
            while ticks.next().await {
                desk.tick().await;
            }
            Ok(())
        });
    }
}

/// Waits for all of them, and gives the first failure.
async fn ended(all: &mut JoinSet<()>) -> Result<(), ServerError> {
    let mut outcome = Ok(());
    while let Some(ended) = all.join_next().await {
        let ended = ended.map_err(|error| ServerError::Task(error.to_string()));
        outcome = outcome.and(ended);
    }
    outcome
}

/// What of a new configuration can hold without a restart.
pub(super) fn at_once(was: &Dhcp, is: &Dhcp) -> Dhcp {
    Dhcp {
        mode: was.mode,
        interfaces: was.interfaces.clone(),
        ..is.clone()
    }
}
