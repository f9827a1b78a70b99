//! Values of variables and the layers they come from.

use std::collections::BTreeMap;

/// A value as people set it. A secret is only marked here; its sealed bytes are rows of their own.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    List(Vec<Self>),
    /// Set, and kept sealed by the store under the same name.
    Secret,
    Table(BTreeMap<String, Self>),
    Text(String),
}

/// Variables by their name in `profiles/schema.toml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variables(pub BTreeMap<String, Value>);

/// Where a resolved value came from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The vocabulary's own default.
    Schema,
    Global,
    Tenant,
    Site,
    Group,
    Profile,
    Model,
    User,
    Device,
}

impl Layer {
    /// The word shown by `render` and used by `var --scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Global => "global",
            Self::Tenant => "tenant",
            Self::Site => "site",
            Self::Group => "group",
            Self::Profile => "profile",
            Self::Model => "model",
            Self::User => "user",
            Self::Device => "device",
        }
    }

    /// Reads what [`Layer::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Schema,
            Self::Global,
            Self::Tenant,
            Self::Site,
            Self::Group,
            Self::Profile,
            Self::Model,
            Self::User,
            Self::Device,
        ]
        .into_iter()
        .find(|layer| layer.as_str() == text)
    }
}

/// A row of variables that people set for everything in a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// `Global`, `Tenant`, `Site`, `Group` or `User`; the others are not rows.
    pub layer: Layer,
    /// The site's, group's or user's name; empty for global and tenant.
    pub name: String,
    pub variables: Variables,
    /// When a person last changed it: opens windows (trust.md section 4).
    pub changed_at: Option<jiff::Timestamp>,
    pub version: u64,
}

/// A resolved value and the layer that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub value: Value,
    pub layer: Layer,
}
