//! Names of contract section 1 whose part is not in this version. They are in no help and do
//! nothing; whoever calls them by their name is told so, and not that it is a typing error.

/// Verbs, and verbs with a word after them. The longer name is listed first.
const VERBS: &[&str] = &[
    "import retry",
    "import undo",
    "profile rollback",
    "quarantine adopt",
    "quarantine block",
    "ca issue",
    "device swap",
    "group add",
    "group set",
    "group remove",
    "visit",
    "export",
    "change",
    "firmware",
    "push",
    "user",
    "role",
    "token",
    "audit",
    "key",
    "redirect",
];

/// Flags of verbs that are built.
const FLAGS: &[&str] = &["--visit", "--change-window", "--token-file"];

/// The name in these words that is not built, if that is why they were not taken.
pub(super) fn named(words: &[String]) -> Option<String> {
    let plain: Vec<&str> = verbs(words);
    let first = plain.first().copied().unwrap_or_default();
    for name in VERBS {
        let mut parts = name.split(' ');
        if parts.by_ref().zip(&plain).all(|(part, word)| part == *word)
            && name.split(' ').count() <= plain.len()
        {
            return Some((*name).to_owned());
        }
    }
    let flag = words.iter().find_map(|word| {
        let name = word.split('=').next().unwrap_or(word);
        FLAGS.iter().find(|flag| **flag == name)
    })?;
    Some(format!("{first} {flag}"))
}

/// The words that are no global flag and no global flag's value.
fn verbs(words: &[String]) -> Vec<&str> {
    let mut plain = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--config" | "--data" | "--server") {
            words.next();
        } else if !word.starts_with('-') {
            plain.push(word.as_str());
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_contract_are_not_built() {
        fn check(line: &str, expect: Option<&str>) {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(named(&words).as_deref(), expect, "{line}");
        }
        check("visit list", Some("visit"));
        check("serve", None);
        check("--config x firmware add y", Some("firmware"));
        check("profile rollback", Some("profile rollback"));
        check("device arm --visit=v1", Some("device --visit"));
        check("profile", None);
        check("divice list", None);
        check("device list --site visit", None);
        check("simulate --dhcp-only --dhcpp eth1", None);
        check(
            "site set hq --change-window x",
            Some("site --change-window"),
        );
    }
}
