//! What a script's names hold, bounded in all.

use std::collections::BTreeMap;

/// The most octets of all names and values together.
const LARGEST: usize = 2 * 1024 * 1024;

/// Variables by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Variables {
    values: BTreeMap<String, String>,
    octets: usize,
    full: bool,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.values.get(name)
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Sets one, and gives what it was. Past the bound nothing is set, and the script ends at its next
    /// command.
    pub(super) fn insert(&mut self, name: String, value: String) -> Option<String> {
        let old = self.remove(&name);
        let octets = self.octets + name.len() + value.len();
        if octets > LARGEST {
            self.full = true;
        } else {
            self.octets = octets;
            self.values.insert(name, value);
        }
        old
    }

    /// Takes one away, and gives what it was.
    pub(super) fn remove(&mut self, name: &str) -> Option<String> {
        let old = self.values.remove(name)?;
        self.octets = self.octets.saturating_sub(name.len() + old.len());
        Some(old)
    }

    /// Keeps those alone that fit.
    pub(super) fn retain(&mut self, mut fits: impl FnMut(&String) -> bool) {
        self.values.retain(|name, _| fits(name));
        let values = self.values.iter();
        self.octets = values.map(|(name, value)| name.len() + value.len()).sum();
    }

    /// Whether something did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_together_are_bounded() {
        let mut variables = Variables::default();
        let half = "x".repeat(LARGEST / 2);
        assert_eq!(variables.insert("a".to_owned(), half.clone()), None);
        // In its own place there is room for as much again.
        let old = variables.insert("a".to_owned(), half.clone());
        assert_eq!(old, Some(half.clone()));
        assert!(!variables.is_full());
        variables.insert("b".to_owned(), half);
        assert!(variables.is_full());
        assert_eq!(variables.get("b"), None);
        variables.remove("a");
        assert_eq!(variables.octets, 0);
    }
}
