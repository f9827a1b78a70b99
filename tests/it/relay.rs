//! A bad network between a client and a server over UDP: it loses, doubles and delays, by dice from
//! a seed. As a NAT it gives each server port that answers a port of its own, so that TFTP passes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What the network does, in percent of the packets of each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conduct {
    pub(crate) seed: u64,
    pub(crate) loss: u64,
    pub(crate) twice: u64,
    /// These come later than what was sent after them.
    pub(crate) late: u64,
    /// On every packet, one way.
    pub(crate) delay: Duration,
}

/// A running relay; it ends when dropped.
pub(crate) struct Relay {
    /// Where clients ask.
    pub(crate) front: SocketAddr,
    network: Arc<Network>,
    _tasks: JoinSet<()>,
}

struct Network {
    conduct: Conduct,
    dice: Mutex<u64>,
    carried: AtomicU64,
    lost: AtomicU64,
}

impl Network {
    fn dice(&self) -> u64 {
        let mut seed = self.dice.lock().unwrap();
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 16) % 100
    }

    async fn carry(&self, by: &Arc<UdpSocket>, packet: &[u8], to: SocketAddr) {
        let conduct = self.conduct;
        self.carried.fetch_add(1, Ordering::Relaxed);
        let copies = 1 + u64::from(self.dice() < conduct.twice);
        for _ in 0..copies {
            if self.dice() < conduct.loss {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let late = self.dice() < conduct.late;
            if !late && conduct.delay.is_zero() {
                drop(by.send_to(packet, to).await);
                continue;
            }
            let wait = conduct.delay + Duration::from_millis(if late { 8 } else { 0 });
            let (by, packet) = (Arc::clone(by), packet.to_vec());
            let at = Instant::now() + wait;
            tokio::spawn(async move {
                sleep_until(at).await;
                drop(by.send_to(&packet, to).await);
            });
        }
    }
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr, conduct: Conduct) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let network = Arc::new(Network {
            conduct,
            dice: Mutex::new(conduct.seed | 1),
            carried: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let address = front.local_addr().unwrap();
        tasks.spawn(from_clients(front, server, Arc::clone(&network)));
        Self {
            front: address,
            network,
            _tasks: tasks,
        }
    }

    /// Packets that came in, and copies that were lost.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let network = &self.network;
        (
            network.carried.load(Ordering::Relaxed),
            network.lost.load(Ordering::Relaxed),
        )
    }
}

/// Packets of clients to the front; each client has a port of its own towards the server.
async fn from_clients(front: Arc<UdpSocket>, server: SocketAddr, network: Arc<Network>) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut ways = JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = front.recv_from(&mut buffer).await.unwrap();
        let back = match clients.get(&client) {
            Some(back) => Arc::clone(back),
            None => {
                // The server sees who asks.
                let back = Arc::new(UdpSocket::bind((client.ip(), 0)).await.unwrap());
                clients.insert(client, Arc::clone(&back));
                let network = Arc::clone(&network);
                ways.spawn(from_server(Arc::clone(&back), client, network));
                back
            }
        };
        network.carry(&back, &buffer[..length], server).await;
    }
}

/// Packets of the server to one client; each server port has one of its own towards the client.
async fn from_server(back: Arc<UdpSocket>, client: SocketAddr, network: Arc<Network>) {
    let mut ports: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut ways = JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        let (length, port) = back.recv_from(&mut buffer).await.unwrap();
        let own = match ports.get(&port) {
            Some(own) => Arc::clone(own),
            None => {
                let own = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                ports.insert(port, Arc::clone(&own));
                let (from, back, network) =
                    (Arc::clone(&own), Arc::clone(&back), Arc::clone(&network));
                ways.spawn(async move {
                    let mut buffer = [0; 2048];
                    loop {
                        let (length, _) = from.recv_from(&mut buffer).await.unwrap();
                        network.carry(&back, &buffer[..length], port).await;
                    }
                });
                own
            }
        };
        network.carry(&own, &buffer[..length], client).await;
    }
}
