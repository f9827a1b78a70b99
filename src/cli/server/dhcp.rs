//! DHCP in the server: bound with the other doors, looked around before the first answer, reloaded.

use std::sync::Arc;

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

/// Interfaces that are bound, and the lease door.
pub(super) struct Ready<D> {
    desk: LeaseDesk,
    writer: Writer,
    servers: Vec<Server<D>>,
    /// Ends the writer, when nothing more can come.
    done: CancellationToken,
}

/// Opens the lease door, and looks for other servers on every interface at once. None where the
/// configuration has no DHCP.
pub(super) async fn open<D: Door>(
    hub: &Arc<Hub>,
    plan: &Dhcp,
    wires: Vec<Wire>,
    door: &D,
) -> Result<Option<Ready<D>>, ServerError> {
    if plan.mode == Mode::Off {
        return Ok(None);
    }
    let (desk, writer) = LeaseDesk::open(Arc::clone(hub), plan.clone()).await?;
    let mut looks = JoinSet::new();
    for wire in wires {
        let server = Server::new(door.clone(), desk.clone(), wire);
        looks.spawn(async move {
            server.look_first().await;
            server
        });
    }
    let servers = looks.join_all().await;
    Ok(Some(Ready {
        desk,
        writer,
        servers,
        done: CancellationToken::new(),
    }))
}

impl<D: Door> Ready<D> {
    pub(super) fn desk(&self) -> LeaseDesk {
        self.desk.clone()
    }

    /// Serves every interface until told to stop; then what is at work is finished, and written.
    pub(super) fn serve(self, tasks: &mut Tasks, stop: &Stop) {
        let done = self.done.clone();
        let drain = stop.drain.clone();
        let servers = self.servers;
        tasks.spawn(async move {
            let mut all = JoinSet::new();
            for server in servers {
                all.spawn(server.run(drain.clone()));
            }
            let mut outcome = Ok(());
            while let Some(ended) = all.join_next().await {
                let ended = ended.map_err(|error| ServerError::Task(error.to_string()));
                if outcome.is_ok() {
                    outcome = ended;
                }
            }
            done.cancel();
            outcome
        });
        let (writer, done) = (self.writer, self.done);
        tasks.spawn(async move {
            writer.run(done).await;
            Ok(())
        });
        let (desk, mut ticks) = (self.desk, Ticks::new(TICK, stop));
        tasks.spawn(async move {
            while ticks.next().await {
                desk.tick().await;
            }
            Ok(())
        });
    }
}

/// What of a new configuration can hold without a restart.
pub(super) fn at_once(was: &Dhcp, is: &Dhcp) -> Dhcp {
    Dhcp {
        mode: was.mode,
        interfaces: was.interfaces.clone(),
        ..is.clone()
    }
}
