//! Vendor knowledge as data: `profiles/` becomes an immutable [`Catalog`].
//!
//! Parsing does no I/O: it takes [`Files`]; only [`load`] reads folders. A catalogue with an error
//! does not exist, so a reload that fails changes nothing.

pub mod hint;
pub mod inputs;
pub mod load;
pub mod manifest;
mod parse;
pub mod pattern;
pub mod problem;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use hint::{Ask, Hint, HintKind, PnpAsk};
use manifest::{Family, Vendor, fold};
pub use problem::{Problem, Severity};

use crate::model::identity::Mac;

/// Files below `profiles/`, by path with `/`; an earlier folder's file hides a later one's.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Every vendor that we know.
#[derive(Debug, Default)]
pub struct Catalog {
    pub vendors: BTreeMap<String, Arc<Vendor>>,
    /// Vendor id by OUI.
    ouis: BTreeMap<String, String>,
}

impl Catalog {
    /// Reads all manifests; every problem is told at once. `None` where one of them is an error.
    pub fn from_files(files: &Files) -> (Option<Arc<Self>>, Vec<Problem>) {
        let (vendors, mut problems) = parse::vendors(files);
        let mut ouis = BTreeMap::new();
        for vendor in vendors.values() {
            for oui in &vendor.oui {
                if let Some(other) = ouis.insert(oui.clone(), vendor.id.clone()) {
                    let file = format!("{}/vendor.toml", vendor.id);
                    problems.push(Problem::error(
                        &file,
                        None,
                        format!("OUI {oui} is listed by {other} too"),
                        "an OUI belongs to one vendor",
                    ));
                }
            }
        }
        let broken = problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        let catalog = Self { vendors, ouis };
        ((!broken).then(|| Arc::new(catalog)), problems)
    }

    /// The vendor that an address's maker part belongs to.
    pub fn vendor_of_oui(&self, mac: Mac) -> Option<&Arc<Vendor>> {
        self.ouis
            .get(&mac.oui())
            .and_then(|id| self.vendors.get(id))
    }

    /// A vendor by its folder's name or one of its names, without regard to case.
    pub fn vendor_named(&self, text: &str) -> Option<&Arc<Vendor>> {
        let named = |vendor: &&Arc<Vendor>| {
            vendor.id.eq_ignore_ascii_case(text)
                || vendor
                    .names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(text))
        };
        self.vendors.values().find(named)
    }

    /// A family by the folders' names.
    pub fn family(&self, vendor: &str, family: &str) -> Option<&Arc<Family>> {
        self.vendors.get(vendor)?.families.get(family)
    }

    /// The family that lists a model or an alias of it, and the listed spelling.
    pub fn family_of_model(&self, vendor: &str, model: &str) -> Option<(&Arc<Family>, String)> {
        let families = self.vendors.get(vendor)?.families.values();
        let wanted = fold(model);
        families.into_iter().find_map(|family| {
            family
                .model(&wanted)
                .map(|listed| (family, listed.to_owned()))
        })
    }
}
