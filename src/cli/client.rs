//! The verbs' way to the running server: HTTP over its unix socket (docs/api.md).
//!
//! Knows the transport and problem+json; knows no subject.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::UnixStream;

use super::exit::{Exit, Fail};

/// Characters of a query value or path part that need no escape.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path under `/api/v1`, with its query.
#[derive(Clone, Debug)]
pub struct Call {
    path: String,
    query: String,
}

impl Call {
    /// `parts` become `/api/v1/a/b`, each escaped.
    pub fn to(parts: &[&str]) -> Self {
        let mut path = "/api/v1".to_owned();
        for part in parts {
            path.push('/');
            path.extend(utf8_percent_encode(part, PLAIN));
        }
        Self {
            path,
            query: String::new(),
        }
    }

    /// A path as it is: `/livez`, or one with a colon.
    pub fn exactly(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            query: String::new(),
        }
    }

    /// Adds a query value.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(key);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, PLAIN));
        self
    }

    /// Adds a query value, if there is one.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds `key=true`, if so.
    #[must_use]
    pub fn flag(self, key: &str, on: bool) -> Self {
        if on { self.with(key, "true") } else { self }
    }

    fn target(&self) -> String {
        format!("{}{}", self.path, self.query)
    }
}

/// One event of a server-sent stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub data: Value,
}

/// The API behind one socket.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// The server whose socket that is. Nothing is connected yet.
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// The answer to a GET.
    pub async fn get(&self, call: &Call) -> Result<Value, Fail> {
        self.json(Method::GET, call, None).await
    }

    /// The answer to a change. `body` of `None` is an empty one.
    pub async fn send(
        &self,
        method: Method,
        call: &Call,
        body: Option<&Value>,
    ) -> Result<Value, Fail> {
        self.json(method, call, body).await
    }

    /// Every item of a list, page by page; at most `most`, if that is said.
    pub async fn list(&self, call: &Call, most: Option<usize>) -> Result<Vec<Value>, Fail> {
        let mut items: Vec<Value> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let call = call.clone().maybe("after", after.as_deref());
            let Value::Object(mut page) = self.get(&call).await? else {
                return Err(unreadable(&self.socket, "a list was expected"));
            };
            if let Some(Value::Array(more)) = page.remove("items") {
                items.extend(more);
            }
            if let Some(most) = most.filter(|most| items.len() >= *most) {
                items.truncate(most);
                return Ok(items);
            }
            match page.remove("next") {
                Some(Value::String(next)) if Some(&next) != after.as_ref() => after = Some(next),
                Some(_) | None => return Ok(items),
            }
        }
    }

    /// Posts a file's bytes.
    pub async fn upload(&self, call: &Call, media: &str, bytes: Vec<u8>) -> Result<Value, Fail> {
        let request = Request::post(call.target())
            .header("host", "dialtone")
            .header("content-type", media)
            .body(Full::new(Bytes::from(bytes)));
        let answer = self.answer(request).await?;
        read_json(&self.socket, answer).await
    }

    /// The body of an answer as it comes; `sink` takes each piece.
    pub async fn download(
        &self,
        call: &Call,
        mut sink: impl FnMut(&[u8]) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        let request = Request::get(call.target())
            .header("host", "dialtone")
            .body(Full::default());
        let mut answer = self.answer(request).await?;
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|error| unreadable(&self.socket, error))?;
            if let Some(data) = frame.data_ref() {
                sink(data)?;
            }
        }
        Ok(())
    }

    /// Server-sent events. What happens from now on is in it.
    pub async fn events(&self, call: &Call) -> Result<Events<'_>, Fail> {
        let request = Request::get(call.target())
            .header("host", "dialtone")
            .header("accept", "text/event-stream")
            .body(Full::default());
        Ok(Events {
            socket: &self.socket,
            answer: self.answer(request).await?,
        })
    }

    async fn json(&self, method: Method, call: &Call, body: Option<&Value>) -> Result<Value, Fail> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| Fail::failed("internal", error.to_string()))?,
            None => Vec::new(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(call.target())
            .header("host", "dialtone");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let answer = self
            .answer(request.body(Full::new(Bytes::from(bytes))))
            .await?;
        read_json(&self.socket, answer).await
    }

    /// Sends one request on a connection of its own; anything but success is a [`Fail`].
    async fn answer(&self, request: http::Result<Request<Full<Bytes>>>) -> Result<Incoming, Fail> {
        let request = request.map_err(|error| Fail::failed("internal", error.to_string()))?;
        let stream = connect(&self.socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreadable(&self.socket, error))?;
        // Ends with the body: both are dropped together.
        tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| unreadable(&self.socket, error))?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => return Err(unreadable(&self.socket, error)),
        };
        Err(problem(head.status, &bytes))
    }
}

async fn connect(socket: &Path) -> Result<UnixStream, Fail> {
    let failed = match UnixStream::connect(short(socket)).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let shown = socket.display();
    if failed.kind() == std::io::ErrorKind::PermissionDenied {
        let mut fail = Fail::failed("not-permitted", format!("{shown} does not let you in"))
            .next("be the user that the server runs as, or root");
        fail.exit = Exit::Refused;
        return Err(fail);
    }
    let what = format!("no server answers at {shown}: {failed}");
    Err(Fail::failed("not-running", what)
        .next("start it with `dialtone serve`, or say which with --config FILE or --data DIR"))
}

/// A unix address holds 107 octets; a longer path is reached from the working directory.
pub(crate) fn short(socket: &Path) -> PathBuf {
    if socket.as_os_str().as_bytes().len() <= 107 {
        return socket.to_owned();
    }
    let near = std::env::current_dir()
        .ok()
        .and_then(|here| socket.strip_prefix(here).map(Path::to_owned).ok());
    near.unwrap_or_else(|| socket.to_owned())
}

async fn read_json(socket: &Path, body: Incoming) -> Result<Value, Fail> {
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Err(unreadable(socket, error)),
    };
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| unreadable(socket, error))
}

fn unreadable(socket: &Path, why: impl std::fmt::Display) -> Fail {
    Fail::failed(
        "server-answer",
        format!("the server at {} broke off: {why}", socket.display()),
    )
    .next("look at its log")
}

/// A problem+json body as words: what, where, what to do next.
fn problem(status: StatusCode, bytes: &[u8]) -> Fail {
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let text = |key: &str| {
        let found = body.get(key).and_then(Value::as_str);
        super::out::printable(found.unwrap_or_default())
    };
    let exit = match status.as_u16() {
        400 | 422 | 501 => Exit::Usage,
        401 | 403 => Exit::Refused,
        _ => Exit::Failed,
    };
    let (title, detail) = (text("title"), text("detail"));
    let code = text("code");
    let mut what = match (title.is_empty(), detail.is_empty()) {
        (false, false) => format!("{title}: {detail}"),
        (false, true) => title,
        (true, false) => detail,
        (true, true) => format!("the server says {status}"),
    };
    if code == "not-built" {
        what = format!("not-built: {what}");
    }
    let errors = body.get("errors").and_then(Value::as_array);
    let details = errors
        .map(|errors| errors.iter().map(field_error).collect())
        .unwrap_or_default();
    Fail {
        exit,
        code,
        what,
        details,
        next: text("hint"),
    }
}

fn field_error(error: &Value) -> String {
    let text = |key: &str| {
        let found = error.get(key).and_then(Value::as_str);
        super::out::printable(found.unwrap_or_default())
    };
    let mut line = format!("{}: {}", text("field"), text("detail"));
    let hint = text("hint");
    if !hint.is_empty() {
        line.push_str(&format!(" ({hint})"));
    }
    line
}

/// A stream of events that is open.
pub struct Events<'a> {
    socket: &'a Path,
    answer: Incoming,
}

impl Events<'_> {
    /// Shows each to `sink`, until the server ends.
    pub async fn each(
        mut self,
        mut sink: impl FnMut(Event) -> Result<(), Fail>,
    ) -> Result<(), Fail> {
        let mut lines = EventLines::default();
        while let Some(frame) = self.answer.frame().await {
            let frame = frame.map_err(|error| unreadable(self.socket, error))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            lines.push(data).into_iter().try_for_each(&mut sink)?;
        }
        Ok(())
    }
}

/// Cuts a byte stream into events. Bounded: a line over 1 MiB is thrown away.
#[derive(Default)]
struct EventLines {
    rest: Vec<u8>,
    kind: String,
    data: String,
}

impl EventLines {
    const MOST: usize = 1 << 20;

    fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.rest.len() < Self::MOST {
                    self.rest.push(*byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let kind = std::mem::take(&mut self.kind);
                let data = std::mem::take(&mut self.data);
                if let Ok(data) = serde_json::from_str(&data) {
                    events.push(Event { kind, data });
                }
            } else if let Some(kind) = line.strip_prefix("event:") {
                kind.trim().clone_into(&mut self.kind);
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push_str(data.trim_start());
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_escapes_what_it_is_given() {
        let call = Call::to(&["devices", "00:15/..", "trace"])
            .with("site", "a&b")
            .maybe("x", None)
            .flag("dry_run", true);
        assert_eq!(
            call.target(),
            "/api/v1/devices/00%3A15%2F../trace?site=a%26b&dry_run=true"
        );
    }

    #[test]
    fn a_problem_becomes_words_and_an_exit_code() {
        fn check(status: u16, body: &Value, exit: Exit, what: &str) {
            let status = StatusCode::from_u16(status).expect("a status");
            let fail = problem(status, body.to_string().as_bytes());
            assert_eq!((fail.exit, fail.what.as_str()), (exit, what));
        }
        let taken = json!({"title": "The MAC belongs to another device", "code": "mac-taken", "detail": "x"});
        check(
            409,
            &taken,
            Exit::Failed,
            "The MAC belongs to another device: x",
        );
        check(422, &json!({"title": "t"}), Exit::Usage, "t");
        check(403, &json!({"detail": "d"}), Exit::Refused, "d");
        let later = json!({"code": "not-built", "title": "Later"});
        check(501, &later, Exit::Usage, "not-built: Later");
        check(
            500,
            &json!("<html>"),
            Exit::Failed,
            "the server says 500 Internal Server Error",
        );
    }

    #[test]
    fn events_are_cut_wherever_the_bytes_break() {
        let text =
            b": hello\n\nevent: check\r\ndata: {\"seq\":1}\r\n\r\nevent: x\ndata: no json\n\n";
        for cut in 0..text.len() {
            let mut lines = EventLines::default();
            let (before, after) = text.split_at(cut);
            let mut events = lines.push(before);
            events.extend(lines.push(after));
            assert_eq!(
                events,
                [Event {
                    kind: "check".to_owned(),
                    data: json!({"seq": 1})
                }]
            );
        }
    }
}
