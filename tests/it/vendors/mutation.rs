//! Each word of a manifest is changed once, and something notices: it does not load, a request is
//! answered differently, a client is told something else, or the conduct is another, by a word of a
//! kind of which [`BY_CONDUCT`] names what obeys it. What a template does is held by the golden files.
//! With `DIALTONE_FULL=1` or for a vendor that is named every change is tried, else one in [`STRIDE`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;

use dialtone::catalog::{Catalog, Files};

use super::conduct::{Described, described, golden};
use super::dhcp;
use super::requests::{Vector, differences, vectors};
use super::{files, vendors};

/// One change: which line, what it was and what it became.
struct Change {
    line: usize,
    text: String,
    what: String,
}

/// A token of a line of TOML that may be changed.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// The inside of a quoted text.
    Text(usize, usize),
    /// A bare key, number or truth value.
    Bare(usize, usize),
}

fn tokens(line: &str) -> Vec<Token> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => break,
            b'"' => {
                let end = at + 1 + line[at + 1..].find('"').expect("a quoted text ends");
                found.push(Token::Text(at + 1, end));
                at = end + 1;
            }
            byte if byte.is_ascii_alphanumeric() => {
                let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
                let end = at + bytes[at..].iter().take_while(|byte| word(byte)).count();
                found.push(Token::Bare(at, end));
                at = end;
            }
            _ => at += 1,
        }
    }
    found
}

/// Another text of the same make.
fn other(token: &Token, line: &str) -> String {
    match *token {
        Token::Text(from, to) => {
            let held = &line[from..to];
            let letter = |ch: char| ch.is_ascii_alphanumeric();
            // The first letter outside a hole; a text that is all hole gets another name in it.
            let mut depth = 0_u32;
            for (at, ch) in held.char_indices() {
                match ch {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ch if depth == 0 && letter(ch) => {
                        let new = if ch == '7' { "8" } else { "7" };
                        return format!("{}{new}{}", &held[..at], &held[at + 1..]);
                    }
                    _ => {}
                }
            }
            format!("{held}7")
        }
        Token::Bare(from, to) => match &line[from..to] {
            "true" => "false".to_owned(),
            "false" => "true".to_owned(),
            word => match word.parse::<u64>() {
                Ok(number) => (number + 1).to_string(),
                Err(_) => format!("{word}x"),
            },
        },
    }
}

/// Forms that count where a name is written, and holes that are taken for one another.
const FORMS: [(&str, &str); 4] = [
    ("{mac:lower}", "{mac:upper}"),
    ("{model:lower}", "{model:upper}"),
    ("{serial}", "{part}"),
    ("{firmware}", "{hardware}"),
];

/// Lines that say what holds without them, for whoever reads the manifest.
const WRITTEN_OUT: [&str; 4] = [
    "format = \"text\"",
    "media_type = \"text/plain\"",
    "tftp = 1",
    "useful_from = \"credential\"",
];

/// Kinds of words that no request and no reply shows, and the test that fails where nothing obeys them.
const BY_CONDUCT: [(&str, &str); 32] = [
    ("PnP", "walk_1_pnp_there"),
    ("MAC offset", "each_family_comes_up_by_a_lease_of_our_own"),
    ("TLS", "who_opens_https_with_us_and_who_does_not"),
    ("absent keeps", "a_family_that_keeps_is_never_emptied"),
    ("after", "who_opens_https_with_us_and_who_does_not"),
    ("asked", "served_is_every_required_file_of_one_boot_whole"),
    (
        "asks",
        "walk_7_by_a_lease_of_our_own_to_a_port_that_is_not_the_printed_one",
    ),
    ("bootstrap", "files_are_as_written"),
    (
        "ceiling",
        "where_nothing_can_prove_more_served_is_the_end_and_closes_the_window",
    ),
    (
        "certificate always",
        "walk_5_of_a_maker_as_shipped_takes_its_own_ca_and_no_other_s",
    ),
    (
        "expansion",
        "every_refusal_has_its_code_and_names_its_field",
    ),
    ("failed", "files_are_as_written"),
    ("fallback of", "a_shared_file_is_no_way_round_a_refusal"),
    ("files", "files_are_as_written"),
    ("filters", "files_are_as_written"),
    (
        "firmware",
        "a_version_that_the_files_are_not_for_is_refused_and_told",
    ),
    ("format", "files_are_as_written"),
    ("keys", "every_refusal_has_its_code_and_names_its_field"),
    ("kind", "every_request_is_answered_as_expected"),
    ("lines", "every_refusal_has_its_code_and_names_its_field"),
    ("models", "every_request_is_answered_as_expected"),
    ("names", "every_request_is_answered_as_expected"),
    ("never", "a_family_that_keeps_is_never_emptied"),
    ("pin", "a_pin_is_included_where_the_manifest_says_so"),
    ("port MAC", "each_family_comes_up_by_a_lease_of_our_own"),
    (
        "proof",
        "each_family_comes_up_keeps_what_it_has_and_comes_back",
    ),
    (
        "refusal",
        "refusals_are_the_manifest_s_and_alike_for_every_name",
    ),
    ("registered", "files_are_as_written"),
    ("stall after", "silence_stalls_with_its_stage"),
    ("states", "a_state_means_what_the_manifest_says"),
    ("useful from", "files_are_as_written"),
    ("version field", "files_are_as_written"),
];

/// Kinds that are said to people, and those that nothing acts on before changes are rolled out.
const TO_PEOPLE: [&str; 8] = [
    "absent source",
    "elsewhere",
    "label",
    "push",
    "restarts",
    "sources",
    "unconfirmed",
    "unsupported",
];

fn obeyed(kind: &str) -> bool {
    TO_PEOPLE.contains(&kind) || BY_CONDUCT.iter().any(|(known, _)| *known == kind)
}

fn changes(text: &str) -> Vec<Change> {
    let lines: Vec<&str> = text.lines().collect();
    let mut changes = Vec::new();
    let mut put = |at: usize, new: Option<String>, what: String| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match new {
            Some(new) => lines[at] = new,
            None => drop(lines.remove(at)),
        }
        changes.push(Change {
            line: at + 1,
            text: lines.join("\n"),
            what,
        });
    };
    for (at, line) in lines.iter().enumerate() {
        let tokens = tokens(line);
        if tokens.is_empty() {
            continue;
        }
        if !WRITTEN_OUT.contains(line) {
            put(at, None, "taken out".to_owned());
        }
        for token in &tokens {
            let (Token::Text(from, to) | Token::Bare(from, to)) = *token;
            let new = other(token, line);
            let what = format!("{} became {new}", &line[from..to]);
            put(
                at,
                Some(format!("{}{new}{}", &line[..from], &line[to..])),
                what,
            );
        }
        for (form, new) in FORMS {
            // The version of a PnP event is the firmware whatever its hole.
            if line.contains(form) && !line.starts_with("event") {
                let what = format!("{form} became {new}");
                put(at, Some(line.replacen(form, new, 1)), what);
            }
        }
        // What may be there or not must be there, or not at all.
        if let (Some(open), Some(close)) = (line.find("\"["), line.find("]\"")) {
            let inside = &line[open + 2..close];
            let new = format!("{}\"{inside}\"{}", &line[..open], &line[close + 2..]);
            put(at, Some(new), "always there".to_owned());
        }
    }
    changes
}

/// A unit that has a name and nothing else.
const SAMPLE: &str = "[unit]\nmac = \"02005e000001\"\nserial = \"S1\"\n";

/// A template with nothing in it that still is of its format, and still includes what a pinned family
/// has to.
fn hollow(path: &str, text: &str) -> String {
    let parts = ["pin.j2", "release.j2"];
    if parts.iter().any(|part| path.ends_with(part)) {
        return String::new();
    }
    let pinned = if text.contains("release.j2") {
        "{% if false %}{% include \"pin.j2\" %}{% include \"release.j2\" %}{% endif %}\n"
    } else {
        ""
    };
    if text.starts_with("{\n") {
        return format!("{pinned}{{}}\n");
    }
    let tag = |line: &&str| line.starts_with('<') && !line.starts_with("<?");
    match text.lines().find(tag) {
        Some(root) => {
            let name = root.trim_start_matches('<').split([' ', '>']).next();
            // A number that the family's manifest wants stays too, and a bootstrap's own.
            let numbered = |line: &&str| line.trim_start().to_lowercase().starts_with("<version>");
            let number = text.lines().find(numbered);
            let number = number.map_or_else(String::new, |line| format!("{line}\n"));
            format!("{root}\n{number}{pinned}</{}>\n", name.unwrap_or_default())
        }
        None => pinned.to_owned(),
    }
}

/// A vendor by itself, with what recognises the others' addresses. Its templates are hollow: they are
/// named in the conduct, and held by the golden files.
fn alone(vendor: &str) -> Files {
    let mut found = Files::default();
    for (path, bytes) in &files().0 {
        let text = String::from_utf8_lossy(bytes);
        let own = path.starts_with(&format!("{vendor}/"));
        let held = if own && path.ends_with(".j2") {
            hollow(path, &text)
        } else if own && path.ends_with("sample.toml") {
            SAMPLE.to_owned()
        } else if own || path == "schema.toml" {
            text.into_owned()
        } else if path.ends_with("/vendor.toml") {
            let table: toml::Table = text.parse().expect("TOML");
            let named = |key: &&str| table.get(*key).map(|value| format!("{key} = {value}"));
            let kept = ["vendor", "names", "oui"];
            kept.iter().filter_map(named).collect::<Vec<_>>().join("\n")
        } else {
            continue;
        };
        found.0.insert(path.clone(), held.into_bytes());
    }
    found
}

/// Requests that other vendors' rules answer are not asked here.
fn own_vectors(vendor: &str, catalog: &Catalog) -> Vec<Vector> {
    let fits = |vector: &Vector| differences(catalog, std::slice::from_ref(vector)).is_empty();
    vectors(vendor).into_iter().filter(fits).collect()
}

/// Whether a line names a template. What is left without these lines loads quickly: nothing is
/// rendered to prove it.
fn names_a_template(line: &str) -> bool {
    line.starts_with("template = ") || line.starts_with("bootstrap = ")
}

fn without_templates(text: &str) -> String {
    let kept = text.lines().filter(|line| !names_a_template(line));
    kept.collect::<Vec<_>>().join("\n")
}

fn quick(files: &Files) -> Files {
    let mut files = files.clone();
    for (path, bytes) in &mut files.0 {
        if path.ends_with("family.toml") {
            *bytes = without_templates(&String::from_utf8_lossy(bytes)).into_bytes();
        }
    }
    files
}

/// The same without what recognises requests, for changes of conduct.
fn deaf(vendor: &str, files: &Files) -> Files {
    let path = format!("{vendor}/vendor.toml");
    let text = String::from_utf8_lossy(&files.0[&path]);
    let mut table: toml::Table = text.parse().expect("TOML");
    table.remove("recognise");
    let mut files = files.clone();
    files.0.insert(path, table.to_string().into_bytes());
    files
}

/// What a vendor answers to, what its clients are told, and how its units behave.
struct Oracle<'a> {
    vendor: &'a str,
    files: Files,
    conduct: Described,
    vectors: Vec<Vector>,
    /// Of each family, where clients are asked for.
    clients: Vec<(String, String)>,
    /// What these are told otherwise than their files say, as the manifests are alone here.
    told: Vec<String>,
}

/// Who notices a change.
#[derive(Debug, PartialEq, Eq)]
enum Noticed {
    /// It does not load, or a request or a client is answered differently.
    Shown,
    /// Lines of these kinds in the conduct, and nothing else; none of them is nobody.
    By(BTreeSet<&'static str>),
}

impl<'a> Oracle<'a> {
    fn new(vendor: &'a str, files: Files, asks: bool) -> Self {
        let (catalog, problems) = Catalog::from_files(&files);
        let catalog = catalog.unwrap_or_else(|| panic!("{problems:#?}"));
        let (vectors, clients) = if asks {
            (own_vectors(vendor, &catalog), dhcp::golden(vendor))
        } else {
            (Vec::new(), Vec::new())
        };
        let mut oracle = Self {
            conduct: described(&catalog.vendors[vendor]),
            vendor,
            files,
            vectors,
            clients,
            told: Vec::new(),
        };
        oracle.told = oracle.tells(&catalog);
        oracle
    }

    fn tells(&self, catalog: &Catalog) -> Vec<String> {
        let clients = self.clients.iter();
        let told = clients.map(|(family, text)| dhcp::check(catalog, self.vendor, family, text));
        told.flatten().collect()
    }

    fn notices(&self, path: &str, text: &str) -> Noticed {
        let mut files = self.files.clone();
        files.0.insert(path.to_owned(), text.as_bytes().to_vec());
        let (Some(catalog), _) = Catalog::from_files(&files) else {
            return Noticed::Shown;
        };
        let Some(own) = catalog.vendors.get(self.vendor) else {
            return Noticed::Shown;
        };
        let differs = !differences(&catalog, &self.vectors).is_empty();
        if differs || self.tells(&catalog) != self.told {
            return Noticed::Shown;
        }
        Noticed::By(described(own).differences(&self.conduct))
    }
}

/// The same vendor, read in more and less time.
struct Oracles<'a> {
    deaf: Oracle<'a>,
    quick: Oracle<'a>,
    whole: Oracle<'a>,
}

impl Oracles<'_> {
    fn notice(&self, path: &str, change: &Change, was: &str) -> Noticed {
        if names_a_template(was) {
            return self.whole.notices(path, &change.text);
        }
        let text = without_templates(&change.text);
        // Words that steer what units do are found quickly, without what recognises requests.
        if path.ends_with("family.toml")
            && let Noticed::By(kinds) = self.deaf.notices(path, &text)
            && !kinds.is_empty()
            && kinds.iter().all(|kind| obeyed(kind))
        {
            return Noticed::By(kinds);
        }
        self.quick.notices(path, &text)
    }

    /// Changes of one file that nothing notices, or a kind of conduct that nobody is known to obey.
    fn survivors(&self, path: &str) -> Vec<String> {
        let text = String::from_utf8(self.whole.files.0[path].clone()).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        let changes: Vec<Change> = changes(&text).into_iter().step_by(stride()).collect();
        let left = |part: &[Change]| -> Vec<String> {
            let missed = part.iter().filter_map(|change| {
                let by = match self.notice(path, change, lines[change.line - 1]) {
                    Noticed::By(kinds) if kinds.is_empty() => String::new(),
                    Noticed::By(kinds) if !kinds.iter().all(|kind| obeyed(kind)) => {
                        format!(" (by the conduct alone: {kinds:?})")
                    }
                    Noticed::By(_) | Noticed::Shown => return None,
                };
                Some(format!("{path}:{}: {}{by}", change.line, change.what))
            });
            missed.collect()
        };
        thread::scope(|scope| {
            let workers: Vec<_> = changes
                .chunks(changes.len().div_ceil(2).max(1))
                .map(|part| scope.spawn(|| left(part)))
                .collect();
            let found = workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("it ends"));
            found.collect()
        })
    }
}

/// Every how manieth change is tried when nobody asks for all: the whole takes an hour without
/// optimisation. It has no factor in common with the number of changes of a line.
const STRIDE: usize = 11;

fn stride() -> usize {
    let full = std::env::var("DIALTONE_FULL").is_ok_and(|value| value == "1");
    let named = std::env::var_os("DIALTONE_VENDOR").is_some();
    if full || named { 1 } else { STRIDE }
}

/// Changes of a vendor's manifests that go unnoticed.
fn unnoticed(vendor: &str) -> Vec<String> {
    let files = alone(vendor);
    let quick = quick(&files);
    let oracles = Oracles {
        deaf: Oracle::new(vendor, deaf(vendor, &quick), false),
        quick: Oracle::new(vendor, quick, true),
        whole: Oracle::new(vendor, files.clone(), false),
    };
    let conduct = golden(vendor);
    assert_eq!(
        oracles.whole.conduct.text(),
        conduct,
        "{vendor}: no template changes the conduct"
    );
    let prefix = format!("{vendor}/");
    let written = |path: &&String| {
        path.starts_with(&prefix)
            && (path.ends_with("vendor.toml") || path.ends_with("family.toml"))
    };
    let own = files.0.keys().filter(written);
    own.flat_map(|path| oracles.survivors(path)).collect()
}

#[test]
fn a_changed_word_is_noticed() {
    let vendors = vendors();
    let left: Vec<String> = vendors.iter().flat_map(|id| unnoticed(id)).collect();
    let (count, left) = (left.len(), left.join("\n"));
    assert_eq!(count, 0, "changes went unnoticed:\n{left}");
}

#[test]
fn lines_are_taken_apart() {
    let line = "paths = [\"{mac:lower}.cfg\", \"a\"] # \"no\"";
    let words: Vec<String> = tokens(line)
        .iter()
        .map(|token| other(token, line))
        .collect();
    assert_eq!(words, ["pathsx", "{mac:lower}.7fg", "7"]);
    let made: BTreeMap<usize, usize> = changes("a = 1\n# b\n\nc = true\n")
        .iter()
        .map(|change| (change.line, 1))
        .collect();
    assert_eq!(made.into_keys().collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn what_only_the_conduct_notices_is_obeyed_by_a_test() {
    let mut texts = String::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).expect("tests/it").flatten() {
            let path = path.path();
            if path.is_dir() {
                open.push(path);
            } else {
                texts.push_str(&fs::read_to_string(path).expect("a test"));
            }
        }
    }
    for (kind, test) in BY_CONDUCT {
        assert!(texts.contains(&format!("fn {test}(")), "{kind}: {test}");
    }
}
