//! Logs to stderr: text on a terminal, JSON lines elsewhere. A sink that does not take them never
//! holds serving up: the queue is bounded, what does not fit is dropped and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the sink at most.
const QUEUE: usize = 4096;

/// Lines that were dropped, for `metrics` and for the log itself when the sink is back.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// Since the start.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts logging for this process; a second call changes nothing. `DIALTONE_LOG` filters, in
/// the syntax of `tracing` (`info`, `dialtone::net=debug,warn`).
pub fn start() -> Dropped {
    let dropped = Dropped::default();
    let (sender, receiver) = sync_channel(QUEUE);
    let told = dropped.clone();
    // It ends with the process: nothing waits for a sink that is stuck.
    let sink = std::thread::Builder::new().name("log".to_owned());
    if sink.spawn(move || write_all(&receiver, &told)).is_err() {
        return dropped;
    }
    let lines = Lines {
        sender,
        dropped: dropped.clone(),
    };
    let filter = EnvFilter::try_from_env("DIALTONE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines);
    let started = if terminal {
        layer.with_ansi(colour).try_init()
    } else {
        layer.json().flatten_event(true).try_init()
    };
    // An error means that somebody started logging before us: theirs stands.
    drop(started);
    dropped
}

fn write_all(receiver: &Receiver<Vec<u8>>, dropped: &Dropped) {
    let mut told = 0;
    while let Ok(line) = receiver.recv() {
        let mut stderr = io::stderr().lock();
        // A closed stderr takes nothing: there is nobody to tell.
        drop(stderr.write_all(&line));
        let count = dropped.count();
        if count > told {
            let lost = count - told;
            told = count;
            drop(writeln!(
                stderr,
                "{{\"level\":\"WARN\",\"message\":\"log lines dropped\",\"count\":{lost}}}"
            ));
        }
    }
}

#[derive(Clone)]
struct Lines {
    sender: SyncSender<Vec<u8>>,
    dropped: Dropped,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            lines: self.clone(),
            bytes: Vec::new(),
        }
    }
}

/// One event under writing; it is queued as a whole when it is done.
struct Line {
    lines: Lines,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        match self.lines.sender.try_send(std::mem::take(&mut self.bytes)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lines.dropped.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_sink_drops_and_counts() {
        let (sender, receiver) = sync_channel(2);
        let lines = Lines {
            sender,
            dropped: Dropped::default(),
        };
        for _ in 0..5 {
            lines.make_writer().write_all(b"x\n").expect("never fails");
        }
        assert_eq!(lines.dropped.count(), 3);
        assert_eq!(receiver.try_iter().count(), 2);
    }
}
