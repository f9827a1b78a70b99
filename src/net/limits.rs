//! The device plane's numbers, in one place.

use std::time::Duration;

/// Limits of the HTTP and HTTPS listeners. Every listener shares one set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest request head, request line and last CRLF included, in octets.
    pub head: usize,
    /// The longest request line, in octets.
    pub line: usize,
    /// The most header fields.
    pub headers: usize,
    /// How long a peer may take for its ClientHello, and for the rest of its TLS handshake. What we
    /// let it wait in between is `answer_time` at most, and no fault of its.
    pub handshake_time: Duration,
    /// TLS handshakes at work at once. A permit is taken when the ClientHello is there, so that
    /// silent sockets hold none.
    pub handshakes: usize,
    /// Requests that the core works at. The others wait in the order in which their heads were whole.
    pub at_work: usize,
    /// From the connection's start (or the handshake's end) to the first octet of a request.
    pub first_byte: Duration,
    /// From a head's first octet to its last.
    pub head_time: Duration,
    /// How long the core may take to decide, with the wait for its turn.
    pub answer_time: Duration,
    /// How long a response may take however slow the reader is.
    pub response_grace: Duration,
    /// Octets a second that a reader must take beyond the grace.
    pub response_rate: u64,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// Requests of one connection; the last is answered with `Connection: close`.
    pub requests: u32,
    /// How long unacknowledged octets are kept before the kernel gives a peer up.
    pub vanished: Duration,
    /// Connections of one address (IPv6: of one /64) that no site claims.
    pub per_address: usize,
    /// Connections that are served at once.
    pub connections: usize,
    /// Connections that wait for one of these places; beyond, the kernel keeps a site's units.
    pub waiting: usize,
    /// Of both, the share in percent that addresses outside every site may fill.
    pub strangers_percent: usize,
    /// Above this share in percent every response ends its connection.
    pub crowded_percent: usize,
    /// How long requests at work may take after the first signal to stop.
    pub drain: Duration,
    /// How much is thrown away after a refused head, so that the refusal is not lost to a reset.
    pub linger_bytes: usize,
    pub linger_time: Duration,
    /// Pause after `accept` found no free file descriptor, doubled up to one second.
    pub accept_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            line: 8 * 1024,
            headers: 100,
            handshake_time: Duration::from_secs(10),
            handshakes: 512,
            at_work: 256,
            first_byte: Duration::from_secs(10),
            head_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            response_grace: Duration::from_secs(20),
            response_rate: 2 * 1024,
            idle: Duration::from_secs(30),
            requests: 1000,
            vanished: Duration::from_secs(30),
            per_address: 64,
            // An idle one costs 12 KB, over TLS 35 KB.
            connections: 4096,
            // One costs its socket and 1 KB.
            waiting: 4096,
            strangers_percent: 75,
            crowded_percent: 60,
            drain: Duration::from_secs(30),
            linger_bytes: 256 * 1024,
            linger_time: Duration::from_secs(2),
            accept_pause: Duration::from_millis(50),
        }
    }
}

/// Limits of the TFTP listeners. Every listener shares one set.
#[derive(Clone, Debug)]
pub struct TftpLimits {
    /// Transfers in all.
    pub transfers: usize,
    /// Of these, the share in percent that addresses outside every site may fill.
    pub strangers_percent: usize,
    /// Transfers of one address (IPv6: of one /64) that no site claims.
    pub per_address: usize,
    /// The most blocks of a window that are granted.
    pub window: u16,
    /// What is read from a file at once, at least, in octets.
    pub chunk: usize,
    /// After so much silence a request from a transfer's own port begins it anew.
    pub restart_after: Duration,
    /// How long the core may take to decide.
    pub answer_time: Duration,
    /// How long transfers at work may take after the first signal to stop.
    pub drain: Duration,
}

impl Default for TftpLimits {
    fn default() -> Self {
        Self {
            transfers: 1024,
            strangers_percent: 75,
            per_address: 16,
            window: 64,
            chunk: 32 * 1024,
            restart_after: Duration::from_secs(2),
            answer_time: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}
