//! Who a unit is: MAC, serial, ids, and how well a request proved them.

use std::fmt;

/// A unicast Ethernet address that a unit can own: never all-zero, broadcast or multicast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// Why a text is no MAC. The hint is meant for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not twelve hex digits in one of the usual forms.
    #[error("not twelve hexadecimal digits in one of the usual forms")]
    Form,
    /// All-zero, broadcast or multicast: no unit has it.
    #[error("all-zero, broadcast and multicast addresses belong to no unit")]
    NotAUnit,
}

impl Mac {
    /// Accepts six octets that can belong to a unit.
    pub fn new(octets: [u8; 6]) -> Result<Self, MacError> {
        let [first, ..] = octets;
        if octets == [0; 6] || first & 1 == 1 {
            Err(MacError::NotAUnit)
        } else {
            Ok(Self(octets))
        }
    }

    /// Reads every usual form: bare, one kind of separator of `: - . _` between octets, or
    /// 4-4-4 with `.` or `-`. Anything else, longer or shorter, is refused: never a closest match.
    pub fn parse(text: &str) -> Result<Self, MacError> {
        let bytes = text.as_bytes();
        let separator = match bytes.len() {
            12 => None,
            17 => Some((3, bytes.get(2).copied())),
            14 => Some((5, bytes.get(4).copied())),
            _ => return Err(MacError::Form),
        };
        if let Some((step, mark)) = separator {
            let allowed: &[u8] = if step == 3 { b":-._" } else { b".-" };
            let well = mark.is_some_and(|m| allowed.contains(&m))
                && bytes
                    .iter()
                    .skip(step - 1)
                    .step_by(step)
                    .all(|b| Some(*b) == mark);
            if !well {
                return Err(MacError::Form);
            }
        }
        let step = separator.map_or(usize::MAX, |(step, _)| step);
        let mut octets = [0_u8; 6];
        let mut digits = 0_usize;
        for (at, byte) in bytes.iter().enumerate() {
            if step != usize::MAX && at % step == step - 1 {
                continue;
            }
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return Err(MacError::Form),
            };
            let Some(octet) = octets.get_mut(digits / 2) else {
                return Err(MacError::Form);
            };
            *octet = *octet << 4 | value;
            digits += 1;
        }
        if digits == 12 {
            Self::new(octets)
        } else {
            Err(MacError::Form)
        }
    }

    /// The six octets.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The maker's part.
    pub fn maker(self) -> [u8; 3] {
        let [a, b, c, ..] = self.0;
        [a, b, c]
    }

    /// Twelve lower-case hex digits.
    pub fn bare(self) -> String {
        self.joined("")
    }

    /// Octets in lower-case hex with `separator` between them.
    pub fn joined(self, separator: &str) -> String {
        let mut text = String::with_capacity(17);
        for (at, octet) in self.0.iter().enumerate() {
            if at > 0 {
                text.push_str(separator);
            }
            text.push_str(&format!("{octet:02x}"));
        }
        text
    }

    /// The address as a number, for distances between neighbours.
    pub fn number(self) -> u64 {
        self.0.iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// A serial number in its vendor's normal form: printable ASCII without blanks, compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

impl Serial {
    /// The longest serial that is taken, in characters.
    pub const MOST: usize = 64;

    /// Accepts 1 to [`Serial::MOST`] visible ASCII characters; Unicode digits are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= Self::MOST;
        (good && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The text as the vendor prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The store's own name for a device; never reused. Shown as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u128);

impl DeviceId {
    /// Reads the 32 hex digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex {
            u128::from_str_radix(text, 16).ok().map(Self)
        } else {
            None
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// Ties one boot together over all channels. Shown as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A SHA-256 digest. Shown as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads what `Display` writes, with or without `sha256:`.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        let mut bytes = [0_u8; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// How a word came in. A listener is one of these; `Report` and `Admin` name checks only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    Dhcp,
    SipPnp,
    Tftp,
    Http,
    Https,
    Registrar,
    Report,
    Admin,
}

impl Channel {
    /// The channel's name in every record (contract section 3).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::SipPnp => "sip-pnp",
            Self::Tftp => "tftp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Registrar => "registrar",
            Self::Report => "report",
            Self::Admin => "admin",
        }
    }

    /// Reads what [`Channel::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Dhcp,
            Self::SipPnp,
            Self::Tftp,
            Self::Http,
            Self::Https,
            Self::Registrar,
            Self::Report,
            Self::Admin,
        ]
        .into_iter()
        .find(|channel| channel.as_str() == text)
    }

    /// Whether a listener on the path can read what passes.
    pub fn is_plain(self) -> bool {
        !matches!(self, Self::Https | Self::Admin)
    }
}

/// How well a request proved which unit it is (trust.md section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// Claimed in a name, header or packet.
    #[default]
    L0,
    /// Corroborated by a lease or a site's prefix.
    L1,
    /// Capability: token, digest credential, code, or a body for this unit's key.
    L2,
    /// Factory certificate, unique to the unit.
    L3,
    /// Certificate bound to this inventory record.
    L4,
}

impl Assurance {
    /// `L0` to `L4`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        }
    }

    /// Reads `L0` to `L4`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::L0, Self::L1, Self::L2, Self::L3, Self::L4]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the level rests on (contract section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LevelBy {
    Token,
    Certificate,
    Lease,
    Observed,
    Prefix,
    Code,
    Digest,
    BodyKey,
    Mac,
    Serial,
    Person,
    #[default]
    Nothing,
}

impl LevelBy {
    /// The word of contract section 3; empty where nothing was claimed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Lease => "lease",
            Self::Observed => "observed",
            Self::Prefix => "prefix",
            Self::Code => "code",
            Self::Digest => "digest",
            Self::BodyKey => "body-key",
            Self::Mac => "mac",
            Self::Serial => "serial",
            Self::Person => "person",
            Self::Nothing => "",
        }
    }

    /// Reads what [`LevelBy::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Token,
            Self::Certificate,
            Self::Lease,
            Self::Observed,
            Self::Prefix,
            Self::Code,
            Self::Digest,
            Self::BodyKey,
            Self::Mac,
            Self::Serial,
            Self::Person,
            Self::Nothing,
        ]
        .into_iter()
        .find(|by| by.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_read_in_every_usual_form_and_no_other() {
        fn check(text: &str, expect: Result<&str, MacError>) {
            assert_eq!(
                Mac::parse(text).map(|mac| mac.to_string()),
                expect.map(str::to_owned),
                "{text}"
            );
        }
        for good in [
            "001565aabbcc",
            "00:15:65:AA:bb:cc",
            "00-15-65-aa-bb-cc",
            "00_15_65_aa_bb_cc",
            "00.15.65.aa.bb.cc",
            "0015.65aa.bbcc",
            "0015-65aa-bbcc",
        ] {
            check(good, Ok("00:15:65:aa:bb:cc"));
        }
        for bad in [
            "",
            "001565aabbc",
            "001565aabbccd",
            "00:15:65:aa:bb:cc\0",
            "00:15-65:aa:bb:cc",
            "0015:65aa:bbcc",
            "02005e0000530010",
            "00:15:65:aa:bb:cg",
            "00 15 65 aa bb cc",
            "1.56E+11",
        ] {
            check(bad, Err(MacError::Form));
        }
        for nobody in ["000000000000", "ffffffffffff", "01005e000001"] {
            check(nobody, Err(MacError::NotAUnit));
        }
    }

    #[test]
    fn a_serial_is_exact() {
        assert!(Serial::parse("CBT141900G7").is_some());
        assert!(Serial::parse("１２３").is_none());
        assert!(Serial::parse("a b").is_none());
        assert!(Serial::parse("").is_none());
        assert!(Serial::parse(&"9".repeat(65)).is_none());
    }

    #[test]
    fn digests_round_trip() {
        let digest = Digest([7; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("sha256:07"), None);
    }
}
