//! Values of the vocabulary: checked by kind, and sealed where they are secret.

use std::collections::BTreeMap;

use super::device_fields::{Given, SecretChange, Spell, check_text};
use super::error::nearest;
use super::{Code, FieldError, Lens, Problem};
use crate::catalog::site_profile::DEFAULT;
use crate::catalog::vocabulary::Variable;
use crate::model::profile::{Value, Variables};
use crate::model::secret::Secret;
use crate::store::{Keys, Owner};

/// How long a text may be, in octets.
const LONGEST: usize = 4096;

/// Whose variables they are, and what they are checked with.
pub(crate) struct Row<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) keys: &'a Keys,
    pub(crate) lens: &'a Lens,
}

/// Lays `changes` over `variables`. A secret is marked there, and its sealed row added to `secrets`.
pub(crate) fn merge(
    variables: &mut Variables,
    changes: &BTreeMap<String, Option<Given>>,
    row: &Row<'_>,
    secrets: &mut Vec<SecretChange>,
    errors: &mut Vec<FieldError>,
) -> Result<(), Problem> {
    let vocabulary = &row.lens.catalog.vocabulary.0;
    for (name, change) in changes {
        let field = format!("variables.{name}");
        let wrong = |what: String| FieldError::new(&field, Code::ValueInvalid, what);
        let Some(given) = change else {
            // One that the vocabulary no longer has can still be taken away.
            if variables.0.remove(name) == Some(Value::Secret) {
                secrets.push(SecretChange::gone(name.clone()));
            }
            continue;
        };
        let Some(variable) = vocabulary.get(name) else {
            let what = format!("the vocabulary has no variable {name:?}");
            let near = nearest(name, vocabulary.keys().map(String::as_str));
            let hint = if near.is_empty() {
                "all of them: dialtone var vocabulary".to_owned()
            } else {
                near
            };
            errors.push(FieldError::new(&field, Code::VariableUnknown, what).hint(hint));
            continue;
        };
        let sealed = is_sealed(variable);
        match given {
            Given::Kept if variables.0.contains_key(name) => {}
            Given::Kept => errors.push(wrong("*** means as it is, and nothing is set".to_owned())),
            Given::Text(secret) if sealed => match check_text(secret.expose(), Spell::Secret) {
                Ok(()) => {
                    let change = SecretChange::of(row.owner, name.clone(), Some(secret), row.keys)?;
                    secrets.push(change);
                    variables.0.insert(name.clone(), Value::Secret);
                }
                Err(why) => errors.push(wrong(why)),
            },
            Given::Text(text) => match open_value(variable, text) {
                Ok(value) => drop(variables.0.insert(name.clone(), value)),
                Err(why) => errors.push(wrong(why)),
            },
            Given::Other(_) if sealed => errors.push(wrong("a text is wanted".to_owned())),
            Given::Other(value) => match fits(variable, value) {
                Ok(()) => drop(variables.0.insert(name.clone(), value.clone())),
                Err(why) => errors.push(wrong(why)),
            },
        }
    }
    Ok(())
}

/// Whether values of it are stored sealed.
pub(crate) fn is_sealed(variable: &Variable) -> bool {
    variable.is_sealed()
}

fn open_value(variable: &Variable, text: &Secret) -> Result<Value, String> {
    let value = Value::Text(text.expose().to_owned());
    fits(variable, &value)?;
    Ok(value)
}

fn fits(variable: &Variable, value: &Value) -> Result<(), String> {
    variable.kind.check(value)?;
    clean(value)
}

/// No text of a value has a control character but a line's end, and none is endless.
fn clean(value: &Value) -> Result<(), String> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Secret => Ok(()),
        Value::List(items) => items.iter().try_for_each(clean),
        Value::Table(items) => items.values().try_for_each(clean),
        Value::Text(text) if text.len() > LONGEST => {
            Err(format!("it is longer than {LONGEST} octets"))
        }
        Value::Text(text) if text.chars().any(|ch| ch.is_control() && ch != '\n') => {
            Err("it has a control character in it".to_owned())
        }
        Value::Text(_) => Ok(()),
    }
}

/// Says that there is no such profile.
pub(crate) fn unknown_profile(lens: &Lens, profile: &str) -> Option<FieldError> {
    let profiles = &lens.catalog.profiles;
    if profile == DEFAULT || profiles.contains_key(profile) {
        return None;
    }
    let what = format!("there is no profile {profile:?}");
    let hint = nearest(profile, profiles.keys().map(String::as_str));
    Some(FieldError::new("profile", Code::ProfileUnknown, what).hint(hint))
}
