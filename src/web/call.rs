//! A request as the handlers read it: who asks, the query, the body. Bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::State;
use super::failure::Failure;
use super::fields::Fields;
use crate::admin::{Actor, Ask, Code, FieldError, Problem, nearest};
use crate::config::values;

/// The largest body of a call, in octets.
pub(crate) const MOST: usize = 1 << 20;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(60);
/// The largest page of a list.
const MOST_ITEMS: usize = 1000;
/// The page of a list where nobody says how large.
const ITEMS: usize = 100;

/// A request. `LIMIT` is the most that its body may hold.
#[derive(Debug)]
pub(crate) struct Call<const LIMIT: usize = MOST> {
    pub(crate) actor: Actor,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<const LIMIT: usize> FromRequest<State> for Call<LIMIT> {
    type Rejection = Failure;

    async fn from_request(request: Request, _state: &State) -> Result<Self, Failure> {
        let (head, body) = request.into_parts();
        let Some(actor) = head.extensions.get::<Actor>().cloned() else {
            let what = "nobody vouches for who is at the other end";
            return Err(Problem::new(Code::NotPermitted, what).into());
        };
        let query = pairs(head.uri.query().unwrap_or_default())?;
        Ok(Self {
            actor,
            query,
            headers: head.headers,
            body: collect(body, LIMIT).await?,
        })
    }
}

/// A body as a whole.
pub(crate) async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect());
    match read.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("a body has at most {limit} octets");
            Err(Problem::new(Code::TooLarge, what))
        }
        Ok(Err(error)) => Err(Problem::new(Code::BodyInvalid, error.to_string())),
        Err(_) => Err(Problem::new(Code::TimedOut, "the body did not come")),
    }
}

/// Splits and decodes a query. `+` is a blank.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| Problem::new(Code::QueryInvalid, "the query is not UTF-8"))
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(key)?, decode(value)?))
        })
        .collect()
}

impl<const LIMIT: usize> Call<LIMIT> {
    /// The query, which may hold these keys and no other.
    pub(crate) fn words(&self, known: &[&str]) -> Result<Words<'_>, Problem> {
        let mut errors = Vec::new();
        for (key, _) in &self.query {
            if !known.contains(&key.as_str()) {
                let what = format!("the query has no {key:?} here");
                let hint = nearest(key, known.iter().copied());
                errors.push(FieldError::new(key, Code::UnknownField, what).hint(hint));
            }
        }
        Problem::unless_clean(errors)?;
        Ok(Words(&self.query))
    }

    /// Whether it is a dry run, and the version that must hold. For changes without other keys in
    /// their query.
    pub(crate) fn ask(&self) -> Result<Ask, Problem> {
        let words = self.words(&["dry_run"])?;
        self.ask_of(&words)
    }

    /// The same, where the query holds more.
    pub(crate) fn ask_of(&self, words: &Words<'_>) -> Result<Ask, Problem> {
        let wrong = |text: &str| {
            let what = format!("If-Match is {text:?}, and a version is meant");
            Problem::new(Code::QueryInvalid, what).hint("give the ETag of the record, as \"3\"")
        };
        let version = match self.headers.get(header::IF_MATCH) {
            None => None,
            Some(value) => {
                let text = value.to_str().map_err(|_| wrong("not a text"))?;
                let bare = text.trim().trim_matches('"');
                if bare == "*" {
                    None
                } else {
                    Some(bare.parse().map_err(|_| wrong(text))?)
                }
            }
        };
        Ok(Ask {
            dry_run: words.flag("dry_run")?,
            version,
        })
    }

    /// The JSON object that the body is.
    pub(crate) fn object(&self) -> Result<Fields, Problem> {
        let said = self.headers.get(header::CONTENT_TYPE);
        let media = said.and_then(|value| value.to_str().ok()).unwrap_or("");
        let media = media.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            let what = format!("the body is {media:?}, and application/json is read here");
            return Err(Problem::new(Code::MediaType, what)
                .hint("send it with Content-Type: application/json"));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(map)) => Ok(Fields::new(map)),
            Ok(_) => Err(Problem::new(
                Code::BodyInvalid,
                "the body is not a JSON object",
            )),
            // serde_json quotes nothing of a text that it cannot read but its place.
            Err(error) => Err(Problem::new(
                Code::BodyInvalid,
                format!("line {}, column {}: not JSON", error.line(), error.column()),
            )),
        }
    }

    /// The same, where no body at all is an empty object.
    pub(crate) fn object_or_none(&self) -> Result<Fields, Problem> {
        if self.body.is_empty() {
            return Ok(Fields::new(serde_json::Map::new()));
        }
        self.object()
    }
}

/// A query whose keys are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a>(&'a [(String, String)]);

impl<'a> Words<'a> {
    /// The value of a key; an empty one is none. The last counts.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of a key.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// The same as an own text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(str::to_owned)
    }

    /// `true` or `false`; nothing is `false`.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Problem> {
        match self.get(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(wrong(key, format!("{other:?} is neither true nor false"))),
        }
    }

    /// A moment or a date.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>, Problem> {
        let read = self.get(key).map(values::until).transpose();
        read.map_err(|why| FieldError::new(key, Code::TimeInvalid, why).into())
    }

    /// One of the words that `read` knows.
    pub(crate) fn word<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(text) => match read(text) {
                Some(value) => Ok(Some(value)),
                None => Err(wrong(
                    key,
                    format!("{text:?} is no word that is known here"),
                )),
            },
        }
    }

    /// How many items a page may hold.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        match self.get("limit").map(str::parse) {
            None => Ok(ITEMS),
            Some(Ok(limit)) if (1..=MOST_ITEMS).contains(&limit) => Ok(limit),
            Some(_) => Err(wrong(
                "limit",
                format!("a limit goes from 1 to {MOST_ITEMS}"),
            )),
        }
    }

    /// The number that a page goes on behind.
    pub(crate) fn after(&self) -> Result<Option<u64>, Problem> {
        let read = self.get("after").map(str::parse).transpose();
        read.map_err(|_| wrong("after", "this is not the `next` of a page".to_owned()))
    }
}

fn wrong(key: &str, what: String) -> Problem {
    Problem {
        code: Code::QueryInvalid,
        ..FieldError::new(key, Code::QueryInvalid, what).into()
    }
}
