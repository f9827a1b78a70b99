//! One transfer as a state machine: acknowledgements and the clock in, what to send out. Pure; it
//! knows block numbers and times, neither octets nor sockets.
//!
//! Rules: a window goes out whole and is acknowledged whole (RFC 7440); an acknowledgement short of
//! its end starts the next window there, unless it can only be of packets sent before. A lost
//! packet is sent again when its time is over, never for a second acknowledgement of the same block:
//! that would double every packet from there on (RFC 1123 section 4.2.3.1). A window has one
//! exception: a receiver that lost its first block has no other word for it; so one repeated
//! acknowledgement counts for each window, and only after the least round trip measured, when it
//! can be no echo of what was sent before.
//!
//! A peer that has not answered may be forged: it gets one OACK or one block, again three times at
//! most, and altogether no more than three times what it sent and one block.

use std::time::Duration;

use super::packet::on_wire;

/// The retransmit timer's bounds. It starts at the upper one.
const LEAST_WAIT: Duration = Duration::from_millis(50);
const MOST_WAIT: Duration = Duration::from_secs(1);
/// How often an OACK or first block is sent again to a peer that never answered.
const UNANSWERED_TRIES: u32 = 3;
/// How long a peer that never answered is waited for.
const UNANSWERED: Duration = Duration::from_secs(12);
/// How long a transfer lives without an acknowledgement that moves it.
const IDLE: Duration = Duration::from_secs(30);
/// How many times what it sent a peer gets before it answered, beside one block.
const AMPLIFICATION: u64 = 3;

/// What a transfer is about.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// DATA packets in all; at least 1.
    pub blocks: u64,
    /// Blocks in a window; at least 1.
    pub window: u16,
    /// Whether an OACK goes first.
    pub oack: bool,
    /// Octets of the request.
    pub request: usize,
    /// Octets of the first packet, and of a block.
    pub first: usize,
    pub block: u16,
}

/// What to do next. Times are counted from the transfer's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before [`Transfer::due`], unless a packet comes.
    Wait,
    SendOack,
    /// DATA packets `from` to `to`, both included; they count from 1.
    Send {
        from: u64,
        to: u64,
    },
    /// The last block was acknowledged.
    Done,
    /// The peer is gone, or never was.
    GiveUp,
}

/// A transfer under way.
#[derive(Clone, Debug)]
pub struct Transfer {
    outline: Outline,
    /// The OACK waits for its ACK 0.
    agreeing: bool,
    confirmed: bool,
    /// The last block that was acknowledged, and the last that was ever sent.
    acked: u64,
    sent: u64,
    /// The last block of the present window, and the last that had been sent before it.
    end: u64,
    before: u64,
    /// When the present window was sent, and whether it counted a repeated acknowledgement yet.
    window_at: Duration,
    nudged: bool,
    clock: RoundTrip,
    tries: u32,
    due: Duration,
    moved_at: Duration,
    received: u64,
    requests: u64,
    spent: u64,
}

impl Transfer {
    /// A transfer and the one packet that it begins with.
    pub fn begin(outline: Outline) -> (Self, Step) {
        let mut transfer = Self {
            agreeing: outline.oack,
            confirmed: false,
            acked: 0,
            sent: 0,
            end: 0,
            before: 0,
            window_at: Duration::ZERO,
            nudged: false,
            clock: RoundTrip::default(),
            tries: 0,
            due: Duration::ZERO,
            moved_at: Duration::ZERO,
            received: octets(outline.request),
            requests: 1,
            spent: 0,
            outline,
        };
        let step = transfer.first(Duration::ZERO);
        (transfer, step)
    }

    /// When [`Transfer::on_time`] is due.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Whether the peer acknowledged anything, so that it is where it says.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Blocks that were acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Takes an ACK, by its number on the wire.
    pub fn on_ack(&mut self, block: u16, now: Duration) -> Step {
        if self.agreeing {
            if block != 0 {
                return Step::Wait;
            }
            self.agreeing = false;
            if self.tries == 0 && self.requests == 1 {
                self.clock.measured(now.saturating_sub(self.window_at));
            }
            return self.advance(now);
        }
        let ahead = u64::from(block.wrapping_sub(on_wire(self.acked)));
        if ahead == 0 {
            return self.repeated(now);
        }
        let acked = self.acked.saturating_add(ahead);
        if acked > self.sent {
            return Step::Wait;
        }
        // Only of a block that was sent once is it known which sending was acknowledged.
        if acked > self.before && self.tries == 0 && !self.nudged {
            self.clock.measured(now.saturating_sub(self.window_at));
        }
        self.acked = acked;
        if acked >= self.outline.blocks {
            self.confirmed = true;
            return Step::Done;
        }
        // Of what went out before the present window: going back for each would send the window
        // once for every block that came twice.
        if acked < self.before && !self.is_answer(now) {
            self.moved_at = now;
            return Step::Wait;
        }
        self.advance(now)
    }

    /// Takes a copy of the request, of so many octets, that came from the same port.
    pub fn on_request(&mut self, request: usize, now: Duration) -> Step {
        if self.confirmed {
            return Step::Wait;
        }
        self.received = self.received.saturating_add(octets(request));
        self.requests = self.requests.saturating_add(1);
        self.tries = 0;
        self.moved_at = now;
        self.first(now)
    }

    /// The time is over.
    pub fn on_time(&mut self, now: Duration) -> Step {
        if now < self.due {
            return Step::Wait;
        }
        let patience = if self.confirmed { IDLE } else { UNANSWERED };
        let over = self.moved_at.saturating_add(patience);
        if now >= over {
            return Step::GiveUp;
        }
        self.tries = self.tries.saturating_add(1);
        if !self.confirmed {
            if self.tries > UNANSWERED_TRIES {
                self.due = over;
                return Step::Wait;
            }
            return self.first(now);
        }
        self.window_at = now;
        self.before = self.sent;
        self.due = now + self.clock.wait(self.tries);
        Step::Send {
            from: self.acked + 1,
            to: self.end,
        }
    }

    /// The OACK or the first block, where the peer sent enough for it.
    fn first(&mut self, now: Duration) -> Step {
        let size = octets(self.outline.first);
        let blocks = self.requests.saturating_mul(u64::from(self.outline.block));
        let most = self.received.saturating_mul(AMPLIFICATION) + blocks;
        let wait = MOST_WAIT.saturating_mul(1 << self.tries.min(UNANSWERED_TRIES));
        self.due = (now + wait).min(self.moved_at + UNANSWERED);
        if self.spent.saturating_add(size) > most {
            return Step::Wait;
        }
        self.spent = self.spent.saturating_add(size);
        self.window_at = now;
        if self.agreeing {
            return Step::SendOack;
        }
        self.before = self.sent;
        self.sent = 1;
        self.end = 1;
        Step::Send { from: 1, to: 1 }
    }

    /// The next window.
    fn advance(&mut self, now: Duration) -> Step {
        self.confirmed = true;
        self.tries = 0;
        self.nudged = false;
        self.moved_at = now;
        self.window_at = now;
        self.before = self.sent;
        let window = u64::from(self.outline.window.max(1));
        self.end = self
            .acked
            .saturating_add(window)
            .min(self.outline.blocks.max(1));
        self.sent = self.sent.max(self.end);
        self.due = now + self.clock.wait(0);
        Step::Send {
            from: self.acked + 1,
            to: self.end,
        }
    }

    /// Whether what comes now can be an answer to the present window: no round trip was shorter.
    fn is_answer(&self, now: Duration) -> bool {
        let since = now.saturating_sub(self.window_at);
        self.clock.least.is_none_or(|least| since >= least)
    }

    /// The last acknowledgement came again.
    fn repeated(&mut self, now: Duration) -> Step {
        let known = self.clock.least.is_some() && self.is_answer(now);
        if self.outline.window <= 1 || self.nudged || !self.confirmed || !known {
            return Step::Wait;
        }
        self.nudged = true;
        self.window_at = now;
        self.before = self.sent;
        self.due = now + self.clock.wait(self.tries);
        Step::Send {
            from: self.acked + 1,
            to: self.end,
        }
    }
}

/// The round trip as RFC 6298 smooths it, from packets that were sent once.
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    smooth: Option<(Duration, Duration)>,
    least: Option<Duration>,
}

impl RoundTrip {
    fn measured(&mut self, trip: Duration) {
        self.least = Some(self.least.map_or(trip, |least| least.min(trip)));
        self.smooth = Some(match self.smooth {
            None => (trip, trip / 2),
            Some((smooth, spread)) => (
                (smooth * 7 + trip) / 8,
                (spread * 3 + smooth.abs_diff(trip)) / 4,
            ),
        });
    }

    /// How long to wait for an acknowledgement after so many tries: doubled by each.
    fn wait(&self, tries: u32) -> Duration {
        let first = match self.smooth {
            None => MOST_WAIT,
            Some((smooth, spread)) => smooth + spread * 4,
        };
        let first = first.clamp(LEAST_WAIT, MOST_WAIT);
        first.saturating_mul(1 << tries.min(8)).min(MOST_WAIT)
    }
}

fn octets(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
