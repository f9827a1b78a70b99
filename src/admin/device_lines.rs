//! A unit's lines and function keys: merged, checked against what fits on it, passwords sealed.

use super::device_fields::{SecretChange, Spell, check_text};
use super::{Code, FieldError, Lens, Problem};
use crate::catalog::manifest::Family;
use crate::model::device::{Config, Key, Line};
use crate::model::secret::Secret;
use crate::store::{Keys, Owner};

/// The kinds of function key that the vocabulary of `model::device::Key` knows.
const KINDS: [&str; 6] = ["blf", "speed-dial", "line", "park", "intercom", "none"];
/// The most lines and keys of a unit whose family says nothing.
const MOST: u32 = 1000;

/// What is wanted of one line; what is `None` stays. Not `Debug`: a password is in it.
#[derive(Default)]
pub struct LineChange {
    pub n: u16,
    pub remove: bool,
    pub user: Option<String>,
    pub auth: Option<Option<String>>,
    /// `Some(None)` takes it away.
    pub password: Option<Option<Secret>>,
    pub pbx: Option<Option<String>>,
    pub server: Option<Option<String>>,
    pub display: Option<Option<String>>,
    pub label: Option<Option<String>>,
    pub port: Option<Option<u16>>,
    pub handset: Option<Option<u16>>,
    pub ipei: Option<Option<String>>,
    pub shared: Option<bool>,
    pub enabled: Option<bool>,
}

/// The field of the store that holds a line's password.
pub(crate) fn password_field(n: u16) -> String {
    format!("line.{n}.password")
}

/// Merges `changes` into the lines by their numbers.
pub(crate) fn merge(
    config: &mut Config,
    changes: &[LineChange],
    owner: &Owner,
    keys: &Keys,
    secrets: &mut Vec<SecretChange>,
    errors: &mut Vec<FieldError>,
) -> Result<(), Problem> {
    for change in changes {
        let field = |name: &str| format!("line.{}.{name}", change.n);
        if change.n == 0 {
            let text = "lines are counted from 1";
            errors.push(FieldError::new("line.0", Code::LineInvalid, text));
            continue;
        }
        let at = config.lines.iter().position(|line| line.n == change.n);
        if change.remove {
            if let Some(at) = at {
                config.lines.remove(at);
                secrets.push(SecretChange::gone(password_field(change.n)));
            }
            continue;
        }
        let mut line = match at {
            Some(at) => config.lines.remove(at),
            None => Line {
                n: change.n,
                enabled: true,
                ..Line::default()
            },
        };
        let texts = [
            ("user", change.user.as_ref()),
            ("auth", change.auth.as_ref().and_then(Option::as_ref)),
            ("pbx", change.pbx.as_ref().and_then(Option::as_ref)),
            ("server", change.server.as_ref().and_then(Option::as_ref)),
            ("display", change.display.as_ref().and_then(Option::as_ref)),
            ("label", change.label.as_ref().and_then(Option::as_ref)),
            ("ipei", change.ipei.as_ref().and_then(Option::as_ref)),
        ];
        for (name, text) in texts {
            let spell = match name {
                "display" | "label" => Spell::Text,
                _ => Spell::Word,
            };
            if let Some(Err(why)) = text.map(|text| check_text(text, spell)) {
                errors.push(FieldError::new(&field(name), Code::LineInvalid, why));
            }
        }
        if let Some(password) = change.password.as_ref().and_then(Option::as_ref)
            && let Err(why) = check_text(password.expose(), Spell::Secret)
        {
            errors.push(FieldError::new(&field("password"), Code::LineInvalid, why));
        }
        put(&mut line.user, change.user.as_ref());
        put(&mut line.auth, change.auth.as_ref());
        put(&mut line.pbx, change.pbx.as_ref());
        put(&mut line.server, change.server.as_ref());
        put(&mut line.display, change.display.as_ref());
        put(&mut line.label, change.label.as_ref());
        put(&mut line.port, change.port.as_ref());
        put(&mut line.handset, change.handset.as_ref());
        put(&mut line.ipei, change.ipei.as_ref());
        put(&mut line.shared, change.shared.as_ref());
        put(&mut line.enabled, change.enabled.as_ref());
        if let Some(password) = &change.password {
            line.has_password = password.is_some();
            let name = password_field(line.n);
            secrets.push(SecretChange::of(owner, name, password.as_ref(), keys)?);
        }
        if line.user.is_empty() {
            let text = "a line needs the user that it registers as";
            errors.push(FieldError::new(&field("user"), Code::LineInvalid, text));
        }
        config.lines.push(line);
    }
    config.lines.sort_by_key(|line| line.n);
    Ok(())
}

fn put<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

/// Whether the lines name call servers that are there, and fit on the unit.
pub(crate) fn check_lines(
    config: &Config,
    family: &Family,
    lens: &Lens,
    errors: &mut Vec<FieldError>,
) {
    let room = family.capacity.lines.of(&config.model);
    let room = room.copied().unwrap_or(MOST);
    for line in &config.lines {
        if u32::from(line.n) > room {
            let text = format!(
                "a {} has {room} lines, and this is line {}",
                config.model, line.n
            );
            let field = format!("line.{}", line.n);
            errors.push(FieldError::new(&field, Code::TooManyLines, text));
        }
        if let Some(pbx) = &line.pbx
            && !lens.settings.pbxs.contains_key(pbx)
        {
            let field = format!("line.{}.pbx", line.n);
            let text = format!("there is no call server {pbx:?}");
            let hint = format!("dialtone pbx add {pbx} --sip-server HOST");
            errors.push(FieldError::new(&field, Code::LineInvalid, text).hint(hint));
        }
        if line.port == Some(0) {
            let field = format!("line.{}.port", line.n);
            errors.push(FieldError::new(
                &field,
                Code::LineInvalid,
                "ports go from 1 to 65535",
            ));
        }
    }
}

/// Whether the keys are of a known kind, each place once, and fit on the unit.
pub(crate) fn check_keys(config: &Config, family: &Family, errors: &mut Vec<FieldError>) {
    let capacity = &family.capacity;
    let mut seen: Vec<(&str, u16)> = Vec::new();
    for key in &config.keys {
        let field = format!("keys.{}.{}", key.page, key.n);
        let wrong = |text: String| FieldError::new(&field, Code::KeyInvalid, text);
        let side_car = key.page.strip_prefix("expansion-");
        let room = match (side_car.map(str::parse::<u32>), &capacity.expansion) {
            (None, _) if key.page == "phone" => {
                capacity.keys.of(&config.model).copied().unwrap_or(MOST)
            }
            (Some(Ok(page)), Some(car)) if (1..=car.most).contains(&page) => car.keys,
            (_, _) => {
                let text = format!("a {} has no page {:?}", config.model, key.page);
                errors.push(wrong(text).hint("pages are phone, expansion-1 …"));
                continue;
            }
        };
        if key.n == 0 || u32::from(key.n) > room {
            errors.push(wrong(format!("keys of this page go from 1 to {room}")));
        }
        if !KINDS.contains(&key.kind.as_str()) {
            let text = format!("{:?} is no kind of key", key.kind);
            errors.push(wrong(text).hint(format!("kinds are {}", KINDS.join(", "))));
        }
        if seen.contains(&(key.page.as_str(), key.n)) {
            errors.push(wrong("this key is there twice".to_owned()));
        }
        seen.push((&key.page, key.n));
        for text in [&key.value, &key.label] {
            if let Err(why) = check_text(text, Spell::Text) {
                errors.push(wrong(why));
            }
        }
        if !config.lines.iter().any(|line| line.n == key.line) && key.line > 1 {
            errors.push(wrong(format!(
                "it belongs to line {}, which is not there",
                key.line
            )));
        }
    }
}

/// Keys as they were given; they replace all.
pub(crate) fn sorted(keys: &[Key]) -> Vec<Key> {
    let mut keys = keys.to_vec();
    keys.sort_by(|a, b| (&a.page, a.n).cmp(&(&b.page, b.n)));
    keys
}
