//! The filters that templates may use: those of the engine that cannot grow without bound or undo
//! the escaping, and a few of ours.

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

use super::escape::{self, Unfit};
use crate::catalog::manifest::Format;

/// Filters that widen a text or a list by a number, print whole values, or mark a text as safe.
const TAKEN_OUT: [&str; 10] = [
    "batch", "chain", "e", "escape", "format", "indent", "pprint", "safe", "slice", "zip",
];

/// The longest list of numbers.
const LONGEST: i64 = 1000;

pub(super) fn set(environment: &mut Environment<'_>, format: Format) {
    for name in TAKEN_OUT {
        environment.remove_filter(name);
    }
    // It shows every value.
    environment.remove_global("debug");
    environment.add_function("range", range);
    environment.add_filter("rest", move |text: Value| rest(format, &text));
    environment.add_filter("pem", |text: Value| pem(&text));
}

/// Whole numbers: `range(END)` from 0, or `range(BEGIN, END)`, without the end.
fn range(first: i64, end: Option<i64>) -> Result<Value, Error> {
    let (begin, end) = end.map_or((0, first), |end| (first, end));
    if end.saturating_sub(begin) > LONGEST {
        let what = "a range has 1000 numbers at most";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok((begin..end).map(Value::from).collect())
}

/// The rest of a line: in a command line the one place where a value may hold blanks.
fn rest(format: Format, value: &Value) -> Result<Value, Error> {
    let text = value.to_string();
    if format != Format::Ios || value.is_safe() {
        return Ok(value.clone());
    }
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    escape::rest(&text).map_err(|why| Unfit::error(&text, why))?;
    Ok(Value::from_safe_string(text))
}

/// A PEM text with its line breaks, in any format; anything else is refused.
fn pem(value: &Value) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    if !escape::is_pem(text) {
        return Err(Unfit::error(text, "it is no PEM text"));
    }
    Ok(Value::from_safe_string(text.trim_end().to_owned()))
}
