//! Stored shapes: how rows become bytes, and bytes rows again.
//!
//! A row is one octet of version, then its shape in MessagePack with the fields' names, so that a
//! reader passes over fields that it does not know, and a missing field has a default. A change
//! that an older reader would misunderstand raises [`VERSION`]; the older shape stays readable.
//! The model derives no `Serialize`: its types get [`Stored`], by the shapes in `codec_*`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Version of the shapes that are written.
pub(crate) const VERSION: u8 = 1;

/// A row that does not decode. The text names the trouble, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// The bytes of a row.
pub(crate) fn encode<T: Stored>(row: &T) -> Result<Vec<u8>, Malformed> {
    let mut bytes = vec![VERSION];
    let mut writer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    Out(row)
        .serialize(&mut writer)
        .map_err(|error| Malformed(error.to_string()))?;
    Ok(bytes)
}

/// The row of these bytes.
pub(crate) fn decode<T: Stored>(bytes: &[u8]) -> Result<T, Malformed> {
    match bytes.split_first() {
        Some((&VERSION, shape)) => rmp_serde::from_slice::<In<T>>(shape)
            .map(|row| row.0)
            .map_err(|error| Malformed(error.to_string())),
        Some((other, _)) => Err(Malformed(format!("shape of version {other}"))),
        None => Err(Malformed("no bytes".to_owned())),
    }
}

/// How a type that knows no serialised form is stored.
pub(crate) trait Stored: Sized {
    /// Writes the shape.
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
    /// Reads the shape.
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Serde's view of a stored type.
pub(crate) struct Out<'a, T>(pub(crate) &'a T);

impl<T: Stored> Serialize for Out<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.store(to)
    }
}

/// Serde's view of a type to restore.
pub(crate) struct In<T>(pub(crate) T);

impl<'de, T: Stored> Deserialize<'de> for In<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::restore(from).map(Self)
    }
}

/// For `#[serde(with = "stored")]`.
pub(crate) mod stored {
    use super::{Deserializer, Serializer, Stored};

    pub(crate) fn serialize<T: Stored, S: Serializer>(row: &T, to: S) -> Result<S::Ok, S::Error> {
        row.store(to)
    }

    pub(crate) fn deserialize<'de, T: Stored, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        T::restore(from)
    }
}

/// For `skip_serializing_if`: a field at its default is left out.
pub(crate) fn plain<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<T: Stored> Stored for Option<T> {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(Out).serialize(to)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<In<T>>::deserialize(from)?.map(|inner| inner.0))
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Out))
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rows = Vec::<In<T>>::deserialize(from)?;
        Ok(rows.into_iter().map(|inner| inner.0).collect())
    }
}

impl<T: Stored> Stored for Box<T> {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        T::store(self, to)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::restore(from).map(Self::new)
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (Out(&self.0), Out(&self.1)).serialize(to)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (a, b) = <(In<A>, In<B>)>::deserialize(from)?;
        Ok((a.0, b.0))
    }
}

impl<A: Stored, B: Stored, C: Stored> Stored for (A, B, C) {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (Out(&self.0), Out(&self.1), Out(&self.2)).serialize(to)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (a, b, c) = <(In<A>, In<B>, In<C>)>::deserialize(from)?;
        Ok((a.0, b.0, c.0))
    }
}

/// Types that serde stores as they are.
macro_rules! as_is {
    ($($type:ty),+) => { $(
        impl Stored for $type {
            fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.serialize(to)
            }
            fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <$type>::deserialize(from)
            }
        }
    )+ };
}
as_is!(String, bool, u8, u16, u32, u64);

/// Types that are words of the contract: `as_str` and `parse`.
macro_rules! words {
    ($($type:ty),+ $(,)?) => { $(
        impl $crate::store::codec::Stored for $type {
            fn store<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
            fn restore<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                Self::parse(&word).ok_or_else(|| {
                    serde::de::Error::custom(concat!("no word of ", stringify!($type)))
                })
            }
        }
    )+ };
}
pub(crate) use words;

/// Types whose shape is a struct with `#[serde(remote = ...)]`.
macro_rules! shapes {
    ($($type:ty => $shape:ty),+ $(,)?) => { $(
        impl $crate::store::codec::Stored for $type {
            fn store<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                <$shape>::serialize(self, to)
            }
            fn restore<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <$shape>::deserialize(from)
            }
        }
    )+ };
}
pub(crate) use shapes;

/// Octets, stored as octets and not as a list of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

impl Stored for Octets {
    fn store<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
    fn restore<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Octets;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("octets")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Octets, E> {
                Ok(Octets(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

/// Reads octets of a fixed number.
pub(crate) fn exactly<'de, const N: usize, D: Deserializer<'de>>(
    from: D,
) -> Result<[u8; N], D::Error> {
    let octets = Octets::restore(from)?.0;
    <[u8; N]>::try_from(octets).map_err(|_| D::Error::custom(format!("not {N} octets")))
}

/// For `#[serde(with = "octets")]` on a `Vec<u8>`.
pub(crate) mod octets {
    use super::{Deserializer, Octets, Serializer, Stored};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Octets::restore(from).map(|octets| octets.0)
    }
}
