//! What the device door leaves behind: sightings and alerts. Checks are in [`super::activation`].

use std::net::IpAddr;

use jiff::Timestamp;

use super::identity::{Channel, DeviceId, Mac, Serial};

/// A unit that asked and is not in the inventory. Kept in bounded memory only.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    pub mac: Option<Mac>,
    pub serial: Option<Serial>,
    pub vendor: Option<String>,
    pub family: Option<String>,
    pub model: Option<String>,
    pub firmware: Option<String>,
    pub ip: IpAddr,
    pub site: Option<String>,
    pub channel: Channel,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
    /// Why it got nothing, as a stable code.
    pub reason: String,
}

/// Something that a person must look at (contract section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    Enumeration,
    TokenMismatch,
    TokenTwoPlaces,
    OneAddressManyUnits,
    SamePlaceOtherUnit,
    CertificateExpected,
    CertMacMismatch,
    AssuranceDowngrade,
    RetiredUnitActive,
    UntrustedOption82,
    OtherDhcpServer,
    MassLoss,
    /// A window bound to one place was asked for from another (trust.md section 4).
    OtherPlace,
    /// Two identifiers of one request name two units (design.md, invariant 5).
    IdentifiersDisagree,
    /// A unit's maker certified another key than the one that its record is bound to (trust.md
    /// sections 1 and 4).
    OtherCertificate,
}

impl AlertKind {
    /// Every kind, in the contract's order.
    pub const ALL: [Self; 15] = [
        Self::Enumeration,
        Self::TokenMismatch,
        Self::TokenTwoPlaces,
        Self::OneAddressManyUnits,
        Self::SamePlaceOtherUnit,
        Self::CertificateExpected,
        Self::CertMacMismatch,
        Self::AssuranceDowngrade,
        Self::RetiredUnitActive,
        Self::UntrustedOption82,
        Self::OtherDhcpServer,
        Self::MassLoss,
        Self::OtherPlace,
        Self::IdentifiersDisagree,
        Self::OtherCertificate,
    ];

    /// The word of contract section 3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enumeration => "enumeration",
            Self::TokenMismatch => "token-mismatch",
            Self::TokenTwoPlaces => "token-two-places",
            Self::OneAddressManyUnits => "one-address-many-units",
            Self::SamePlaceOtherUnit => "same-place-other-unit",
            Self::CertificateExpected => "certificate-expected",
            Self::CertMacMismatch => "cert-mac-mismatch",
            Self::AssuranceDowngrade => "assurance-downgrade",
            Self::RetiredUnitActive => "retired-unit-active",
            Self::UntrustedOption82 => "untrusted-option82",
            Self::OtherDhcpServer => "other-dhcp-server",
            Self::MassLoss => "mass-loss",
            Self::OtherPlace => "other-place",
            Self::IdentifiersDisagree => "identifiers-disagree",
            Self::OtherCertificate => "other-certificate",
        }
    }

    /// Reads what [`AlertKind::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Alerts of one kind about one unit are one row with a count.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub kind: AlertKind,
    pub device: DeviceId,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
    /// The place where the unit belongs and the one that asked, in words.
    pub places: Vec<String>,
    pub text: String,
}
