//! What follows an answer: the end of a transfer, the unit's own report, silence (contract
//! section 3). Pure.

use jiff::{SignedDuration, Timestamp};

use super::grant::ceiling;
use super::verdict::Which;
use super::window;
use crate::catalog::manifest::{Artefact, ArtefactScope, Family, ProofWay};
use crate::model::access::Class;
use crate::model::activation::{Outcome, Proof, State, Step};
use crate::model::device::{Device, Status};
use crate::model::enrolment::{Place, Serving};
use crate::model::identity::{Assurance, BootId, Digest};

/// A file that was sent, as it was decided.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The arming that it was decided under.
    pub generation: u32,
    pub boot: BootId,
    pub artefact: String,
    pub which: Which,
    pub partial: bool,
    pub level: Assurance,
    pub place: Place,
    pub revision: Digest,
    pub digest: Digest,
}

/// Stages of [`State::Stalled`].
pub mod stage {
    pub const ASKS_AS_NEW: &str = "asks-as-new";
    pub const CONFIGURATION: &str = "configuration";
    /// A loader has its installer, and what that installs was not heard of.
    pub const FIRMWARE: &str = "firmware";
    pub const REGISTRATION: &str = "registration";
}

/// A file arrived whole (or the unit had it already). Says whether anything changed.
pub fn delivered(
    device: &Device,
    status: &mut Status,
    family: &Family,
    sent: &Sent,
    registrar: bool,
    now: Timestamp,
) -> bool {
    let made = |artefact: &Artefact| artefact.required && artefact.template.is_some();
    let secret = |artefact: &Artefact| {
        made(artefact)
            && artefact.scope == ArtefactScope::Unit
            && artefact.useful_from >= Class::Credential
    };
    // Of a family without a file of the unit's own, a loader's, those that its units share are all.
    let bare = !family.artefacts.iter().any(secret);
    let own = |id: &str| {
        let artefact = family.artefact(id);
        artefact.is_some_and(|artefact| secret(artefact) || (bare && made(artefact)))
    };
    let counts = status.generation == sent.generation
        && sent.which == Which::Normal
        && !sent.partial
        && sent.level >= Assurance::L1
        && own(&sent.artefact);
    if !counts {
        return false;
    }
    let whole = whole_of(status, sent.boot);
    if !whole.contains(&sent.artefact) {
        whole.push(sent.artefact.clone());
    }
    let missing = family
        .artefacts
        .iter()
        .any(|artefact| own(&artefact.id) && !whole.contains(&artefact.id));
    if !missing {
        let step = if proves(family, registrar) {
            Step::ServedWhole
        } else {
            Step::ServedWholeAtEnd
        };
        status.activation.step(step, "", now);
        if family.report.proof.contains(&ProofWay::Config) {
            status.activation.step(Step::Proved(Proof::Config), "", now);
        }
        status.revision = Some(sent.revision);
        status.digest = Some(sent.digest);
        status.served_whole_at = Some(now);
        status.ratchet.served_at = Some(sent.place.clone());
        // The first one for good: another one is a person's to take.
        if sent.level >= Assurance::L3 && status.ratchet.certificate.is_none() {
            status.ratchet.certificate = sent.place.certificate;
        }
        close(device, status, family, now);
    }
    true
}

/// The system that a loader installed asks for the first time. Says whether that was waited for.
pub fn installed(device: &Device, status: &mut Status, family: &Family, now: Timestamp) -> bool {
    let waits = status.served_whole_at.is_some() && status.activation.state != State::Active;
    if waits {
        let proof = Step::Proved(Proof::Firmware);
        status.activation.step(proof, "", now);
        close(device, status, family, now);
    }
    waits
}

/// The artefacts of this boot's serving that arrived whole.
fn whole_of(status: &mut Status, boot: BootId) -> &mut Vec<String> {
    let goes_on = window::goes_on(&status.window, &status.boots, boot);
    let current = status.window.current.take();
    let current = current
        .filter(|serving| serving.boot == boot || goes_on)
        .unwrap_or_else(|| Serving {
            boot,
            files: Vec::new(),
            whole: Vec::new(),
        });
    &mut status.window.current.insert(current).whole
}

/// Whether anything could prove more than that the configuration was fetched.
fn proves(family: &Family, registrar: bool) -> bool {
    family.report.proof.iter().any(|way| match way {
        ProofWay::Report => family.report.registered.is_some(),
        ProofWay::Registrar => registrar,
        ProofWay::Firmware | ProofWay::Config => true,
    })
}

/// The window closes when the unit is active at its ceiling, or where nothing can prove more, when
/// it is served.
fn close(device: &Device, status: &mut Status, family: &Family, now: Timestamp) {
    let top = status.assurance >= ceiling(family, &device.config.model);
    let activation = &status.activation;
    let done = match activation.state {
        State::Active => top,
        State::Served => activation.proof == Some(Proof::NonePossible),
        State::Expected | State::Seen | State::Stalled | State::Failed | State::HandedOver => false,
    };
    if done && status.window.open_since.is_some() && status.window.closed_at.is_none() {
        status.window.closed_at = Some(now);
    }
}

/// What a unit said at its report URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Ok,
    Failed,
    /// A step of its own that it names.
    Step(String),
    /// Its registration in its own word, which the manifest explains.
    State(String),
}

impl Word {
    /// Reads `ok`, `failed`, `step/NAME` and `state/NAME`, the words in a report URL.
    pub fn parse(path: &str) -> Option<Self> {
        let named = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let sound = (1..=64).contains(&name.len()) && name.bytes().all(plain);
            sound.then(|| name.to_owned())
        };
        let path = path.trim_end_matches('/');
        match (path, path.split_once('/')) {
            ("ok", _) => Some(Self::Ok),
            ("failed", _) => Some(Self::Failed),
            (_, Some(("step", name))) => named(name).map(Self::Step),
            (_, Some(("state", name))) => named(name).map(Self::State),
            _ => None,
        }
    }

    /// What it means from a unit of this family: a state that the manifest does not know is a step.
    pub fn meant(self, family: &Family) -> Self {
        match self {
            Self::State(name) => match family.report.states.get(&name) {
                Some(true) => Self::Ok,
                Some(false) => Self::Failed,
                None => Self::Step(name),
            },
            Self::Ok | Self::Failed | Self::Step(_) => self,
        }
    }
}

/// Takes a unit's report. `line` is the account that it names in its query (`line` or `user`); a
/// report that names none speaks for all of them. Active is a unit whose every enabled line said ok.
pub fn reported(
    device: &Device,
    status: &mut Status,
    family: &Family,
    word: &Word,
    line: Option<&str>,
    now: Timestamp,
) -> Outcome {
    let good = match word {
        Word::Step(_) | Word::State(_) => return Outcome::Pass,
        Word::Ok => true,
        Word::Failed => false,
    };
    let enabled = device.config.lines.iter().filter(|line| line.enabled);
    let named: Vec<u16> = match line {
        None => enabled.clone().map(|line| line.n).collect(),
        Some(text) => enabled
            .clone()
            .filter(|line| line.user == text || line.n.to_string() == text)
            .map(|line| line.n)
            .collect(),
    };
    for n in named {
        match status.lines.iter_mut().find(|(known, _, _)| *known == n) {
            Some(row) if row.1 == good => {}
            Some(row) => *row = (n, good, now),
            None => status.lines.push((n, good, now)),
        }
    }
    if good {
        let all = enabled.clone().all(|line| {
            let said = status.lines.iter().find(|(n, _, _)| *n == line.n);
            said.is_some_and(|(_, registered, _)| *registered)
        });
        if all {
            status.activation.step(Step::Proved(Proof::Report), "", now);
            close(device, status, family, now);
        }
        Outcome::Pass
    } else {
        status.activation.step(Step::Failed, "", now);
        Outcome::Fail
    }
}

/// Silence: whether a unit stalls now. Says whether anything changed.
pub fn sweep(status: &mut Status, family: &Family, now: Timestamp) -> bool {
    let patience =
        SignedDuration::try_from(family.report.stall_after).unwrap_or(SignedDuration::MAX);
    if patience.is_zero() {
        return false;
    }
    let over = |since: Option<Timestamp>| since.is_some_and(|at| now.duration_since(at) > patience);
    let before = status.activation.state;
    if over(status.ratchet.shared_since) {
        status
            .activation
            .step(Step::AsksAsNew, stage::ASKS_AS_NEW, now);
    }
    let last = status.activation.since.max(status.served_whole_at);
    let at = match status.activation.state {
        State::Seen => Some(stage::CONFIGURATION),
        State::Served if family.loads() => Some(stage::FIRMWARE),
        State::Served => Some(stage::REGISTRATION),
        State::Expected | State::Active | State::Stalled | State::Failed | State::HandedOver => {
            None
        }
    };
    if let Some(at) = at.filter(|_| over(last)) {
        status.activation.step(Step::Stall, at, now);
    }
    status.activation.state != before
}

/// Whether a unit must be looked at by the sweep.
pub fn is_waiting(status: &Status) -> bool {
    status.ratchet.shared_since.is_some()
        || match status.activation.state {
            State::Seen => true,
            State::Served => status.activation.proof != Some(Proof::NonePossible),
            State::Expected
            | State::Active
            | State::Stalled
            | State::Failed
            | State::HandedOver => false,
        }
}
