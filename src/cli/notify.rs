//! systemd's notification protocol (sd_notify(3)): one datagram a word, to `NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::ClockId;

/// What systemd is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Ready,
    Reloading,
    Stopping,
}

/// Whoever started us and wants to know.
#[derive(Debug, Default)]
pub struct Notify(Option<UnixDatagram>);

impl Notify {
    /// The socket that the environment names; nobody where it names none.
    pub fn from_env() -> Self {
        let name = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
        Self::to(&name)
    }

    /// A socket by its path, or by its abstract name after `@`.
    pub fn to(name: &str) -> Self {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None if name.starts_with('/') => SocketAddr::from_pathname(name),
            None => return Self(None),
        };
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(&address)?;
            Ok(socket)
        });
        Self(socket.ok())
    }

    /// Tells it; whoever is not there is not told.
    pub fn tell(&self, word: Word) {
        let Some(socket) = &self.0 else { return };
        let text = match word {
            Word::Ready => "READY=1\n".to_owned(),
            Word::Reloading => {
                // Type=notify-reload wants the moment, so that it tells an old READY from a new one.
                let now = rustix::time::clock_gettime(ClockId::Monotonic);
                let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
                format!("RELOADING=1\nMONOTONIC_USEC={micros}\n")
            }
            Word::Stopping => "STOPPING=1\n".to_owned(),
        };
        // Not being heard changes nothing for us.
        drop(socket.send(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_each_word() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let heard = UnixDatagram::bind(&path).expect("a socket");
        let notify = Notify::to(&path.display().to_string());
        for (word, begin) in [
            (Word::Ready, "READY=1\n"),
            (Word::Reloading, "RELOADING=1\nMONOTONIC_USEC="),
            (Word::Stopping, "STOPPING=1\n"),
        ] {
            notify.tell(word);
            let mut bytes = [0_u8; 128];
            let count = heard.recv(&mut bytes).expect("a datagram");
            let text = String::from_utf8_lossy(&bytes[..count]);
            assert!(text.starts_with(begin), "{text}");
        }
        Notify::to("").tell(Word::Ready);
    }
}
