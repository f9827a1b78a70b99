//! What people are told when their wish is not done: stable codes, words, what to do next.

use crate::store::{KeyError, StoreError};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $title:literal;)+) => {
        /// A stable code of docs/api.md section 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant),+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that scripts rely on.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The same in few words, for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    Ambiguous = "ambiguous", "The name fits several devices";
    BodyInvalid = "body-invalid", "The body cannot be read";
    Conflict = "conflict", "Somebody else changes the same rows all the time";
    DiskFull = "disk-full", "The disk that holds the store is full";
    DurationInvalid = "duration-invalid", "Not a duration";
    FamilyUnknown = "family-unknown", "No such family";
    FileInvalid = "file-invalid", "The file cannot be read as a whole";
    FingerprintMismatch = "fingerprint-mismatch", "The certificate has another fingerprint";
    IdempotencyKeyReused = "idempotency-key-reused", "The idempotency key belongs to another request";
    InUse = "in-use", "Something still uses it";
    Internal = "internal", "The server failed";
    KeyInvalid = "key-invalid", "Not a function key of this unit";
    LineInvalid = "line-invalid", "Not a line of this unit";
    MacInvalid = "mac-invalid", "Not a MAC address";
    MacTaken = "mac-taken", "The MAC belongs to another device";
    MediaType = "media-type", "The body has another media type";
    MethodNotAllowed = "method-not-allowed", "This cannot be done here";
    MissingField = "missing-field", "Something needed is missing";
    ModelUnknown = "model-unknown", "No such model";
    NameTaken = "name-taken", "The name is taken";
    NotBuilt = "not-built", "This part is not in this version";
    NotFound = "not-found", "There is no such thing";
    NotPermitted = "not-permitted", "You may not do this";
    NotReady = "not-ready", "The server is not ready yet";
    PemInvalid = "pem-invalid", "Not a certificate in PEM";
    ProfileUnknown = "profile-unknown", "No such profile";
    QueryInvalid = "query-invalid", "The query cannot be read";
    ReadOnly = "read-only", "The store cannot be written";
    SerialInvalid = "serial-invalid", "Not a serial number";
    SerialTaken = "serial-taken", "The serial number belongs to another device";
    SetInFile = "set-in-file", "The configuration file says it";
    SiteUnknown = "site-unknown", "No such site";
    SocketOnly = "socket-only", "This is answered on the unix socket only";
    StoreBusy = "store-busy", "The store does not answer";
    TimeInvalid = "time-invalid", "Not a time";
    TimedOut = "timed-out", "It took too long";
    TooLarge = "too-large", "The body is too large";
    TooManyChanges = "too-many-changes", "Another number of devices would change";
    TooManyLines = "too-many-lines", "The unit has fewer lines";
    UnknownField = "unknown-field", "A name that is not known";
    ValueInvalid = "value-invalid", "Not a value that can stand here";
    VariableUnknown = "variable-unknown", "No such variable";
    VendorUnknown = "vendor-unknown", "No such vendor";
    VersionMismatch = "version-mismatch", "Somebody was faster";
    WrongState = "wrong-state", "This cannot be done to it as it stands";
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// As the caller named it: `mac`, `line.2.user`, `variables.locale`.
    pub field: String,
    pub code: Code,
    pub detail: String,
    pub hint: String,
}

impl FieldError {
    /// A wrong field without a hint.
    pub fn new(field: &str, code: Code, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            code,
            detail: detail.into(),
            hint: String::new(),
        }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Why a wish was not done. No text holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    pub hint: String,
    /// Every field that is wrong, all at once.
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem that no single field causes.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            hint: String::new(),
            errors: Vec::new(),
        }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Nothing of that name.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {name:?}"))
    }

    /// Ends with every wrong field, if there is one. The first gives the code.
    pub fn unless_clean(errors: Vec<FieldError>) -> Result<(), Self> {
        let Some(first) = errors.first() else {
            return Ok(());
        };
        let detail = match errors.len() {
            1 => first.detail.clone(),
            more => format!("{more} fields are wrong"),
        };
        let hint = if errors.len() == 1 {
            first.hint.clone()
        } else {
            String::new()
        };
        Err(Self {
            code: first.code,
            detail,
            hint,
            errors,
        })
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self {
            code: error.code,
            detail: error.detail.clone(),
            hint: error.hint.clone(),
            errors: vec![error],
        }
    }
}

impl From<StoreError> for Problem {
    /// What the operating system or the engine says stays in the log.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what } => {
                Self::new(Code::Conflict, format!("{what} was changed meanwhile"))
            }
            StoreError::Taken {
                field,
                value,
                holder,
            } => taken(field, &value, &holder.to_string()),
            StoreError::NotFound { what } => {
                Self::new(Code::NotFound, format!("there is no {what}"))
            }
            StoreError::DiskFull => Self::new(
                Code::DiskFull,
                "nothing was changed; known units go on being served",
            )
            .hint("make room on the disk that holds the data folder"),
            StoreError::ReadOnly { dir, .. } => Self::new(
                Code::ReadOnly,
                format!("{} cannot be written", dir.display()),
            ),
            StoreError::Closed => Self::new(Code::NotReady, "the server is stopping"),
            error @ (StoreError::WrongOwner { .. }
            | StoreError::Locked { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Newer { .. }
            | StoreError::OtherEngine { .. }
            | StoreError::Url { .. }
            | StoreError::Io { .. }) => {
                tracing::error!(%error, "the store failed");
                Self::new(Code::Internal, "the store failed")
                    .hint("the cause is in the server's log")
            }
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "a secret was neither sealed nor opened");
        Self::new(Code::Internal, "a secret was neither sealed nor opened")
            .hint("the cause is in the server's log")
    }
}

/// A unique value is another device's.
pub(crate) fn taken(field: &str, value: &str, holder: &str) -> Problem {
    let (code, what) = match field {
        "mac" => (Code::MacTaken, "MAC"),
        "serial" => (Code::SerialTaken, "serial number"),
        _ => (Code::Conflict, "value"),
    };
    FieldError::new(
        field,
        code,
        format!("{value} is the {what} of device {holder}"),
    )
    .hint(format!("show it with: dialtone device show {holder}"))
    .into()
}

/// The known name that is nearest to a mistyped one, as a hint.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let typed = typed.to_lowercase();
    let near = known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&typed, &name.to_lowercase()),
                name,
            )
        })
        .min();
    match near {
        Some((distance, name)) if distance <= 1 + name.len() / 3 => {
            format!("did you mean {name}?")
        }
        Some(_) | None => String::new(),
    }
}
