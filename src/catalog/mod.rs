//! Vendor knowledge as data: `profiles/` becomes an immutable [`Catalog`].
//!
//! Parsing does no I/O: it takes [`Files`]; only [`load`] reads folders. A catalogue with an error
//! does not exist, so a reload that fails changes nothing.

mod filter;
pub mod hint;
mod index;
pub mod inputs;
pub mod lint;
pub mod load;
pub mod manifest;
mod parse;
pub mod pattern;
pub mod problem;
mod prove;
pub(crate) mod render;
pub mod reparse;
pub mod revision;
mod sample;
pub mod site_profile;
pub mod snippet;
pub mod version;
pub mod vocabulary;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use hint::{Ask, Hint, HintKind, PnpAsk};
use manifest::{Family, Vendor, fold};
pub use problem::{Problem, Severity};
pub use revision::{Bundle, Revision};
use site_profile::SiteProfile;
use vocabulary::Vocabulary;

use crate::model::identity::Mac;

/// Files below `profiles/`, by path with `/`; an earlier folder's file hides a later one's.
#[derive(Clone, Debug, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Every vendor that we know, and the operator's profiles.
#[derive(Debug, Default)]
pub struct Catalog {
    pub vendors: BTreeMap<String, Arc<Vendor>>,
    pub vocabulary: Arc<Vocabulary>,
    /// By name; `default` is always there.
    pub profiles: BTreeMap<String, Arc<SiteProfile>>,
    /// What it was read from, for drafts.
    files: Arc<Files>,
    /// Rules of all vendors.
    index: index::Index,
    /// Vendor id by OUI.
    ouis: BTreeMap<[u8; 3], String>,
    /// By vendor and folded spelling: the family that lists the model, and the listed spelling.
    models: BTreeMap<String, HashMap<String, (String, String)>>,
}

impl Catalog {
    /// Reads all manifests; every problem is told at once. `None` where one of them is an error.
    pub fn from_files(files: &Files) -> (Option<Arc<Self>>, Vec<Problem>) {
        Self::but(files, &|_| false)
    }

    /// The same, and what is `proven` of a vendor by its id is not proven again: its templates are
    /// compiled and not rendered. An operator's templates for it still are.
    pub fn but(files: &Files, proven: &dyn Fn(&str) -> bool) -> (Option<Arc<Self>>, Vec<Problem>) {
        let (mut vendors, mut problems) = parse::vendors(files);
        let vocabulary = vocabulary::parse(files, &mut problems);
        let profiles = site_profile::parse_all(files, &vocabulary, &mut problems);
        prove::all(
            &mut vendors,
            files,
            &vocabulary,
            &profiles,
            proven,
            &mut problems,
        );
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
        let models = vendors
            .values()
            .map(|vendor| (vendor.id.clone(), spellings(vendor)));
        let models = models.collect();
        let ouis = ouis
            .into_iter()
            .filter_map(|(oui, vendor)| Some((octets(&oui)?, vendor)));
        let ouis = ouis.collect();
        let broken = problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        let catalog = Self {
            index: index::Index::of(&vendors),
            vendors,
            vocabulary: Arc::new(vocabulary),
            profiles,
            files: Arc::new(files.clone()),
            ouis,
            models,
        };
        ((!broken).then(|| Arc::new(catalog)), problems)
    }

    /// What the folders hold for a family with a profile, as bytes that a [`Revision`] is opened
    /// from. The same folders give the same bytes. `None` where there is no such family or profile.
    pub fn draft(&self, vendor: &str, family: &str, profile: &str) -> Option<Bundle> {
        self.family(vendor, family)?;
        self.profiles.get(profile)?;
        Some(Bundle::of(&self.files, vendor, family, profile))
    }

    /// The vendor that an address's maker part belongs to.
    pub fn vendor_of_oui(&self, mac: Mac) -> Option<&Arc<Vendor>> {
        self.ouis
            .get(&mac.maker())
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
        let (family, listed) = self.models.get(vendor)?.get(&fold(model))?;
        Some((self.family(vendor, family)?, listed.clone()))
    }
}

/// Every spelling of every model, folded. The first family that lists one has it; a model goes
/// before an alias.
fn spellings(vendor: &Vendor) -> HashMap<String, (String, String)> {
    let mut found = HashMap::new();
    for family in vendor.families.values() {
        let models = family.models.iter().map(|model| (model, model));
        let aliases = family.aliases.iter();
        for (said, model) in models.chain(aliases) {
            found
                .entry(fold(said))
                .or_insert_with(|| (family.id.clone(), model.clone()));
        }
    }
    found
}

/// The octets of an OUI.
fn octets(oui: &str) -> Option<[u8; 3]> {
    let [_, a, b, c] = u32::from_str_radix(oui, 16).ok()?.to_be_bytes();
    Some([a, b, c])
}
