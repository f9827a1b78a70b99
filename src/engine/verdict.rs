//! What `decide` hands to the service: what to answer, what to record, what to tell people.

use super::reply::Reply;
use crate::model::access::Grant;
use crate::model::activation::{CheckKind, Outcome};
use crate::model::device::Status;
use crate::model::enrolment::Place;
use crate::model::event::AlertKind;
use crate::model::identity::{Assurance, BootId, DeviceId, Digest, LevelBy};

/// Which of an artefact's two templates is rendered.
pub use crate::catalog::revision::Which;

/// The answer to a request for a file, and why.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub decision: Decision,
    /// A stable code: see [`reason`].
    pub reason: &'static str,
    pub level: Assurance,
    pub by: LevelBy,
    pub place: Place,
    /// What changes about the unit, if one was named.
    pub unit: Option<UnitChange>,
    pub alerts: Vec<AlertDraft>,
    /// The site whose prefix is believed no more from now on: one unit too many asked.
    pub crowded: Option<String>,
    /// The unit's own file was refused: a shared one that it would fall back to is refused too.
    pub own_file_refused: bool,
    /// Why an unlisted unit is put among the sightings.
    pub sighting: bool,
}

/// Refuse, tell where to ask, or render.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Decision {
    #[default]
    Refuse,
    Point(Reply),
    Bootstrap(Plan),
    Serve(Plan),
}

/// What is rendered, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub source: Source,
    /// Id in the manifest.
    pub artefact: String,
    pub which: Which,
    pub grant: Grant,
    /// The file may hold credentials: its intent must be durable before its first octet.
    pub credential: bool,
    /// Something that is set for the unit was withheld.
    pub partial: bool,
    /// The unit opens HTTPS with us, so the file may send it there.
    pub https: bool,
    /// The unit can use its token URL: it opens HTTPS with us, and its ceiling is L2 at least.
    pub token: bool,
    pub release: bool,
}

/// Whose values and whose revision.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A listed unit's own revision and values.
    Unit(DeviceId),
    /// The family's default profile, with nothing of any unit.
    Stranger {
        vendor: String,
        family: String,
        /// The site whose prefix holds the source.
        site: Option<String>,
    },
}

/// What is recorded about the unit that was named.
#[derive(Clone, Debug)]
pub struct UnitChange {
    pub id: DeviceId,
    /// The seen half as it is from now on; `status.version` is the one that was read.
    pub status: Box<Status>,
    pub boot: BootId,
    pub kind: CheckKind,
    pub outcome: Outcome,
    pub revision: Option<Digest>,
    /// The change must be durable before the answer.
    pub before_answer: bool,
    /// Nothing of it is worth a write: a stranger repeats a name.
    pub quiet: bool,
}

/// An alert as the engine raises it; the service adds times.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertDraft {
    pub kind: AlertKind,
    pub device: DeviceId,
    /// Where the unit belongs, and who asked.
    pub places: Vec<String>,
    pub text: String,
}

/// Stable codes of checks and sightings.
pub mod reason {
    pub const SERVED: &str = "served";
    pub const BOOTSTRAP: &str = "bootstrap";
    pub const ABSENT: &str = "absent";
    pub const AT_SHARED_URL: &str = "at-shared-url";
    pub const CERTIFICATE_EXPECTED: &str = "certificate-expected";
    pub const DISAGREE: &str = "identifiers-disagree";
    pub const DOWNGRADE: &str = "assurance-downgrade";
    pub const FALLBACK: &str = "fallback-of-a-refused-file";
    pub const FIRMWARE: &str = "firmware-out-of-range";
    pub const NEEDS_CONFIRMATION: &str = "needs-confirmation";
    pub const NEEDS_CORROBORATION: &str = "needs-corroboration";
    pub const NEEDS_WAIVER: &str = "needs-waiver";
    pub const NOT_LISTED: &str = "not-listed";
    pub const NOT_PUBLISHED: &str = "not-published";
    pub const NO_POINTER: &str = "no-pointer";
    pub const NOT_RECOGNISED: &str = "not-recognised";
    pub const OBSERVED: &str = "observed";
    pub const OTHER_CERTIFICATE: &str = "other-certificate";
    pub const OTHER_PLACE: &str = "other-place";
    pub const OUTSIDE: &str = "outside";
    pub const PLAIN: &str = "plain-transport";
    pub const POINTED: &str = "pointed";
    pub const PREFIX_DOUBTED: &str = "prefix-doubted";
    pub const RENDER: &str = "render-error";
    pub const RETIRED: &str = "retired";
    pub const SPENT: &str = "too-often";
    pub const STORE: &str = "store-error";
    pub const SUSPENDED: &str = "suspended";
    pub const TOKEN_MISMATCH: &str = "token-mismatch";
    pub const TOKEN_PLAIN: &str = "token-on-plain-transport";
    pub const TOKEN_VOID: &str = "token-void";
    pub const WINDOW: &str = "outside-window";
    pub const WITHHELD: &str = "withheld";
}
