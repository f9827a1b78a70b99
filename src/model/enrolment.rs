//! Arming, windows, places: when a unit may have its credentials (trust.md section 4).

use jiff::Timestamp;

use super::identity::{Assurance, BootId, Digest, Mac};
use super::lease::RelayPort;

/// What a person said about a unit's next enrolment. Part of the wanted half of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Arming {
    /// Raised by each arming. A status of another generation counts as fresh, and every unit
    /// token and report secret of another generation is void.
    pub generation: u32,
    pub from: Timestamp,
    pub until: Timestamp,
    /// `--open`: the window opens now and not at the first corroborated request.
    pub open_at: Option<Timestamp>,
    /// `--keys`: a person confirmed this very unit, so L2 may have class `key`.
    pub keys: bool,
    /// `--without-certificate`: this unit may enrol although its kind carries one.
    pub without_certificate: bool,
    /// Names of secrets that an earlier generation was given: to change at the PBX.
    pub exposed: Vec<String>,
}

/// Where a unit asked from. Unknown parts are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub site: Option<String>,
    pub certificate: Option<Digest>,
    pub port: Option<RelayPort>,
    /// The MAC whose lease the source address is: a new address of it is the same place.
    pub lease: Option<Mac>,
    /// The site's prefix that holds the source, where nothing better is known.
    pub prefix: Option<String>,
}

impl Place {
    /// Whether `now` is the place that a window was bound to: all that was known then is alike now.
    pub fn holds(&self, now: &Self) -> bool {
        fn alike<T: PartialEq>(bound: Option<&T>, now: Option<&T>) -> bool {
            bound.is_none() || bound == now
        }
        let better = self.certificate.is_some() || self.port.is_some() || self.lease.is_some();
        self.site == now.site
            && alike(self.certificate.as_ref(), now.certificate.as_ref())
            && alike(self.port.as_ref(), now.port.as_ref())
            && alike(self.lease.as_ref(), now.lease.as_ref())
            && (better || alike(self.prefix.as_ref(), now.prefix.as_ref()))
    }
}

/// The window in which a unit below L2 may have its credentials. Part of the seen half.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    pub open_since: Option<Timestamp>,
    pub open_until: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// Bound before the first secret byte, by compare-and-swap.
    pub bound_to: Option<Place>,
    /// Credential servings: one a boot.
    pub servings: u32,
    /// When the last eight servings began, newest last.
    pub recent: Vec<Timestamp>,
    /// The serving that is under way.
    pub current: Option<Serving>,
}

/// One boot's credential files.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    pub boot: BootId,
    /// Artefact ids and how often each was begun; each at most [`Serving::PER_FILE`] times.
    pub files: Vec<(String, u8)>,
    /// Artefact ids that were delivered whole.
    pub whole: Vec<String>,
}

impl Serving {
    /// How often one credential file is given in one boot.
    pub const PER_FILE: u8 = 3;
    /// Servings within two hours before the pace drops to one an hour.
    pub const PER_TWO_HOURS: usize = 8;
}

/// What the path proved, as it stands between requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ratchet {
    /// The level proved by a request at the unit's token URL, or by its certificate.
    pub mark: Assurance,
    /// Fingerprint pinned to the inventory record (L4).
    pub certificate: Option<Digest>,
    /// Place of the last full serving.
    pub served_at: Option<Place>,
    /// When `at-shared-url` was last noted.
    pub shared_noted: Option<Timestamp>,
    /// First request at the shared URL since the last one at the token URL.
    pub shared_since: Option<Timestamp>,
    /// The token was seen on a plain transport: void until a person arms the unit again.
    pub void: bool,
}
