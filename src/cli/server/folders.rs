//! Where data files come from: the folders of the configuration, or the copies inside the binary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rust_embed::RustEmbed;

use crate::catalog::{Catalog, Files, Problem, Severity, load, vocabulary};
use crate::config::{BUILTIN, Config, Folder};
use crate::net::tls::CertificateFiles;
use crate::pki::{AnchorProblem, Anchors};

/// The repository's `profiles/` as it was when the binary was made.
#[derive(RustEmbed)]
#[folder = "profiles/"]
struct Profiles;

/// The repository's `certs/`, likewise.
#[derive(RustEmbed)]
#[folder = "certs/"]
struct Certs;

/// Vendor folders and profiles; an earlier folder's file hides a later one's.
pub fn profiles(folders: &[Folder]) -> Result<Files, Problem> {
    let mut files = Files::default();
    for folder in folders {
        let more = match on_disk(folder) {
            Some(path) => load::read_folders(&[path.to_owned()])?.0,
            None => embedded::<Profiles>(),
        };
        for (name, bytes) in more {
            files.0.entry(name).or_insert(bytes);
        }
    }
    Ok(files)
}

/// The catalogue of a configuration; every problem is told, `None` where one is an error. Vendors
/// that are as they are inside the binary were proven when it was made (`tests/it/manifest.rs`): a
/// start does not render every template of theirs again.
pub fn catalogue(config: &Config) -> (Option<Arc<Catalog>>, Vec<Problem>) {
    match profiles(&config.profiles) {
        Ok(files) => catalogue_of(&files),
        Err(problem) => (None, vec![problem]),
    }
}

/// The same of files that were read.
pub fn catalogue_of(files: &Files) -> (Option<Arc<Catalog>>, Vec<Problem>) {
    let copy = embedded::<Profiles>();
    Catalog::but(files, &|vendor| is_copy(files, &copy, vendor))
}

/// The same, and everything in it is proven.
pub fn proven(config: &Config) -> (Option<Arc<Catalog>>, Vec<Problem>) {
    match profiles(&config.profiles) {
        Ok(files) => Catalog::from_files(&files),
        Err(problem) => (None, vec![problem]),
    }
}

/// Whether a vendor's files, and the vocabulary, are those of the copy.
fn is_copy(files: &Files, copy: &BTreeMap<String, Vec<u8>>, vendor: &str) -> bool {
    let own = |(path, _): &(&String, &Vec<u8>)| {
        path.as_str() == vocabulary::FILE
            || path
                .strip_prefix(vendor)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    files.0.iter().filter(own).eq(copy.iter().filter(own))
}

/// Files of `certs/` that may be anchors, and what could not be read.
#[derive(Clone, Debug, Default)]
pub struct CertFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
    problems: Vec<AnchorProblem>,
}

impl CertFiles {
    /// Reads the folder, or the copy.
    pub fn read(folder: &Folder) -> Self {
        match on_disk(folder) {
            Some(path) => {
                let (files, problems) = Anchors::files(path);
                Self { files, problems }
            }
            None => Self {
                files: embedded::<Certs>()
                    .into_iter()
                    .map(|(name, bytes)| (Path::new(BUILTIN).join(name), bytes))
                    .collect(),
                problems: Vec::new(),
            },
        }
    }

    /// The anchors in them, `stored` ones besides; `own` is our own CA.
    pub fn anchors(
        &self,
        stored: &[(String, Vec<u8>)],
        own: Option<&[u8]>,
    ) -> (Anchors, Vec<AnchorProblem>) {
        let (anchors, more) = Anchors::from_files(&self.files, stored, own);
        let mut problems = self.problems.clone();
        problems.extend(more);
        (anchors, problems)
    }
}

/// Folders that the configuration names and that are not there, as problems.
pub fn missing(config: &Config) -> Vec<Problem> {
    let named = config.profiles.iter().chain(&config.firmware_policies);
    named
        .chain([&config.certs])
        .filter_map(|folder| match folder {
            Folder::Named(path) if !path.is_dir() => Some(Problem {
                severity: Severity::Error,
                ..Problem::error(
                    &path.display().to_string(),
                    None,
                    "there is no such folder".to_owned(),
                    "make it, name another, or leave the key out",
                )
            }),
            Folder::Named(_) | Folder::Default(_) | Folder::Builtin => None,
        })
        .collect()
}

/// The certificates of the configuration, in the words of `net`.
pub fn certificate_files(config: &Config) -> Vec<CertificateFiles> {
    let files = config.certificates.iter();
    files
        .map(|files| CertificateFiles {
            chain_file: files.chain.clone(),
            key_file: files.key.clone(),
        })
        .collect()
}

/// The folder to read; `None`: the copy inside the binary.
fn on_disk(folder: &Folder) -> Option<&Path> {
    match folder {
        Folder::Builtin => None,
        Folder::Default(path) => path.is_dir().then_some(path),
        Folder::Named(path) => Some(path),
    }
}

fn embedded<E: RustEmbed>() -> BTreeMap<String, Vec<u8>> {
    E::iter()
        .filter_map(|name| {
            let file = E::get(&name)?;
            Some((name.into_owned(), file.data.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_a_copy_until_a_file_of_it_or_the_vocabulary_differs() {
        fn check(path: &str, expect: bool) {
            let names = ["acme/vendor.toml", "acme/gear/family.toml", "schema.toml"];
            let copy: BTreeMap<String, Vec<u8>> = names
                .into_iter()
                .map(|name| (name.to_owned(), b"as it is".to_vec()))
                .collect();
            let mut files = Files(copy.clone());
            assert!(is_copy(&files, &copy, "acme"));
            files.0.insert(path.to_owned(), b"x".to_vec());
            assert_eq!(is_copy(&files, &copy, "acme"), expect, "{path}");
        }
        check("acme/vendor.toml", false);
        check("acme/gear/another.j2", false);
        check("schema.toml", false);
        check("acmes/vendor.toml", true);
        check("_site/blue.toml", true);
    }

    #[test]
    fn the_copy_is_the_repository_and_a_folder_hides_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let on_disk = profiles(&[Folder::Named(root.join("profiles"))]).expect("readable");
        let copy = profiles(&[Folder::Builtin]).expect("it is inside");
        assert_eq!(on_disk.0, copy.0);
        let nowhere = Folder::Default(PathBuf::from("/nonexistent"));
        assert_eq!(profiles(&[nowhere]).expect("the copy").0, copy.0);

        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("schema.toml");
        std::fs::write(&own, "# ours").expect("writable");
        let both = [Folder::Named(folder.path().to_owned()), Folder::Builtin];
        let both = profiles(&both).expect("readable");
        assert_eq!(both.0.get("schema.toml").expect("it is there"), b"# ours");
        assert!(both.0.len() >= copy.0.len());
    }

    #[test]
    fn a_named_folder_that_is_not_there_is_a_problem() {
        let mut config = Config::default();
        assert!(missing(&config).is_empty());
        config.certs = Folder::Named(PathBuf::from("/nonexistent"));
        assert_eq!(missing(&config).len(), 1);
    }
}
