//! What a unit does with the files that it got: settings, and certificates.

use sha2::{Digest, Sha256};

use super::apply::{is_higher, planned};
use super::ask::Taken;
use super::belief::Belief;
use super::conduct::{Absent, CaRules};
use super::fill::join;
use super::read::{self, Sheet};
use super::run::Cut;
use super::story::{Purpose, Story};
use super::unit::{Cas, Unit};
use crate::model::identity::Mac;

impl Unit {
    /// Why the unit does not take a file that it could read.
    pub(super) fn acceptable(&self, file: &str, sheet: &Sheet) -> Result<(), String> {
        let rules = &self.conduct.file;
        let value = |setting: &str| {
            let named = sheet.entries.iter().find(|(name, _)| name == setting);
            named.map(|(_, value)| value.as_str())
        };
        if let Some(mac) = value(&rules.own_mac)
            && Mac::parse(mac).ok() != Some(self.who.mac)
        {
            return Err("it is for another unit's MAC".to_owned());
        }
        if !rules.version.is_empty() {
            let known = self.flash.versions.get(file);
            match value(&rules.version) {
                Some(version) if is_higher(version, known) => {}
                Some(version) => return Err(format!("its version {version} is not higher")),
                None => return Err("it has no version".to_owned()),
            }
        }
        Ok(())
    }

    /// Applies files, with the certificates that they name.
    pub(super) async fn take(
        &mut self,
        files: &[Taken],
        base: &str,
        belief: &mut Belief,
        story: &mut Story,
    ) -> Result<(), Cut> {
        let same = |file: &Taken| self.flash.digests.get(&file.name) == Some(&file.digest);
        if self.conduct.file.absent == Absent::Keep && files.iter().all(same) {
            return Ok(());
        }
        let entries: Vec<(String, String)> = files
            .iter()
            .flat_map(|file| file.sheet.entries.clone())
            .collect();
        for file in files {
            let odd = file.sheet.odd.iter();
            story
                .notes
                .extend(odd.map(|what| format!("{}: {what} is not understood", file.name)));
        }
        let (after, changed) = planned(&self.conduct, &self.flash.settings, &entries);
        let mut cas = self.flash.cas.clone();
        let mut whole = true;
        let rules = self.conduct.trust.ca.clone();
        if let Some(rules) = &rules {
            let mut words = entries.iter();
            let deletes = rules.delete.as_ref().is_some_and(|when| {
                words.any(|(name, value)| *name == when.setting && when.is.has(value))
            });
            if deletes {
                cas.clear();
            }
            let value = after.get(&rules.setting).map_or("", String::as_str);
            let urls = self.ca_urls(rules, value, base);
            if rules.only_named {
                cas.retain(|url, _| urls.contains(url));
            }
            for url in urls {
                if !cas.contains_key(&url) {
                    whole &= self.fetch_ca(url, &mut cas, belief, story).await?;
                }
            }
            given_inline(rules, &entries, &mut cas);
        }
        // From here on everything is kept.
        self.flash.settings = after;
        self.flash.cas = cas;
        for file in files {
            if whole {
                let digest = file.digest.clone();
                self.flash.digests.insert(file.name.clone(), digest);
            } else {
                self.flash.digests.remove(&file.name);
            }
            let version = &self.conduct.file.version;
            let mut entries = file.sheet.entries.iter();
            if let Some((_, value)) = entries.find(|(name, _)| name == version) {
                self.flash.versions.insert(file.name.clone(), value.clone());
            }
        }
        story.changed.extend(changed);
        if rules.is_some_and(|rules| rules.at_once) {
            *belief = self.belief();
        }
        Ok(())
    }

    /// Where the certificates are that a setting names.
    fn ca_urls(&self, rules: &CaRules, value: &str, base: &str) -> Vec<String> {
        let parts: Vec<&str> = if rules.split.is_empty() {
            vec![value]
        } else {
            value.split(&rules.split).collect()
        };
        let parts = parts.into_iter().map(|part| self.filler.given(part.trim()));
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(|part| join(base, &part)).collect()
    }

    /// Fetches certificates; says whether they came.
    async fn fetch_ca(
        &mut self,
        url: String,
        cas: &mut Cas,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<bool, Cut> {
        let headers = self.own_headers();
        let body = self
            .get(&url, Purpose::Resource, &headers, belief, story)
            .await?;
        let found = body.as_deref().map_or_else(|_| Vec::new(), read::pem::read);
        let came = !found.is_empty();
        if came {
            cas.insert(url, found);
        } else if body.is_ok() {
            story.made_unreadable("no certificate".to_owned());
        }
        Ok(came)
    }
}

/// Certificates that stand in the file itself. A setting that is named once holds one place, which
/// an empty value clears; one that is named several times adds each.
fn given_inline(rules: &CaRules, entries: &[(String, String)], cas: &mut Cas) {
    for name in &rules.inline {
        let values = entries.iter().filter(|(own, _)| own == name);
        let values: Vec<&String> = values.map(|(_, value)| value).collect();
        for value in &values {
            let found = read::pem::read_value(value);
            let place = if values.len() > 1 {
                format!("{name} {:x?}", Sha256::digest(value))
            } else {
                name.clone()
            };
            if found.is_empty() {
                cas.remove(&place);
            } else {
                cas.insert(place, found);
            }
        }
    }
}
