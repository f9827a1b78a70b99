//! The proof at load: every template is rendered with its family's sample at each grant, and what
//! it makes is parsed again. Nothing that a unit could get wrong by it is left for a device.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::manifest::{Artefact, ArtefactScope, Family, Format, Vendor};
use super::parse::reply;
use super::problem::line_of;
use super::render::{Naming, RenderError, Templates, Which};
use super::reparse::{self, Parsed};
use super::revision::{numbered, sources};
use super::sample::{self, Case, Sample};
use super::site_profile::SiteProfile;
use super::vocabulary::Vocabulary;
use super::{Files, Problem};
use crate::model::access::{Class, Grant};
use crate::model::secret::Secret;

/// Proves every family that is not `proven` by its vendor's id, and every one with every profile that
/// has a template of its vendor.
pub(crate) fn all(
    vendors: &mut BTreeMap<String, Arc<Vendor>>,
    files: &Files,
    vocabulary: &Vocabulary,
    profiles: &BTreeMap<String, Arc<SiteProfile>>,
    proven: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    for vendor in vendors.values_mut().filter_map(Arc::get_mut) {
        let prefix = format!("{}/", vendor.id);
        let own = SiteProfile::default();
        let overrides = profiles.values().map(Arc::as_ref).filter(|profile| {
            let mut names = profile.templates.keys();
            names.any(|name| name.starts_with(&prefix))
        });
        let proven = proven(&vendor.id);
        for profile in [&own].into_iter().chain(overrides) {
            let sources = sources(files, &vendor.id, profile);
            for family in vendor.families.values_mut().filter_map(Arc::get_mut) {
                let mut found = Vec::new();
                let naming = Naming::Name;
                let templates =
                    Templates::compile(family, &sources, vocabulary, naming, &mut found);
                class_artefacts(family, &templates, vocabulary);
                if !proven || !profile.templates.is_empty() {
                    let mut proof = Proof {
                        family,
                        templates: &templates,
                        vocabulary,
                        problems: &mut found,
                    };
                    if proof.problems.is_empty() {
                        proof.pin();
                    }
                    proof.family(files);
                    proof.replies(files);
                }
                for problem in found {
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
    }
}

/// Fills in the highest class that each artefact reads.
fn class_artefacts(family: &mut Family, templates: &Templates, vocabulary: &Vocabulary) {
    for artefact in &mut family.artefacts {
        let class = templates.class(artefact, vocabulary);
        artefact.reads = artefact.reads.max(class);
    }
}

/// One family under proof.
struct Proof<'a> {
    family: &'a Family,
    templates: &'a Templates,
    vocabulary: &'a Vocabulary,
    problems: &'a mut Vec<Problem>,
}

/// Texts that people may set, and a harmless one of the same make for each. No format refuses them.
const ATTACKS: [(&str, &str); 4] = [
    ("harmless", "x\"'</a>$(y)`z`;{}|&=\\%#"),
    ("harm=less", "!b=1"),
    ("harm:less", "#c:2"),
    ("harmless", "[d]"),
];

/// The number of a sample's file.
const NUMBER: &str = "10001";

impl Proof<'_> {
    fn told(&mut self, file: &str, line: Option<usize>, what: String, hint: &str) {
        let problem = Problem::error(file, line, what, hint);
        let same = |other: &Problem| {
            other.file == problem.file && other.line == problem.line && other.hint == problem.hint
        };
        // One mistake shows at many grants: it is told once.
        if line.is_none() || !self.problems.iter().any(same) {
            self.problems.push(problem);
        }
    }

    /// A family that can be pinned includes `pin.j2` and `release.j2` somewhere.
    fn pin(&mut self) {
        let family = self.family;
        let written = family.artefacts.iter().any(|one| one.template.is_some());
        if !family.sources.pin || !written {
            return;
        }
        for part in ["pin.j2", "release.j2"] {
            let own = format!("{}/{part}", family.id);
            let holds = |artefact: &Artefact| {
                let files = self.templates.files(&artefact.id, Which::Normal);
                files.is_some_and(|files| files.contains(&own))
            };
            if !family.artefacts.iter().any(holds) {
                let file = format!("{}/{}/family.toml", family.vendor, family.id);
                let what = format!("`pin = true`, and no template includes {own}");
                let hint = "include it under grant.credential, or write pin = false";
                self.told(&file, None, what, hint);
            }
        }
    }

    /// Replies and pointers name variables that there are, and that a stranger or its site may see.
    fn replies(&mut self, files: &Files) {
        let family = self.family;
        let pnp = family.sip_pnp.as_deref();
        let mut names = reply::variables(None, pnp);
        for block in &family.dhcp {
            names.extend(reply::variables(Some(block), None));
        }
        let file = format!("{}/{}/family.toml", family.vendor, family.id);
        for name in names {
            let variable = self.vocabulary.0.get(&name);
            let told = match variable.map(|variable| variable.class) {
                Some(Class::Public | Class::Site) => continue,
                Some(Class::Credential | Class::Key) => (
                    format!("{name} is a secret, and a reply is seen by everybody"),
                    "use a public or site value".to_owned(),
                ),
                None => (
                    format!("there is no variable {name}"),
                    match self.vocabulary.nearest(&name) {
                        Some(near) => format!("did you mean {near}?"),
                        None => "profiles/schema.toml lists the variables".to_owned(),
                    },
                ),
            };
            let text = files
                .0
                .get(&file)
                .map(|bytes| String::from_utf8_lossy(bytes));
            let line = text.and_then(|text| line_of(&text, &format!("{{{name}}}")));
            self.problems
                .push(Problem::error(&file, line, told.0, &told.1));
        }
    }

    fn family(&mut self, files: &Files) {
        let family = self.family;
        let written = |one: &Artefact| one.template.is_some() || one.bootstrap.is_some();
        let path = format!("{}/{}/sample.toml", family.vendor, family.id);
        let before = self.problems.len();
        let sample = sample::read(files, &path, self.vocabulary, self.problems);
        let Some(sample) = sample else {
            if family.artefacts.iter().any(written) && self.problems.len() == before {
                let what = "it is missing, and a template needs it".to_owned();
                let hint = "[unit], [variables], [[lines]], [[keys]] of a unit that does not exist";
                self.told(&path, None, what, hint);
            }
            return;
        };
        for artefact in &family.artefacts {
            let before = self.problems.len();
            let made = self.artefact(artefact, &sample);
            // What fails with the sample itself says nothing when it is attacked.
            if self.problems.len() > before {
                continue;
            }
            for which in [Which::Normal, Which::Bootstrap] {
                self.attack(artefact, which, &sample);
            }
            // Lines by number are no keys that a unit could keep.
            let keyed = artefact.format != Format::Text && artefact.scope == ArtefactScope::Unit;
            if family.absent.keeps && keyed {
                self.subsets(artefact, &made);
            }
        }
    }

    /// Renders one artefact in every case; what came out, by case.
    fn artefact(
        &mut self,
        artefact: &Artefact,
        sample: &Sample,
    ) -> Vec<(Which, &'static str, Case, Parsed)> {
        let mut made = Vec::new();
        for which in [Which::Normal, Which::Bootstrap] {
            if self.templates.reads(&artefact.id, which).is_none() {
                continue;
            }
            for (name, grant) in Grant::ladder() {
                for case in self.cases(artefact, grant) {
                    let filling = sample.fill(case, &mut |_, _| None);
                    match self.render(artefact, which, &filling) {
                        Ok(text) => {
                            self.never(artefact, &text);
                            self.number(artefact, which, &text);
                            if let Some(parsed) = self.parsed(artefact, which, &text) {
                                made.push((which, name, case, parsed));
                            }
                        }
                        Err(error) => {
                            self.failed(artefact, name, case, &error);
                            if matches!(error, RenderError::Limit { .. }) {
                                return Vec::new();
                            }
                        }
                    }
                }
            }
        }
        made
    }

    /// Everything there; no token; nothing that may be absent; the release.
    fn cases(&self, artefact: &Artefact, grant: Grant) -> [Case; 4] {
        let full = Case::full(grant);
        let path_holds = |hole: &str| {
            let mut paths = artefact.paths.iter();
            paths.any(|path| path.source().contains(&format!("{{{hole}")))
        };
        let unit = artefact.scope == ArtefactScope::Unit;
        // A family's file is asked for by a path that may name the model, and by nobody in particular.
        let full = Case {
            mac: unit,
            serial: unit,
            model: unit || path_holds("model"),
            ..full
        };
        let plain = Case {
            token: false,
            ..full
        };
        let bare = Case {
            bare: true,
            mac: path_holds("mac"),
            serial: path_holds("serial") && !path_holds("mac"),
            model: path_holds("model") || unit && grant.site,
            ..plain
        };
        let release = Case {
            release: true,
            ..full
        };
        [full, plain, bare, release]
    }

    fn render(
        &self,
        artefact: &Artefact,
        which: Which,
        filling: &sample::Filling,
    ) -> Result<String, RenderError> {
        let mut inputs = filling.inputs();
        if numbered(artefact, which) {
            inputs.version = Some(Secret::new(NUMBER.to_owned()));
        }
        let vocabulary = self.vocabulary;
        let templates = self.templates;
        let bytes = templates.render(self.family, artefact, vocabulary, which, &inputs)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reading what may be absent, or a value that the format cannot carry.
    fn failed(&mut self, artefact: &Artefact, grant: &str, case: Case, error: &RenderError) {
        let when = match (case.release, case.bare, case.token) {
            (true, _, _) => "at a release",
            (_, true, _) => "where nothing optional is set",
            (_, _, false) => "without a token",
            (_, _, true) => "with everything set",
        };
        let (at, what, hint) = match error {
            RenderError::Undefined { what, at } => (
                at,
                what.clone(),
                "guard it with `{% if grant.… %}` for its class, or `{% if … is defined %}`",
            ),
            RenderError::Unfit { variable, why, at } => (
                at,
                format!("{variable} cannot be written: {why}"),
                "docs/manifest.md says how each format writes a value",
            ),
            RenderError::Limit { what, at } => {
                (at, format!("it is stopped: {what}"), "make it smaller")
            }
            RenderError::Template { what, at } => (at, what.clone(), "docs/manifest.md, Templates"),
            RenderError::NoArtefact(_) | RenderError::NoTemplate(_) | RenderError::Filter(_) => {
                (&artefact.at, error.to_string(), "")
            }
        };
        let what = format!("{what} (grant {grant}, {when})");
        let (file, line) = place(at);
        self.told(&file, line, what, hint);
    }

    /// Parses what was made; a filter counts to the bytes and not to the format.
    fn parsed(&mut self, artefact: &Artefact, which: Which, text: &str) -> Option<Parsed> {
        match reparse::parse(artefact.format, text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let file = self.file(artefact, which);
                let what = error.to_string();
                let hint = "what it makes must be of the artefact's format";
                self.told(&file, None, what, hint);
                None
            }
        }
    }

    /// The template's file, for messages.
    fn file(&self, artefact: &Artefact, which: Which) -> String {
        let name = match which {
            Which::Normal => &artefact.template,
            Which::Bootstrap => &artefact.bootstrap,
        };
        let name = name.as_deref().unwrap_or_default();
        format!("{}/{}/{name}", self.family.vendor, self.family.id)
    }

    /// What the manifest's `never` forbids is in no file; blanks do not count.
    fn never(&mut self, artefact: &Artefact, text: &str) {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        for word in &self.family.absent.never {
            let wanted = bare(word);
            if text.lines().any(|line| bare(line).contains(&wanted)) {
                let file = self.file(artefact, Which::Normal);
                let what = format!("it makes `{word}`, which `never` forbids");
                self.told(&file, None, what, "take it out of the template");
            }
        }
    }

    /// A file with a number has it where the manifest says.
    fn number(&mut self, artefact: &Artefact, which: Which, text: &str) {
        let Some(field) = artefact.version_field.as_ref() else {
            return;
        };
        let there = |line: &str| line.contains(field.as_str()) && line.contains(NUMBER);
        if numbered(artefact, which) && !text.lines().any(there) {
            let file = self.file(artefact, which);
            let what = format!("it has no `{field}` with `{{{{ version }}}}` in it");
            self.told(
                &file,
                None,
                what,
                "units take a file only where it is higher",
            );
        }
    }

    /// Of a family that keeps: a lower file's keys are among the full one's, and none is empty that
    /// has a value there.
    fn subsets(&mut self, artefact: &Artefact, made: &[(Which, &'static str, Case, Parsed)]) {
        let full = made
            .iter()
            .find(|(which, _, case, _)| *which == Which::Normal && *case == Case::full(Grant::ALL));
        let Some((_, _, _, full)) = full else { return };
        for (which, grant, case, lower) in made {
            if case.release || case.bare {
                continue;
            }
            let more = lower
                .keys
                .keys()
                .filter(|key| !full.keys.contains_key(*key));
            let emptied = lower.empty.difference(&full.empty);
            let more: BTreeSet<&String> = more.collect();
            let emptied: BTreeSet<&String> = emptied.collect();
            let file = self.file(artefact, *which);
            for key in more {
                let what = format!("{key} is set at grant {grant} and not in the full file");
                let hint = "a unit that keeps would keep it for ever: set it in the full file too";
                self.told(&file, None, what, hint);
            }
            for key in emptied {
                let what =
                    format!("{key} is empty at grant {grant} and has a value in the full file");
                let hint = "leave it out where its value is withheld";
                self.told(&file, None, what, hint);
            }
        }
    }

    /// No text that a person may set adds or hides a key.
    fn attack(&mut self, artefact: &Artefact, which: Which, sample: &Sample) {
        if self.templates.reads(&artefact.id, which).is_none() {
            return;
        }
        let places = sample.places();
        for attack in ATTACKS {
            let mut guilty = Vec::new();
            self.bisect(artefact, which, sample, &places, attack, &mut guilty);
            for place in guilty {
                let file = self.file(artefact, which);
                let what = format!("a text set as `{place}` could add or hide a key");
                let hint =
                    "write it where a value stands, not as a name or inside quotes of your own";
                self.told(&file, None, what, hint);
            }
        }
    }

    /// Attacks all places at once; where that differs, or cannot be judged, each half for itself.
    fn bisect(
        &self,
        artefact: &Artefact,
        which: Which,
        sample: &Sample,
        places: &[String],
        attack: (&str, &str),
        guilty: &mut Vec<String>,
    ) {
        if places.is_empty() || guilty.len() > 3 {
            return;
        }
        let with = |text: &str| {
            let case = Case::full(Grant::ALL);
            let filling = sample.fill(case, &mut |place, _| {
                places
                    .iter()
                    .any(|other| other == place)
                    .then(|| text.to_owned())
            });
            self.render(artefact, which, &filling)
        };
        let harmless = with(attack.0).map(|text| reparse::parse(artefact.format, &text));
        let parsed = with(attack.1).map(|text| reparse::parse(artefact.format, &text));
        match (harmless, parsed) {
            (Ok(Ok(harmless)), Ok(parsed)) if parsed.as_ref() == Ok(&harmless) => return,
            // One place alone that no template takes, such as a word of a closed list, or that the
            // format refuses: nothing is written.
            (Err(_), _) | (_, Err(_)) if places.len() == 1 => return,
            _ => {}
        }
        match (places, places.split_at_checked(places.len() / 2)) {
            ([one], _) => guilty.push(one.clone()),
            (_, Some((left, right))) => {
                self.bisect(artefact, which, sample, left, attack, guilty);
                self.bisect(artefact, which, sample, right, attack, guilty);
            }
            (_, None) => {}
        }
    }
}

/// `file:line` apart.
fn place(at: &str) -> (String, Option<usize>) {
    match at.rsplit_once(':') {
        Some((file, line)) => match line.parse() {
            Ok(line) => (file.to_owned(), Some(line)),
            Err(_) => (at.to_owned(), None),
        },
        None => (at.to_owned(), None),
    }
}
