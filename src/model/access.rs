//! What a value is worth and what an answer may hold (trust.md section 2).

/// The class of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Public,
    Site,
    Credential,
    Key,
}

impl Class {
    /// The word used in `profiles/schema.toml` and in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Site => "site",
            Self::Credential => "credential",
            Self::Key => "key",
        }
    }

    /// Reads what [`Class::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Public, Self::Site, Self::Credential, Self::Key]
            .into_iter()
            .find(|class| class.as_str() == text)
    }
}

/// The classes that one answer may hold besides `public`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    pub site: bool,
    pub credential: bool,
    pub key: bool,
}

impl Grant {
    /// Public values only.
    pub const PUBLIC: Self = Self {
        site: false,
        credential: false,
        key: false,
    };
    /// Everything.
    pub const ALL: Self = Self {
        site: true,
        credential: true,
        key: true,
    };

    /// Whether a value of `class` may be shown.
    pub fn allows(self, class: Class) -> bool {
        match class {
            Class::Public => true,
            Class::Site => self.site,
            Class::Credential => self.credential,
            Class::Key => self.key,
        }
    }

    /// Every grant that `decide` can reach, lowest first: used for goldens and lint.
    pub fn ladder() -> [(&'static str, Self); 4] {
        [
            ("public", Self::PUBLIC),
            (
                "site",
                Self {
                    site: true,
                    ..Self::PUBLIC
                },
            ),
            (
                "credential",
                Self {
                    site: true,
                    credential: true,
                    key: false,
                },
            ),
            ("key", Self::ALL),
        ]
    }
}
