//! What the device door hands back to a transport. A transport encodes it and decides nothing.

use std::net::Ipv4Addr;

use bytes::Bytes;

use crate::catalog::manifest::{HttpRefusal, TftpRefusal};
use crate::engine::facts::Facts;
use crate::model::identity::{DeviceId, Serial};

/// The answer to one request.
pub enum Answer {
    /// A report was taken: 200 with an empty body.
    Accepted,
    File(File),
    /// The manifest's refusal, alike for every reason.
    Refuse(Refusal),
}

/// A file to send.
pub struct File {
    pub body: Body,
    pub media_type: String,
    /// Without quotes; keyed for the unit, so no other unit's can match (hostile-cases B22).
    pub etag: String,
    /// Handed back with the end of the transfer.
    pub ticket: Ticket,
}

/// Where a file's bytes are.
pub enum Body {
    Bytes(Bytes),
    /// Public firmware, streamed from disk; the path was made from a digest, never from a name.
    Disk {
        path: std::path::PathBuf,
        length: u64,
    },
}

/// What the door makes of a unit that asks where its configuration is.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `None` is the refusal: a plain lease without the options, or silence.
    pub pointer: Option<Pointed>,
    /// The listed unit that is meant.
    pub device: Option<DeviceId>,
    /// Its family is known, by the manifests or by the inventory.
    pub recognised: bool,
    /// The serial that its own packet named, for its lease.
    pub serial: Option<Serial>,
    /// Where it stands, by its record, its address or its relay.
    pub site: Option<String>,
}

/// Where a unit is told to ask: for DHCP the options, for SIP PnP the URL.
#[derive(Clone, Debug)]
pub struct Pointed {
    /// In ascending order, each at most once; a value may be longer than 255 octets (RFC 3396).
    pub options: Vec<(u8, Vec<u8>)>,
    pub siaddr: Option<Ipv4Addr>,
    /// The BOOTP file field.
    pub file: Option<String>,
    /// The shortest lease, in seconds, that the unit takes.
    pub lease: u32,
    /// The body of a NOTIFY.
    pub url: Option<String>,
    /// Handed back with the end of a NOTIFY.
    pub ticket: Ticket,
}

/// A refusal in each transport's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub http: HttpRefusal,
    pub tftp: TftpRefusal,
    /// With 503 only, in seconds.
    pub retry_after: u32,
}

/// Names a transfer to the core. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Of a transfer that nobody follows.
    pub const NOBODY: Self = Self(0);
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The last byte was accepted and the connection was not reset.
    Whole,
    /// 304: it has these bytes already.
    Unchanged,
    /// HEAD, or a range that was not the whole.
    Part,
    /// Broken off.
    Broken,
    /// The peer never said that it is there, as a forged source would not (TFTP).
    Unanswered,
}

/// Why a handshake ended before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    ClientRejectsCertificate,
    ClockWrong,
    TooOld,
    Other,
}

impl TlsFailure {
    /// A stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientRejectsCertificate => "tls-client-rejects-certificate",
            Self::ClockWrong => "tls-clock-wrong",
            Self::TooOld => "tls-too-old",
            Self::Other => "tls-failed",
        }
    }
}

/// The device door, as the transports see it. `service::Service` is the one that serves;
/// transports are generic over it so that their tests need no store.
pub trait Door: Clone + Send + Sync + 'static {
    /// Decides, renders and records, as trust.md section 7 orders.
    fn answer(&self, facts: Facts) -> impl Future<Output = Answer> + Send;
    /// A unit asks where its configuration is, by DHCP or SIP PnP.
    fn point(&self, facts: Facts) -> impl Future<Output = Asked> + Send;
    /// The end of a transfer, or of a NOTIFY.
    fn delivered(
        &self,
        ticket: &Ticket,
        how: Delivery,
        bytes: u64,
    ) -> impl Future<Output = ()> + Send;
    /// A handshake that died.
    fn handshake_failed(
        &self,
        source: std::net::IpAddr,
        why: TlsFailure,
    ) -> impl Future<Output = ()> + Send;
    /// Whether a name or address in `Host` or an absolute-form target is one of ours.
    fn is_ours(&self, host: &str) -> bool;
}
