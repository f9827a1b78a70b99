//! How rows are named: tenant, table, and the parts of the row's own key, in sorting order.
//!
//! A text ends in NUL, with NUL and 1 inside it escaped, so that no name is another one's prefix.
//! Numbers are big-endian.

use std::net::IpAddr;

use sha2::Digest as _;

use super::codec_device::TokenRow;
use super::rows::{Owner, TokenKind};
use crate::model::device::TENANT;
use crate::model::event::AlertKind;
use crate::model::identity::{DeviceId, Digest, Mac, Serial};
use crate::model::profile::Layer;

/// The tables. `Index...` rows can be made again from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Meta,
    Config,
    Status,
    Secret,
    Check,
    Alert,
    Lease,
    Scope,
    Site,
    Waiver,
    Pbx,
    Bundle,
    Published,
    History,
    Anchor,
    Job,
    JobBody,
    Audit,
    /// MAC to device.
    IndexMac,
    /// Serial and vendor to device.
    IndexSerial,
    /// SHA-256 of a token to device, generation, kind.
    IndexToken,
    /// Fingerprint to device. Not made again: it is the pin.
    Pin,
    /// Device and fingerprint.
    IndexPin,
    /// Device and number of a check to its boot.
    IndexCheck,
    /// MAC and address of a lease.
    IndexLease,
}

impl Table {
    /// Every table.
    pub(crate) const ALL: [Self; 25] = [
        Self::Meta,
        Self::Config,
        Self::Status,
        Self::Secret,
        Self::Check,
        Self::Alert,
        Self::Lease,
        Self::Scope,
        Self::Site,
        Self::Waiver,
        Self::Pbx,
        Self::Bundle,
        Self::Published,
        Self::History,
        Self::Anchor,
        Self::Job,
        Self::JobBody,
        Self::Audit,
        Self::IndexMac,
        Self::IndexSerial,
        Self::IndexToken,
        Self::Pin,
        Self::IndexPin,
        Self::IndexCheck,
        Self::IndexLease,
    ];

    /// The octet that stands for it in a key, for ever.
    pub(crate) fn tag(self) -> u8 {
        match self {
            Self::Meta => b'm',
            Self::Config => b'c',
            Self::Status => b's',
            Self::Secret => b'x',
            Self::Check => b'k',
            Self::Alert => b'a',
            Self::Lease => b'l',
            Self::Scope => b'g',
            Self::Site => b'i',
            Self::Waiver => b'w',
            Self::Pbx => b'p',
            Self::Bundle => b'b',
            Self::Published => b'r',
            Self::History => b'h',
            Self::Anchor => b'n',
            Self::Job => b'j',
            Self::JobBody => b'o',
            Self::Audit => b'u',
            Self::IndexMac => b'1',
            Self::IndexSerial => b'2',
            Self::IndexToken => b'3',
            Self::Pin => b'4',
            Self::IndexPin => b'5',
            Self::IndexCheck => b'6',
            Self::IndexLease => b'7',
        }
    }

    /// The name shown in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Config => "device",
            Self::Status => "status",
            Self::Secret => "secret",
            Self::Check => "check",
            Self::Alert => "alert",
            Self::Lease => "lease",
            Self::Scope => "scope",
            Self::Site => "site",
            Self::Waiver => "waiver",
            Self::Pbx => "pbx",
            Self::Bundle => "bundle",
            Self::Published => "published",
            Self::History => "history",
            Self::Anchor => "anchor",
            Self::Job => "job",
            Self::JobBody => "job body",
            Self::Audit => "audit",
            Self::IndexMac => "index of MACs",
            Self::IndexSerial => "index of serials",
            Self::IndexToken => "index of tokens",
            Self::Pin => "pinned certificate",
            Self::IndexPin => "index of pins",
            Self::IndexCheck => "index of checks",
            Self::IndexLease => "index of leases",
        }
    }
}

/// Builds a key part by part.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Tenant and table.
    pub(crate) fn of(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(TENANT.as_bytes());
        bytes.push(0);
        bytes.push(table.tag());
        Self(bytes)
    }

    /// A text, ended.
    pub(crate) fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            match byte {
                0 => self.0.extend_from_slice(&[1, 1]),
                1 => self.0.extend_from_slice(&[1, 2]),
                other => self.0.push(other),
            }
        }
        self.0.push(0);
        self
    }

    /// A number.
    pub(crate) fn number(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// Octets of a length that the table fixes, or the last part.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A device.
    pub(crate) fn device(self, id: DeviceId) -> Self {
        self.raw(&id.0.to_be_bytes())
    }

    /// The key.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    /// Octets so far.
    pub(crate) fn width(&self) -> usize {
        self.0.len()
    }

    /// This key and the first one after all that begin with it.
    pub(crate) fn range(self) -> (Vec<u8>, Vec<u8>) {
        let end = after(&self.0);
        (self.0, end)
    }
}

/// The first key after all that begin with `prefix`. Keys begin with the tenant's name, so there is
/// always an octet that can be raised.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    end
}

/// The table of a key, or `None` for a stranger's.
pub(crate) fn table_of(key: &[u8]) -> Option<Table> {
    let rest = key.strip_prefix(TENANT.as_bytes())?.strip_prefix(&[0])?;
    let tag = *rest.first()?;
    Table::ALL.into_iter().find(|table| table.tag() == tag)
}

/// Takes a key apart in the order in which [`Key`] built it.
pub(crate) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// Behind tenant and table.
    pub(crate) fn of(key: &'a [u8]) -> Option<Self> {
        key.get(TENANT.len() + 2..).map(Self)
    }

    /// The next octets.
    pub(crate) fn raw<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        part.try_into().ok()
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.raw().map(u64::from_be_bytes)
    }

    /// The next device.
    pub(crate) fn device(&mut self) -> Option<DeviceId> {
        self.raw().map(|bytes| DeviceId(u128::from_be_bytes(bytes)))
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (escaped, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut escaped = escaped.iter().copied();
        while let Some(byte) = escaped.next() {
            bytes.push(if byte == 1 {
                escaped.next()?.checked_sub(1)?
            } else {
                byte
            });
        }
        String::from_utf8(bytes).ok()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// The text that begins behind `at` octets of a key.
pub(crate) fn text_behind(key: &[u8], at: usize) -> Option<String> {
    Parts(key.get(at..)?).text()
}

/// Name of the row that keeps the next check's number once the last check may be gone.
pub(crate) const NEXT_CHECK: &str = "_next-check";
/// Long values lie in pieces of this many octets: far below what sled would move out of its log.
pub(crate) const PIECE: usize = 3072;

pub(crate) fn mac_key(mac: Mac) -> Vec<u8> {
    Key::of(Table::IndexMac).raw(&mac.octets()).done()
}

/// A serial is one vendor's: two vendors may give the same.
pub(crate) fn serial_key(serial: &Serial, vendor: &str) -> Vec<u8> {
    let serial = Key::of(Table::IndexSerial).text(serial.as_str());
    serial.text(vendor).done()
}

pub(crate) fn token_key(digest: Digest) -> Vec<u8> {
    Key::of(Table::IndexToken).raw(&digest.0).done()
}

pub(crate) fn pin_key(fingerprint: Digest) -> Vec<u8> {
    Key::of(Table::Pin).raw(&fingerprint.0).done()
}

/// Beneath it lie the owner's secrets by field.
pub(crate) fn secrets_key(owner: &Owner) -> Key {
    let key = Key::of(Table::Secret);
    match owner {
        Owner::Device(id) => key.raw(b"d").device(*id),
        Owner::Scope(layer, name) => key.raw(b"s").text(layer.as_str()).text(name),
    }
}

pub(crate) fn alert_key(device: DeviceId, kind: AlertKind) -> Vec<u8> {
    Key::of(Table::Alert)
        .device(device)
        .text(kind.as_str())
        .done()
}

fn address(key: Key, ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => key.raw(&[4]).raw(&v4.octets()),
        IpAddr::V6(v6) => key.raw(&[6]).raw(&v6.octets()),
    }
    .done()
}

pub(crate) fn lease_key(ip: IpAddr) -> Vec<u8> {
    address(Key::of(Table::Lease), ip)
}

pub(crate) fn lease_index_key(mac: Mac, ip: IpAddr) -> Vec<u8> {
    address(Key::of(Table::IndexLease).raw(&mac.octets()), ip)
}

pub(crate) fn scope_key(layer: Layer, name: &str) -> Vec<u8> {
    Key::of(Table::Scope).text(layer.as_str()).text(name).done()
}

/// A waiver is known by its site and its models, in any order.
pub(crate) fn waiver_key(site: &str, models: &[String]) -> Vec<u8> {
    let mut models: Vec<_> = models.iter().collect();
    models.sort_unstable();
    models.dedup();
    let key = Key::of(Table::Waiver).text(site);
    models
        .into_iter()
        .fold(key, |key, model| key.text(model))
        .done()
}

/// The length lies here, the pieces beneath.
pub(crate) fn bundle_key(digest: Digest) -> Vec<u8> {
    Key::of(Table::Bundle).raw(&digest.0).done()
}

pub(crate) fn anchor_key(vendor: &str, der: &[u8]) -> Vec<u8> {
    let digest = sha2::Sha256::digest(der);
    Key::of(Table::Anchor).text(vendor).raw(&digest).done()
}

/// What the index of tokens holds.
pub(crate) fn token_value(id: DeviceId, token: &TokenRow) -> Vec<u8> {
    let mut value = id.0.to_be_bytes().to_vec();
    value.extend_from_slice(&token.generation.to_be_bytes());
    value.push(match token.kind {
        TokenKind::Unit => b'u',
        TokenKind::Report => b'r',
    });
    value
}

/// Reads what [`token_value`] writes.
pub(crate) fn token_of(value: &[u8]) -> Option<(DeviceId, u32, TokenKind)> {
    let (id, rest) = value.split_first_chunk::<16>()?;
    let (generation, kind) = rest.split_first_chunk::<4>()?;
    let kind = match kind {
        b"u" => TokenKind::Unit,
        b"r" => TokenKind::Report,
        _ => return None,
    };
    Some((
        DeviceId(u128::from_be_bytes(*id)),
        u32::from_be_bytes(*generation),
        kind,
    ))
}

/// The device that an index's value begins with.
pub(crate) fn leading_device(value: &[u8]) -> Option<DeviceId> {
    let (id, _) = value.split_first_chunk::<16>()?;
    Some(DeviceId(u128::from_be_bytes(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_are_unique() {
        let mut tags: Vec<_> = Table::ALL.iter().map(|table| table.tag()).collect();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), Table::ALL.len());
    }

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(after(b"ab\xff\xff"), b"ac");
        assert_eq!(after(b"ab"), b"ac");
    }

    proptest! {
        #[test]
        fn keys_come_apart_as_they_were_put_together(a in ".*", b in any::<u64>(), c in ".*", d in any::<u128>()) {
            let key = Key::of(Table::Scope).text(&a).number(b).text(&c).device(DeviceId(d)).done();
            prop_assert_eq!(table_of(&key), Some(Table::Scope));
            let mut parts = Parts::of(&key).unwrap();
            prop_assert_eq!(parts.text(), Some(a));
            prop_assert_eq!(parts.number(), Some(b));
            prop_assert_eq!(parts.text(), Some(c));
            prop_assert_eq!(parts.device(), Some(DeviceId(d)));
            prop_assert!(parts.rest().is_empty());
        }

        #[test]
        fn no_text_is_the_start_of_another(a in ".*", b in ".*") {
            prop_assume!(a != b);
            let one = Key::of(Table::Scope).text(&a).done();
            let other = Key::of(Table::Scope).text(&b).done();
            prop_assert!(!one.starts_with(&other));
        }

        #[test]
        fn any_bytes_come_apart_without_panic(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            table_of(&key);
            if let Some(mut parts) = Parts::of(&key) {
                drop(parts.text());
                parts.number();
                drop(parts.text());
            }
        }
    }
}
