//! Activation checks, and the state that they add up to (contract section 3).

use std::net::IpAddr;

use jiff::Timestamp;

use super::identity::{Assurance, BootId, Channel, DeviceId, Digest, LevelBy};

/// How far a unit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    #[default]
    Expected,
    Seen,
    Served,
    Active,
    Stalled,
    Failed,
    HandedOver,
}

/// What proved that a unit works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    Report,
    Registrar,
    Firmware,
    Config,
    NonePossible,
}

/// Whether a unit is registered now, as far as anybody said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Registration {
    Yes,
    Lost,
    #[default]
    Unknown,
}

/// Something about a unit that a person should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    NeedsWaiver,
    NeedsCorroboration,
    NeedsConfirmation,
    AtSharedUrl,
    RebootLoop,
    Exposed,
    Withheld,
    UnreachableBehindNat,
    ExpiredFactoryCertificate,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckKind {
    Seen,
    Tls,
    Request,
    Delivery,
    Firmware,
    Registration,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Pass,
    Fail,
    Refused,
    Partial,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word of contract section 3.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            /// Reads what `as_str` writes.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(State {
    Expected = "expected",
    Seen = "seen",
    Served = "served",
    Active = "active",
    Stalled = "stalled",
    Failed = "failed",
    HandedOver = "handed-over",
});
words!(Proof {
    Report = "report",
    Registrar = "registrar",
    Firmware = "firmware",
    Config = "config",
    NonePossible = "none-possible",
});
words!(Registration { Yes = "yes", Lost = "lost", Unknown = "unknown" });
words!(Flag {
    NeedsWaiver = "needs-waiver",
    NeedsCorroboration = "needs-corroboration",
    NeedsConfirmation = "needs-confirmation",
    AtSharedUrl = "at-shared-url",
    RebootLoop = "reboot-loop",
    Exposed = "exposed",
    Withheld = "withheld",
    UnreachableBehindNat = "unreachable-behind-nat",
    ExpiredFactoryCertificate = "expired-factory-certificate",
});
words!(CheckKind {
    Seen = "seen",
    Tls = "tls",
    Request = "request",
    Delivery = "delivery",
    Firmware = "firmware",
    Registration = "registration",
});
words!(Outcome { Pass = "pass", Fail = "fail", Refused = "refused", Partial = "partial" });

/// One step of one unit, as it is recorded. `path` never holds a token: `u/~/name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Given by the store.
    pub seq: u64,
    pub at: Timestamp,
    pub device: DeviceId,
    pub boot: BootId,
    pub channel: Channel,
    pub kind: CheckKind,
    pub outcome: Outcome,
    pub path: Option<String>,
    pub assurance: Assurance,
    pub level_by: LevelBy,
    pub revision: Option<Digest>,
    pub digest: Option<Digest>,
    pub bytes: Option<u64>,
    pub ip: Option<IpAddr>,
    /// A stable code.
    pub reason: String,
    /// For people.
    pub text: String,
}

/// Where a unit stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activation {
    pub state: State,
    pub since: Option<Timestamp>,
    /// Where it is stuck, if it is.
    pub stage: Option<String>,
    pub proof: Option<Proof>,
    pub registration: Registration,
    pub flags: Vec<Flag>,
}

/// What moves a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Any contact.
    Contact,
    /// Its configuration was delivered whole, nothing withheld.
    ServedWhole,
    /// The same, and nothing can prove more.
    ServedWholeAtEnd,
    /// We pointed it at somebody else's controller, and that is all we do.
    HandedOver,
    /// It proved that it works.
    Proved(Proof),
    /// It said that it does not.
    Failed,
    /// No progress for the family's `stall_after`.
    Stall,
    /// It was served or active and asks like a new one.
    AsksAsNew,
}

impl Activation {
    /// Moves along the transitions of contract section 3; `stage` is kept for `Stall`.
    pub fn step(&mut self, step: Step, stage: &str, now: Timestamp) {
        use State::{Active, Expected, Failed, HandedOver, Seen, Served, Stalled};
        let next = match (step, self.state) {
            (Step::Contact, Expected) => Seen,
            (Step::Contact, Seen | Served | Active | Stalled | Failed | HandedOver) => return,
            (
                Step::ServedWhole | Step::ServedWholeAtEnd,
                Expected | Seen | Stalled | Failed | Served,
            ) => Served,
            (Step::ServedWhole | Step::ServedWholeAtEnd, Active | HandedOver) => return,
            (Step::HandedOver, _) => HandedOver,
            (Step::Proved(_), _) => Active,
            (Step::Failed, Seen | Served | Stalled) => Failed,
            (Step::Failed, Active) => {
                self.registration = Registration::Lost;
                return;
            }
            (Step::Failed, Expected | Failed | HandedOver) => return,
            (Step::Stall, Seen | Served) if self.proof != Some(Proof::NonePossible) => Stalled,
            (Step::Stall, _) => return,
            (Step::AsksAsNew, Served | Active) => Stalled,
            (Step::AsksAsNew, Expected | Seen | Stalled | Failed | HandedOver) => return,
        };
        match step {
            Step::Proved(proof) => {
                self.proof = Some(proof);
                if matches!(proof, Proof::Report | Proof::Registrar) {
                    self.registration = Registration::Yes;
                }
            }
            Step::ServedWholeAtEnd => self.proof = Some(Proof::NonePossible),
            Step::Contact
            | Step::ServedWhole
            | Step::HandedOver
            | Step::Failed
            | Step::Stall
            | Step::AsksAsNew => {}
        }
        self.stage = match next {
            Stalled => Some(stage.to_owned()),
            Expected | Seen | Served | Active | Failed | HandedOver => None,
        };
        if next != self.state {
            self.state = next;
            self.since = Some(now);
        }
    }

    /// Raises or takes back a flag.
    pub fn flag(&mut self, flag: Flag, on: bool) {
        match (on, self.flags.binary_search(&flag)) {
            (true, Err(at)) => self.flags.insert(at, flag),
            (false, Ok(at)) => drop(self.flags.remove(at)),
            (true, Ok(_)) | (false, Err(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_move_as_the_contract_says() {
        fn check(from: State, step: Step, expect: State) {
            let mut activation = Activation {
                state: from,
                ..Activation::default()
            };
            activation.step(step, "x", Timestamp::UNIX_EPOCH);
            assert_eq!(activation.state, expect, "{from:?} {step:?}");
        }
        check(State::Expected, Step::Contact, State::Seen);
        check(State::Active, Step::Contact, State::Active);
        check(State::Seen, Step::ServedWhole, State::Served);
        check(State::Active, Step::ServedWhole, State::Active);
        for any in [
            State::Expected,
            State::Seen,
            State::Served,
            State::Stalled,
            State::Failed,
        ] {
            check(any, Step::Proved(Proof::Report), State::Active);
        }
        check(State::Served, Step::Failed, State::Failed);
        check(State::Active, Step::Failed, State::Active);
        check(State::Served, Step::Stall, State::Stalled);
        check(State::Active, Step::Stall, State::Active);
        check(State::Active, Step::AsksAsNew, State::Stalled);
        check(State::Seen, Step::AsksAsNew, State::Seen);
    }

    #[test]
    fn an_end_without_proof_never_stalls() {
        let mut activation = Activation::default();
        activation.step(Step::ServedWholeAtEnd, "", Timestamp::UNIX_EPOCH);
        activation.step(Step::Stall, "registration", Timestamp::UNIX_EPOCH);
        assert_eq!(
            (activation.state, activation.proof),
            (State::Served, Some(Proof::NonePossible))
        );
    }
}
