//! A JSON object read field by field: what is not known is told, and everything that is wrong is
//! told at once.

use serde_json::{Map, Value};

use crate::admin::{Code, FieldError, Problem, nearest};

/// An object that is being read. [`Fields::end`] says what was wrong.
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// Put before the names of fields in errors.
    path: String,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

/// A value that may stay, be taken away, or be set.
pub(crate) type Change<T> = Option<Option<T>>;

impl Fields {
    /// The object as it came, for whoever reads it as a whole.
    pub(crate) fn whole(self) -> Value {
        Value::Object(self.map)
    }

    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Self {
            map,
            path: String::new(),
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// An object inside another.
    pub(crate) fn inside(map: Map<String, Value>, path: &str) -> Self {
        Self {
            path: format!("{path}."),
            ..Self::new(map)
        }
    }

    /// Adds what is wrong.
    pub(crate) fn wrong(&mut self, name: &str, code: Code, what: impl Into<String>) {
        let field = format!("{}{name}", self.path);
        self.errors.push(FieldError::new(&field, code, what));
    }

    /// Takes a value out, as it is.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name)
    }

    /// A value that may be `null`, read by `read`; `what` says what it should be.
    fn change<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Change<T> {
        let value = self.take(name)?;
        if value.is_null() {
            return Some(None);
        }
        let read = read(value);
        if read.is_none() {
            self.wrong(name, Code::ValueInvalid, format!("{name} is {what}"));
        }
        Some(Some(read?))
    }

    /// A value that cannot be `null`.
    fn set<T>(
        &mut self,
        name: &'static str,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        match self.change(name, what, read)? {
            Some(value) => Some(value),
            None => {
                let text = format!("{name} is {what}, and cannot be taken away");
                self.wrong(name, Code::ValueInvalid, text);
                None
            }
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.set(name, "a text", text)
    }

    /// A text; `null` and an empty one take it away.
    pub(crate) fn maybe_text(&mut self, name: &'static str) -> Change<String> {
        let change = self.change(name, "a text or null", text)?;
        Some(change.filter(|text| !text.is_empty()))
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.set(name, "true or false", |value| value.as_bool())
    }

    pub(crate) fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Option<T> {
        self.set(name, "a whole number", |value| {
            T::try_from(value.as_u64()?).ok()
        })
    }

    pub(crate) fn maybe_number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Change<T> {
        self.change(name, "a whole number or null", |value| {
            T::try_from(value.as_u64()?).ok()
        })
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        self.set(name, "a list of texts", |value| match value {
            Value::Array(items) => items.into_iter().map(text).collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => None,
        })
    }

    pub(crate) fn map(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        self.set(name, "an object", object)
    }

    pub(crate) fn maps(&mut self, name: &'static str) -> Option<Vec<Map<String, Value>>> {
        self.set(name, "a list of objects", |value| match value {
            Value::Array(items) => items.into_iter().map(object).collect(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => None,
        })
    }

    /// Reads an inner object with `read`, and takes over what was wrong in it.
    pub(crate) fn inner<T>(
        &mut self,
        map: Map<String, Value>,
        path: &str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut inner = Self::inside(map, &format!("{}{path}", self.path));
        let value = read(&mut inner);
        inner.unknown();
        self.errors.append(&mut inner.errors);
        value
    }

    /// Says that a field is needed where it is not there.
    pub(crate) fn need<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        let field = format!("{}{name}", self.path);
        if value.is_none() && !self.errors.iter().any(|error| error.field == field) {
            self.wrong(name, Code::MissingField, format!("{name} is needed"));
        }
        value
    }

    fn unknown(&mut self) {
        for name in self.map.keys() {
            let field = format!("{}{name}", self.path);
            let what = format!("there is no field {name:?} here");
            let hint = nearest(name, self.known.iter().copied());
            let error = FieldError::new(&field, Code::UnknownField, what).hint(hint);
            self.errors.push(error);
        }
    }

    /// Ends the reading.
    pub(crate) fn end(mut self) -> Result<(), Problem> {
        self.unknown();
        Problem::unless_clean(self.errors)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}
