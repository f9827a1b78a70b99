//! What a unit did in one run, step by step.

use std::time::Duration;

use super::client::Failure;

/// Why something was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A file of settings, or a script.
    Configuration,
    /// A file that a setting names: a certificate.
    Resource,
    /// The unit's own word about its registration.
    Report,
    /// A request of a script that the unit runs.
    Script,
}

impl Purpose {
    /// A stable word for outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Resource => "resource",
            Self::Report => "report",
            Self::Script => "script",
        }
    }
}

/// What the unit made of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It has it and will use it.
    Taken,
    /// The server does not give it.
    NotGiven,
    /// It came, and the unit cannot read it: why.
    Unreadable(String),
    /// No answer came.
    Failed(Failure),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As the unit saw it; it may hold a capability.
    pub url: String,
    pub purpose: Purpose,
    pub status: Option<u16>,
    pub bytes: usize,
    pub made: Made,
    /// From the connection's begin to the last octet.
    pub took: Duration,
}

/// When a unit would ask again without being switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It restarts by itself: why.
    Now(String),
    /// After this time.
    After(Duration),
}

/// One run: from switching on, or a timer, to rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    pub steps: Vec<Step>,
    /// Names of the settings that changed.
    pub changed: Vec<String>,
    /// Whether it tried to register, and whether that worked.
    pub registered: Option<bool>,
    /// A report reached the server.
    pub reported: bool,
    /// The power was cut in this run: nothing that was not yet applied is kept.
    pub cut: bool,
    pub again: Option<Again>,
    /// What else is worth saying.
    pub notes: Vec<String>,
}

impl Story {
    /// The URLs asked for, in order, without repetitions.
    pub fn urls(&self) -> Vec<&str> {
        let mut urls: Vec<&str> = self.steps.iter().map(|step| step.url.as_str()).collect();
        urls.dedup();
        urls
    }

    /// The last answer came and the unit cannot read it.
    pub(super) fn made_unreadable(&mut self, why: String) {
        if let Some(step) = self.steps.last_mut() {
            step.made = Made::Unreadable(why);
        }
    }

    /// The first handshake that the unit itself broke off, or that broke.
    pub fn tls_failure(&self) -> Option<&Failure> {
        self.steps.iter().find_map(|step| match &step.made {
            Made::Failed(failure @ (Failure::Untrusted(_) | Failure::Tls(_))) => Some(failure),
            Made::Failed(_) | Made::Taken | Made::NotGiven | Made::Unreadable(_) => None,
        })
    }
}
