//! What a row may name: vendors, models, sites, profiles, call servers, variables.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::problem::nearest;
use crate::catalog::Catalog;
use crate::catalog::manifest::{Family, Vendor};
use crate::catalog::vocabulary::Variable;
use crate::model::profile::Value;
use crate::model::secret::Secret;

/// The names that rows are checked against, as they stand at one moment.
#[derive(Clone, Debug)]
pub struct Words {
    pub catalog: Arc<Catalog>,
    pub sites: BTreeSet<String>,
    pub pbxs: BTreeSet<String>,
}

/// A variable's value as a cell gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    Plain(Value),
    Secret(Secret),
}

/// Why a name is not known, with the nearest one that is.
pub type Unknown = String;

impl Words {
    /// A vendor by its folder's name or one of its names.
    pub fn vendor(&self, text: &str) -> Result<&Arc<Vendor>, Unknown> {
        self.catalog.vendor_named(text).ok_or_else(|| {
            let vendors = self.catalog.vendors.values();
            let names = vendors.flat_map(|vendor| {
                let names = vendor.names.iter().map(String::as_str);
                names.chain([vendor.id.as_str()])
            });
            unknown("vendor", text, names)
        })
    }

    /// The family of a vendor's model, and the listed spelling.
    pub fn model(&self, vendor: &str, text: &str) -> Result<(&Arc<Family>, String), Unknown> {
        self.catalog.family_of_model(vendor, text).ok_or_else(|| {
            let families = self.catalog.vendors.get(vendor);
            let families = families
                .into_iter()
                .flat_map(|vendor| vendor.families.values());
            let models = families.flat_map(|family| {
                let aliases = family.aliases.keys();
                family.models.iter().chain(aliases).map(String::as_str)
            });
            unknown("model", text, models)
        })
    }

    /// The spelling of a site.
    pub fn site(&self, text: &str) -> Result<&str, Unknown> {
        spelled(self.sites.iter(), text).ok_or_else(|| unknown("site", text, names(&self.sites)))
    }

    /// The spelling of a profile.
    pub fn profile(&self, text: &str) -> Result<&str, Unknown> {
        let profiles = &self.catalog.profiles;
        spelled(profiles.keys(), text)
            .ok_or_else(|| unknown("profile", text, profiles.keys().map(String::as_str)))
    }

    /// The spelling of a call server, if the text names one.
    pub fn pbx(&self, text: &str) -> Option<&str> {
        spelled(self.pbxs.iter(), text)
    }

    /// Reads a variable's value; `None` where there is no such variable. The error never holds it.
    pub fn variable(&self, name: &str, text: &str) -> Option<Result<Given, String>> {
        let variable = self.catalog.vocabulary.0.get(name)?;
        Some(match variable.is_sealed() {
            true => Ok(Given::Secret(Secret::new(text.to_owned()))),
            false => variable.kind.read(text).map(Given::Plain),
        })
    }

    /// Whether a variable's cells are shown nowhere. One that is not known may be a secret.
    pub fn is_secret(&self, name: &str) -> bool {
        let variable = self.catalog.vocabulary.0.get(name);
        variable.is_none_or(Variable::is_sealed)
    }

    /// What to write in place of a variable that there is not.
    pub fn nearest_variable(&self, name: &str) -> String {
        match self.catalog.vocabulary.nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "dialtone var vocabulary shows the variables that there are".to_owned(),
        }
    }
}

fn names(listed: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    listed.iter().map(String::as_str)
}

/// The listed name that a text is, case aside where that leaves no doubt.
fn spelled<'a>(listed: impl Iterator<Item = &'a String> + Clone, text: &str) -> Option<&'a str> {
    if let Some(name) = listed.clone().find(|name| *name == text) {
        return Some(name);
    }
    let mut alike = listed.filter(|name| name.eq_ignore_ascii_case(text));
    match (alike.next(), alike.next()) {
        (Some(name), None) => Some(name),
        (Some(_) | None, _) => None,
    }
}

fn unknown<'a>(kind: &str, text: &str, names: impl Iterator<Item = &'a str>) -> Unknown {
    match nearest(text, names) {
        Some(near) => format!("there is no such {kind}; did you mean {near}?"),
        None => format!("there is no such {kind}"),
    }
}
