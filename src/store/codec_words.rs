//! Stored shapes of single words: times, addresses, digests, ids, values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{In, Out, Stored, exactly, octets, shapes, words};
use super::rows::JobState;
use crate::model::activation::{CheckKind, Flag, Outcome, Proof, Registration, State};
use crate::model::device::Lifecycle;
use crate::model::event::AlertKind;
use crate::model::identity::{Assurance, BootId, Channel, DeviceId, Digest, LevelBy, Mac, Serial};
use crate::model::lease::{LeaseSource, RelayPort};
use crate::model::profile::{Layer, Value, Variables};
use crate::model::secret::Sealed;
use crate::model::site::{Corroborate, Doubt};

words!(
    AlertKind,
    Assurance,
    Channel,
    CheckKind,
    Doubt,
    Flag,
    JobState,
    Layer,
    LevelBy,
    Lifecycle,
    Outcome,
    Proof,
    Registration,
    State,
);

/// Types that are stored as the text that `Display` writes.
macro_rules! texts {
    ($($type:ty: $parse:expr),+ $(,)?) => { $(
        impl Stored for $type {
            fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
            fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(&text).ok_or_else(|| D::Error::custom(concat!("no ", stringify!($type))))
            }
        }
    )+ };
}
texts!(
    IpNet: |text| text.parse().ok(),
    Serial: |text| Serial::parse(text),
);

/// Words without an `as_str` of their own.
macro_rules! pairs {
    ($type:ty { $($variant:ident = $word:literal),+ }) => {
        impl Stored for $type {
            fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(match self { $(Self::$variant => $word),+ })
            }
            fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                match String::deserialize(from)?.as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(D::Error::custom(concat!("no word of ", stringify!($type)))),
                }
            }
        }
    };
}
pairs!(Corroborate { Lease = "lease", Prefix = "prefix" });
pairs!(LeaseSource { Own = "own", Observed = "observed" });

/// Seconds and nanoseconds since 1970: every time that there is, exactly.
impl Stored for Timestamp {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.as_second(), self.subsec_nanosecond()).serialize(to)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (seconds, nanoseconds) = <(i64, i32)>::deserialize(from)?;
        Self::new(seconds, nanoseconds).map_err(D::Error::custom)
    }
}

impl Stored for Mac {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.octets())
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(exactly(from)?).map_err(D::Error::custom)
    }
}

impl Stored for DeviceId {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0.to_be_bytes())
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        exactly(from).map(|octets| Self(u128::from_be_bytes(octets)))
    }
}

impl Stored for Digest {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        exactly(from).map(Self)
    }
}

impl Stored for BootId {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

/// Four or sixteen octets.
impl Stored for IpAddr {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::V4(v4) => to.serialize_bytes(&v4.octets()),
            Self::V6(v6) => to.serialize_bytes(&v6.octets()),
        }
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = octets::deserialize(from)?;
        <[u8; 4]>::try_from(bytes.as_slice())
            .map(Self::from)
            .or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(Self::from))
            .map_err(|_| D::Error::custom("no address"))
    }
}

/// A value as itself; a secret's mark as nil.
impl Stored for Value {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Int(value) => to.serialize_i64(*value),
            Self::List(values) => to.collect_seq(values.iter().map(Out)),
            Self::Secret => to.serialize_unit(),
            Self::Table(values) => to.collect_map(values.iter().map(|(k, v)| (k, Out(v)))),
            Self::Text(value) => to.serialize_str(value),
        }
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Bool(bool),
            Int(i64),
            Text(String),
            List(Vec<In<Value>>),
            Table(BTreeMap<String, In<Value>>),
            Secret(()),
        }
        Ok(match Shape::deserialize(from)? {
            Shape::Bool(value) => Self::Bool(value),
            Shape::Int(value) => Self::Int(value),
            Shape::Text(value) => Self::Text(value),
            Shape::List(values) => Self::List(values.into_iter().map(|value| value.0).collect()),
            Shape::Table(values) => {
                Self::Table(values.into_iter().map(|(k, v)| (k, v.0)).collect())
            }
            Shape::Secret(()) => Self::Secret,
        })
    }
}

impl Stored for Variables {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, Out(value))))
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, In<Value>>::deserialize(from)?;
        Ok(Self(values.into_iter().map(|(k, v)| (k, v.0)).collect()))
    }
}

shapes!(RelayPort => RelayPortShape, Sealed => SealedShape);

#[derive(Serialize, Deserialize)]
#[serde(remote = "RelayPort")]
struct RelayPortShape {
    #[serde(with = "octets")]
    circuit: Vec<u8>,
    #[serde(with = "octets")]
    remote: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Sealed")]
struct SealedShape {
    key_id: u32,
    #[serde(with = "octets")]
    bytes: Vec<u8>,
}
