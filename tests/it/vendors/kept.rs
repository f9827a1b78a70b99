//! A file that is kept without its secrets and filled again is the file itself, whatever the secrets.

use dialtone::catalog::inputs::Filled;
use dialtone::catalog::revision::Which;
use dialtone::model::access::Grant;
use dialtone::model::secret::Secret;

use super::{Case, cases, vendors};

/// Characters that one format or another writes in a way of its own.
const SECRETS: [&str; 7] = ["plain", "p#1", "a\"b", "<&'", " x ", "%\\;$(y)", "0"];

impl Case {
    /// All of its secrets are this text.
    fn sealed_as(&mut self, text: &str) {
        for line in &mut self.lines {
            if let Some(password) = &mut line.password {
                *password = Secret::new(text.to_owned());
            }
        }
        for value in self.values.values_mut() {
            if let Filled::Secret(secret) = value {
                *secret = Secret::new(text.to_owned());
            }
        }
    }
}

/// How many files could be kept.
fn check(vendor: &str, name: &str) -> usize {
    let mut case = Case::new(vendor, name);
    let mut kept = Vec::new();
    for artefact in &case.family().artefacts {
        for which in [Which::Normal, Which::Bootstrap] {
            let inputs = case.inputs(Grant::ALL, false);
            let skeleton = case.revision.skeleton(&artefact.id, which, &inputs);
            kept.extend(skeleton.map(|skeleton| (artefact.id.clone(), which, skeleton)));
        }
    }
    for secret in SECRETS {
        case.sealed_as(secret);
        let inputs = case.inputs(Grant::ALL, false);
        for (artefact, which, skeleton) in &kept {
            // What a hole cannot hold is rendered.
            let Some(filled) = case.revision.fill_from(artefact, skeleton, &inputs) else {
                continue;
            };
            let whole = case.revision.render(artefact, *which, &inputs);
            let same = whole.is_ok_and(|whole| whole.bytes == filled.bytes);
            assert!(same, "{vendor} {name} {artefact} with {secret:?}");
        }
    }
    kept.len()
}

#[test]
fn a_kept_file_is_the_file_whatever_its_secrets() {
    let mut kept = 0;
    for vendor in vendors() {
        for name in cases(&vendor) {
            kept += check(&vendor, &name);
        }
    }
    assert!(
        kept > 20 || std::env::var_os("DIALTONE_VENDOR").is_some(),
        "{kept}"
    );
}
