//! Templates: compiled once, rendered within limits, escaped by the artefact's format.

mod context;
pub(crate) mod escape;
mod filters;
mod flow;
mod growth;
mod reads;
pub(crate) mod shape;
pub(crate) mod skeleton;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use zeroize::Zeroizing;

use self::shape::{Shape, Spared};
use self::skeleton::{Fill, Skeleton, Slots};
use super::Problem;
use super::inputs::Inputs;
use super::manifest::{Artefact, ArtefactScope, Family, Format};
use super::vocabulary::Vocabulary;
use crate::model::access::{Class, Grant};

/// One step, or 64 octets that are made, cost one unit: 16 MB at most.
const FUEL: u64 = 250_000;
/// The largest file that a template makes, in octets.
pub const MOST: usize = 4 << 20;
/// The largest template, in octets.
const LARGEST: usize = 256 << 10;
/// How deep includes, macros and loops may nest.
const DEPTH: usize = 60;

/// Which of an artefact's templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    Normal,
    /// What is given while the grant is too low for the file itself. A stranger's has grant
    /// `PUBLIC`; a unit that waits for a person's word may have its token in it.
    Bootstrap,
}

/// A file as it goes to a unit, before any filter of the transport.
pub struct Rendered {
    pub bytes: Zeroizing<Vec<u8>>,
    pub media_type: String,
}

/// Why a file could not be made. No variant holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("there is no artefact {0}")]
    NoArtefact(String),
    #[error("the artefact {0} has no template for this")]
    NoTemplate(String),
    #[error("{at}: {variable} cannot be written in this format: {why}")]
    Unfit {
        variable: String,
        why: &'static str,
        at: String,
    },
    #[error("{at}: {what}")]
    Undefined { what: String, at: String },
    #[error("{at}: the template takes more than it may: {what}")]
    Limit { what: &'static str, at: String },
    #[error("{at}: {what}")]
    Template { what: String, at: String },
    #[error("what was made cannot be filtered: {0}")]
    Filter(&'static str),
}

/// The templates of one family, one environment for each format that it has.
#[derive(Debug)]
pub(crate) struct Templates {
    naming: Naming,
    environments: BTreeMap<Format, Environment<'static>>,
    /// Full names by artefact and kind of template.
    entries: BTreeMap<(String, Which), Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Its name within the vendor.
    name: String,
    reads: BTreeSet<String>,
    /// It and all that it includes.
    files: BTreeSet<String>,
    /// What it does nothing with but write it: found when the first file is kept.
    spared: OnceLock<Spared>,
}

/// Whether an error names what was not defined. The engine then keeps the values around it with the
/// error: right for a sample, never for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    Line,
    Name,
}

/// Sources by their name within the vendor, as `family/file.j2`.
pub(crate) type Sources = BTreeMap<String, String>;

impl Templates {
    /// Compiles what the family's artefacts name. Every problem is told; a template with one is
    /// left out.
    pub(crate) fn compile(
        family: &Family,
        sources: &Sources,
        vocabulary: &Vocabulary,
        naming: Naming,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut templates = Self {
            naming,
            environments: BTreeMap::new(),
            entries: BTreeMap::new(),
        };
        for artefact in &family.artefacts {
            for (which, name) in [
                (Which::Normal, &artefact.template),
                (Which::Bootstrap, &artefact.bootstrap),
            ] {
                let Some(said) = name else { continue };
                let Some(name) = full_name(&family.id, said, sources) else {
                    problems.push(missing(family, artefact, said));
                    continue;
                };
                templates.add(family, artefact, which, name, sources, vocabulary, problems);
            }
        }
        templates
    }

    #[expect(clippy::too_many_arguments, reason = "one step of compile, named")]
    fn add(
        &mut self,
        family: &Family,
        artefact: &Artefact,
        which: Which,
        name: String,
        sources: &Sources,
        vocabulary: &Vocabulary,
        problems: &mut Vec<Problem>,
    ) {
        let files = reads::files(&name, sources);
        let naming = self.naming;
        let environment = self
            .environments
            .entry(artefact.format)
            .or_insert_with(|| environment(artefact.format, sources, naming));
        let mut sound = true;
        for file in &files {
            let source = sources.get(file).map(String::as_str).unwrap_or_default();
            let told = if source.len() > LARGEST {
                Some((
                    None,
                    format!("{} octets are too many for a template", source.len()),
                ))
            } else if environment.get_template(file).is_ok() {
                None
            } else if let Some(line) = growth::unbounded_sum(source) {
                let what = "`+` could join lists without end; one side must be a literal";
                Some((Some(line), what.to_owned()))
            } else {
                let added = environment.add_template_owned(file.clone(), source.to_owned());
                added.err().map(|error| (error.line(), said(&error)))
            };
            if let Some((line, what)) = told {
                sound = false;
                let path = format!("{}/{file}", family.vendor);
                let problem = Problem::error(&path, line, what, "docs/manifest.md, Templates");
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        if !sound {
            return;
        }
        let reads = reads::names(environment, &files);
        reads::unknown(family, &reads, &files, sources, vocabulary, problems);
        let reads = reads.into_keys().collect();
        let entry = Entry {
            name,
            reads,
            spared: OnceLock::new(),
            files,
        };
        self.entries.insert((artefact.id.clone(), which), entry);
    }

    /// The names that a template reads.
    pub(crate) fn reads(&self, artefact: &str, which: Which) -> Option<&BTreeSet<String>> {
        let entry = self.entries.get(&(artefact.to_owned(), which))?;
        Some(&entry.reads)
    }

    /// The files that a template is made of, by their names within the vendor.
    pub(crate) fn files(&self, artefact: &str, which: Which) -> Option<&BTreeSet<String>> {
        let entry = self.entries.get(&(artefact.to_owned(), which))?;
        Some(&entry.files)
    }

    /// The highest class that an artefact's templates read.
    pub(crate) fn class(&self, artefact: &Artefact, vocabulary: &Vocabulary) -> Class {
        let ways = [Which::Normal, Which::Bootstrap];
        let reads = ways
            .iter()
            .filter_map(|which| self.reads(&artefact.id, *which));
        let class = |name: &String| match name.as_str() {
            "lines" | "keys" | "url.token" | "report" => Some(Class::Credential),
            name => vocabulary.0.get(name).map(|variable| variable.class),
        };
        let highest = reads.flatten().filter_map(class).max();
        let most = match artefact.scope {
            ArtefactScope::Family => Class::Site,
            ArtefactScope::Unit => Class::Key,
        };
        highest.unwrap_or(Class::Public).min(most)
    }

    /// Renders one file. Nothing but the inputs goes into it.
    pub(crate) fn render(
        &self,
        family: &Family,
        artefact: &Artefact,
        vocabulary: &Vocabulary,
        which: Which,
        inputs: &Inputs<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, RenderError> {
        let grant = granted(artefact.scope, inputs.grant);
        let context = context::build(family, vocabulary, inputs, grant, &mut Fill::Shown);
        self.made(family, artefact, which, inputs, context)
    }

    /// What the file depends on but the texts that may be holes; `None` where it can have no holes.
    pub(crate) fn shape(
        &self,
        family: &Family,
        artefact: &Artefact,
        vocabulary: &Vocabulary,
        which: Which,
        inputs: &Inputs<'_>,
    ) -> Option<Shape> {
        let (entry, spared) = self.spared(artefact, vocabulary, which)?;
        let ca = entry.reads.contains("ca");
        let ca_url = ca.then(|| context::ca_url(family, inputs)).flatten();
        let grant = granted(artefact.scope, inputs.grant);
        spared.shape(inputs, grant, ca_url.as_deref())
    }

    /// The same file with holes for its unit's texts. `None` where it cannot be had: the format does not
    /// allow it, or the template does something with a secret.
    pub(crate) fn skeleton(
        &self,
        family: &Family,
        artefact: &Artefact,
        vocabulary: &Vocabulary,
        which: Which,
        inputs: &Inputs<'_>,
    ) -> Option<Skeleton> {
        self.shape(family, artefact, vocabulary, which, inputs)?;
        let (_, spared) = self.spared(artefact, vocabulary, which)?;
        let mut slots = Slots::default();
        let grant = granted(artefact.scope, inputs.grant);
        let mut fill = Fill::Slots(&mut slots, spared);
        let context = context::build(family, vocabulary, inputs, grant, &mut fill);
        let made = self.made(family, artefact, which, inputs, context).ok()?;
        Skeleton::read(artefact.format, &made, &slots)
    }

    /// A template with what it spares; `None` where its format has no holes.
    fn spared(
        &self,
        artefact: &Artefact,
        vocabulary: &Vocabulary,
        which: Which,
    ) -> Option<(&Entry, &Spared)> {
        if !skeleton::fits(artefact.format) {
            return None;
        }
        let entry = self.entries.get(&(artefact.id.clone(), which))?;
        let spared = entry.spared.get_or_init(|| {
            let environment = self.environments.get(&artefact.format);
            let templates = entry.files.iter();
            let templates: Vec<_> = templates
                .map(|file| environment?.get_template(file).ok())
                .collect();
            let sources = templates.iter();
            let used = flow::of(sources.map(|template| Some(template.as_ref()?.source())));
            Spared::new(&used, vocabulary)
        });
        Some((entry, spared))
    }

    fn made(
        &self,
        family: &Family,
        artefact: &Artefact,
        which: Which,
        inputs: &Inputs<'_>,
        context: minijinja::Value,
    ) -> Result<Zeroizing<Vec<u8>>, RenderError> {
        let key = (artefact.id.clone(), which);
        let entry = self.entries.get(&key);
        let environment = self.environments.get(&artefact.format);
        let (Some(entry), Some(environment)) = (entry, environment) else {
            return Err(RenderError::NoTemplate(artefact.id.clone()));
        };
        let named = |error: minijinja::Error| told(&family.vendor, &error, inputs);
        let template = environment.get_template(&entry.name).map_err(named)?;
        let mut bounded = Bounded(Zeroizing::new(Vec::with_capacity(8 << 10)));
        let done = template.render_captured_to(context, &mut bounded);
        done.map_err(named).map(drop)?;
        Ok(bounded.0)
    }
}

/// What holds in this file: a family's file holds site values at most.
fn granted(scope: ArtefactScope, grant: Grant) -> Grant {
    match scope {
        ArtefactScope::Family => Grant {
            site: grant.site,
            ..Grant::PUBLIC
        },
        ArtefactScope::Unit => grant,
    }
}

fn missing(family: &Family, artefact: &Artefact, said: &str) -> Problem {
    let (file, line) = match artefact.at.rsplit_once(':') {
        Some((file, line)) => (file.to_owned(), line.parse().ok()),
        None => (artefact.at.clone(), None),
    };
    let what = format!("{}: there is no template {said}", artefact.id);
    let hint = format!("put it in profiles/{}/{}", family.vendor, family.id);
    Problem::error(&file, line, what, &hint)
}

/// A template's name within the vendor: beside the family, or with its folder.
fn full_name(family: &str, said: &str, sources: &Sources) -> Option<String> {
    let beside = format!("{family}/{said}");
    [beside, said.to_owned()]
        .into_iter()
        .find(|name| sources.contains_key(name))
}

fn environment(format: Format, sources: &Sources, naming: Naming) -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_auto_reload(false);
    environment.set_debug(naming == Naming::Name);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("format".into()));
    environment.set_formatter(move |out, state, value| escape::write(format, out, state, value));
    let known: BTreeSet<String> = sources.keys().cloned().collect();
    environment.set_path_join_callback(move |name, parent| {
        reads::joined(name, parent, |name| known.contains(name)).into()
    });
    filters::set(&mut environment, format);
    environment
}

/// A template error in our words: never the engine's detail, which may show a value, unless it
/// speaks of names.
fn said(error: &minijinja::Error) -> String {
    let of_names = [
        ErrorKind::UndefinedError,
        ErrorKind::SyntaxError,
        ErrorKind::UnknownFilter,
        ErrorKind::UnknownTest,
        ErrorKind::UnknownFunction,
        ErrorKind::TemplateNotFound,
        ErrorKind::BadEscape,
    ];
    let kind = error.kind();
    match error.detail() {
        Some(detail) if of_names.contains(&kind) => format!("{kind}: {detail}"),
        Some(_) | None => kind.to_string(),
    }
}

/// The innermost error that knows its place.
fn told(vendor: &str, error: &minijinja::Error, inputs: &Inputs<'_>) -> RenderError {
    let mut place = place_of(vendor, error);
    let mut found = error;
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(unfit) = inner.downcast_ref::<escape::Unfit>() {
            let exact = context::name_of(inputs, |text| text == unfit.text.as_str());
            let part = || {
                context::name_of(inputs, |text| {
                    text.chars().any(char::is_control) && unfit.text.contains(text)
                })
            };
            return RenderError::Unfit {
                variable: exact.or_else(part).unwrap_or_else(|| "a value".to_owned()),
                why: unfit.why,
                at: place,
            };
        }
        if inner.is::<io::Error>() {
            let what = "the file grows too large";
            return RenderError::Limit { what, at: place };
        }
        if let Some(inner) = inner.downcast_ref::<minijinja::Error>() {
            place = place_of(vendor, inner);
            found = inner;
        }
        source = inner.source();
    }
    let what = said(found);
    let deep = found
        .detail()
        .is_some_and(|detail| detail.contains("recursion"));
    let limit = |what| RenderError::Limit {
        what,
        at: place.clone(),
    };
    if found.kind() == ErrorKind::OutOfFuel {
        limit("too many steps, or too much memory")
    } else if deep {
        limit("includes or macros nest too deep")
    } else if found.kind() == ErrorKind::UndefinedError {
        RenderError::Undefined { what, at: place }
    } else {
        RenderError::Template { what, at: place }
    }
}

fn place_of(vendor: &str, error: &minijinja::Error) -> String {
    let name = error.name().unwrap_or("a template");
    match error.line() {
        Some(line) => format!("{vendor}/{name}:{line}"),
        None => format!("{vendor}/{name}"),
    }
}

/// Bytes up to [`MOST`]; wiped when dropped.
struct Bounded(Zeroizing<Vec<u8>>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MOST {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
