//! Which settings are an account, and how a unit tells of its registration.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::When;

/// Which settings are an account. `{n}` is the line, from 1.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AccountRules {
    #[serde(default)]
    pub(in super::super) lines: u16,
    /// An expression for the name of one setting of a line; its group `n` is what `{n}` stands for,
    /// in place of a number.
    #[serde(default)]
    pub(in super::super) each: String,
    pub(in super::super) enabled: Option<When>,
    #[serde(default)]
    pub(in super::super) user: String,
    #[serde(default)]
    pub(in super::super) password: String,
    #[serde(default)]
    pub(in super::super) server: String,
    /// A setting's whole name that is an account: an expression with `user` and `password`.
    #[serde(default)]
    pub(in super::super) pattern: String,
}

impl AccountRules {
    /// The expression of `pattern`, where there is one.
    pub(in super::super) fn lines_of(&self) -> Option<Regex> {
        expression(&self.pattern)
    }

    /// What `{n}` stands for, line by line.
    pub(in super::super) fn numbers(&self, settings: &BTreeMap<String, String>) -> Vec<String> {
        let Some(each) = expression(&self.each) else {
            return (1..=self.lines).map(|line| line.to_string()).collect();
        };
        let found = settings.keys().filter_map(|name| each.captures(name));
        let mut found: Vec<String> = found
            .filter_map(|parts| Some(parts.name("n")?.as_str().to_owned()))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Fails where an expression is none.
    pub(super) fn check(&self) -> bool {
        let good = |text: &str| text.is_empty() || Regex::new(text).is_ok();
        good(&self.pattern) && good(&self.each)
    }
}

fn expression(text: &str) -> Option<Regex> {
    (!text.is_empty()).then(|| Regex::new(text).ok()).flatten()
}

/// Which settings hold the addresses that the unit reports to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ReportRules {
    #[serde(default)]
    pub(in super::super) registered: String,
    #[serde(default)]
    pub(in super::super) failed: String,
    /// It reports only with this setting at this value.
    pub(in super::super) only: Option<When>,
    /// The longest address in octets; a longer one is not used. 0: no limit.
    #[serde(default)]
    pub(in super::super) longest: usize,
    /// What is sent with a POST; filled. Without it the report is a GET.
    #[serde(default)]
    pub(in super::super) body: String,
    /// Words for macros and the body: what each says when registered, and when not.
    #[serde(default)]
    pub(in super::super) words: BTreeMap<String, [String; 2]>,
}
