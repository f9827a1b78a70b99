//! A unit that was served once (trust.md section 5): below its mark it is a stranger, and when it is
//! retired it gets one last file.

use super::Listed;
use crate::catalog::manifest::ArtefactScope;
use crate::engine::stranger::ToLose;
use crate::engine::verdict::{Decision, Which, reason};
use crate::model::access::{Class, Grant};
use crate::model::activation::{Flag, State};
use crate::model::device::Lifecycle;
use crate::model::event::AlertKind;
use crate::model::identity::{Assurance, LevelBy};

impl Listed<'_> {
    /// A unit that was retired and asks at its token URL is released first: its token is good for that
    /// and for nothing else (trust.md section 5).
    pub(super) fn is_leaving(&self) -> bool {
        let config = &self.device.config;
        config.lifecycle == Lifecycle::Retired && config.release && self.proven.token
    }

    /// The file that takes pin, URL and CA out again, with nothing of the unit's in it.
    pub(super) fn last_file(&mut self) -> (Decision, &'static str) {
        let artefact = self.selected.artefact;
        let artefact = artefact.and_then(|artefact| self.side.family.artefact(&artefact.id));
        match artefact.filter(|artefact| {
            artefact.scope == ArtefactScope::Unit
                && artefact.template.is_some()
                && artefact.useful_from >= Class::Credential
        }) {
            Some(artefact) => {
                let plan = self.plan(artefact, Which::Normal, Grant::PUBLIC, true);
                (Decision::Serve(plan), reason::SERVED)
            }
            None => (Decision::Refuse, reason::RETIRED),
        }
    }

    /// A name that a pinned unit has, from an address that cannot be the unit's: another's lease, or
    /// another network than the one where it was served.
    pub(super) fn note_copy(&mut self) {
        let ratchet = &self.status.ratchet;
        let held = self.side.family.sources.pin && ratchet.mark >= Assurance::L2;
        let Some(home) = ratchet.served_at.as_ref().filter(|_| held) else {
            return;
        };
        let other = home.prefix.is_some() && home.prefix != self.proven.place.prefix;
        if other || self.known.lease.is_some() {
            let text = "its name was asked for from elsewhere".to_owned();
            self.alert(AlertKind::AssuranceDowngrade, text);
        }
    }

    /// A certificate of its maker that names the unit, and not the one that its record is bound to: a
    /// place that differs gets nothing, and a person decides (trust.md section 4).
    pub(super) fn another_certificate(&mut self) -> (Decision, &'static str) {
        let shown = self.proven.place.certificate;
        let shown = shown.map(|digest| digest.to_string()).unwrap_or_default();
        let text = format!(
            "it showed the certificate {shown}, and its record is bound to another one: arm it \
             again if it has a new one"
        );
        self.alert(AlertKind::OtherCertificate, text);
        if self.facts.target.token.is_some() {
            return (Decision::Refuse, reason::OTHER_CERTIFICATE);
        }
        let (decision, _) = self.as_stranger(ToLose::Perhaps);
        (decision, reason::OTHER_CERTIFICATE)
    }

    /// What a unit gets that asks below its mark. A family without a pin is not held to it: nothing
    /// makes its units ask at the token URL first.
    pub(super) fn below_mark(&mut self) -> Option<(Decision, &'static str)> {
        let mark = self.status.ratchet.mark;
        let held = self.side.family.sources.pin && mark >= Assurance::L2;
        if !held || self.proven.level >= mark {
            return None;
        }
        if self.facts.target.token.is_some() {
            let text = format!(
                "asks at its token URL with {}, it had {mark}",
                self.proven.level
            );
            self.alert(AlertKind::AssuranceDowngrade, text);
            return Some((Decision::Refuse, reason::DOWNGRADE));
        }
        let home = self.status.ratchet.served_at.as_ref();
        if home.is_some_and(|home| !home.holds(&self.proven.place)) {
            let text = "asks at the shared URL from elsewhere".to_owned();
            self.alert(AlertKind::AssuranceDowngrade, text);
        }
        self.note_shared();
        self.status.ratchet.shared_noted = Some(self.world.now);
        self.status.activation.flag(Flag::AtSharedUrl, true);
        let (decision, _) = self.as_stranger(ToLose::Perhaps);
        Some((decision, reason::AT_SHARED_URL))
    }

    /// Remembers since when a unit that was served asks where a new one would.
    pub(super) fn note_shared(&mut self) {
        let done = matches!(self.status.activation.state, State::Served | State::Active);
        let shared = self.facts.target.token.is_none();
        let token = self.opens_https() && self.can_reach_l2();
        if done && shared && token && self.proven.by != LevelBy::Certificate {
            let now = self.world.now;
            self.status.ratchet.shared_since.get_or_insert(now);
        }
    }
}
