//! One exchange: a head becomes facts, an answer becomes a response.

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};

use super::body::DeviceBody;
use super::guard::{Head, Reject};
use super::pipe::Sending;
use super::range::{self, Part};
use crate::answer::{Answer, Body, Delivery, File, Refusal};
use crate::catalog::manifest::HttpRefusal;
use crate::engine::facts::Method;
use crate::engine::target::Malformed;

/// A response and what to tell the core at its end; `None`: the connection closes unanswered.
pub(crate) type Encoded = Option<(Response<DeviceBody>, Sending)>;

/// What of a request shapes the encoding of its answer.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    method: Method,
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

impl Conditions {
    pub(crate) fn of(head: &Head) -> Self {
        let mut conditions = Self {
            method: head.method,
            ..Self::default()
        };
        for (name, value) in &head.headers {
            let place = match name.as_str() {
                "range" => &mut conditions.range,
                "if-range" => &mut conditions.if_range,
                "if-none-match" => &mut conditions.if_none_match,
                _ => continue,
            };
            *place = Some(value.text());
        }
        conditions
    }

    fn part(&self, etag: &str, length: u64) -> Part {
        let same = |header: &String| range::if_range(header, etag);
        match &self.range {
            // Range means nothing with HEAD (RFC 9110 section 14.2).
            Some(header)
                if self.method == Method::Get && self.if_range.as_ref().is_none_or(same) =>
            {
                range::part(header, length)
            }
            Some(_) | None => Part::Whole,
        }
    }
}

/// The answer as a response.
pub(crate) async fn encode(answer: Answer, conditions: &Conditions) -> Encoded {
    match answer {
        Answer::Accepted => Some(short(StatusCode::OK, "", conditions.method)),
        Answer::Refuse(refusal) => refuse(refusal, conditions.method),
        Answer::File(file) => Some(encode_file(file, conditions).await),
    }
}

/// The answer to a name that cannot be one, the same as to a name that does not exist.
pub(crate) fn malformed(why: Malformed, method: Method) -> Encoded {
    tracing::debug!(%why, "a request target that names nothing");
    let refusal = Refusal {
        http: HttpRefusal::NotFound,
        tftp: crate::catalog::manifest::TftpRefusal::Error(1),
        retry_after: 0,
    };
    refuse(refusal, method)
}

/// The answer to a head that the guard turned down.
pub(crate) fn reject(why: Reject) -> (Response<DeviceBody>, Sending) {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let (mut response, sending) = short(status, "refused\n", Method::Get);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if why == Reject::MethodNotAllowed {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    (response, sending)
}

/// The same octets for every reason: only `Retry-After`, which the manifest sets, differs.
fn refuse(refusal: Refusal, method: Method) -> Encoded {
    match refusal.http {
        HttpRefusal::Close => None,
        HttpRefusal::NotFound => Some(short(StatusCode::NOT_FOUND, "not found\n", method)),
        HttpRefusal::Unavailable => {
            let mut encoded = short(StatusCode::SERVICE_UNAVAILABLE, "unavailable\n", method);
            if refusal.retry_after > 0 {
                encoded
                    .0
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(refusal.retry_after));
            }
            Some(encoded)
        }
    }
}

/// A response that no ticket waits for.
fn short(
    status: StatusCode,
    text: &'static str,
    method: Method,
) -> (Response<DeviceBody>, Sending) {
    let body = match method {
        Method::Get => Bytes::from_static(text.as_bytes()),
        Method::Head => Bytes::new(),
    };
    let sending = Sending {
        ticket: None,
        how: Delivery::Whole,
        body: octets(&body),
    };
    let mut response = Response::new(DeviceBody::Bytes(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !text.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    (response, sending)
}

async fn encode_file(file: File, conditions: &Conditions) -> (Response<DeviceBody>, Sending) {
    let length = match &file.body {
        Body::Bytes(bytes) => octets(bytes),
        Body::Disk { length, .. } => *length,
    };
    let tag = HeaderValue::from_maybe_shared(Bytes::from(format!("\"{}\"", file.etag)));
    let mut sending = Sending {
        ticket: Some(file.ticket),
        how: Delivery::Whole,
        body: 0,
    };
    if let Some(header) = &conditions.if_none_match
        && range::none_match(header, &file.etag)
    {
        let mut response = Response::new(DeviceBody::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        if let Ok(tag) = tag {
            response.headers_mut().insert(ETAG, tag);
        }
        sending.how = Delivery::Unchanged;
        return (response, sending);
    }
    let part = conditions.part(&file.etag, length);
    let (first, count) = match part {
        Part::Whole => (0, length),
        Part::Slice(first, last) => (first, last - first + 1),
        Part::Unsatisfiable => {
            let (mut response, mut none) =
                short(StatusCode::RANGE_NOT_SATISFIABLE, "", conditions.method);
            if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
                response.headers_mut().insert(CONTENT_RANGE, value);
            }
            none.ticket = sending.ticket;
            none.how = Delivery::Part;
            return (response, none);
        }
    };
    if conditions.method == Method::Head || count < length {
        sending.how = Delivery::Part;
    }
    let on_disk = matches!(file.body, Body::Disk { .. });
    let body = match (file.body, conditions.method) {
        (_, Method::Head) => Ok(DeviceBody::empty()),
        (Body::Bytes(bytes), Method::Get) => Ok(DeviceBody::Bytes(slice(&bytes, first, count))),
        (Body::Disk { path, .. }, Method::Get) => DeviceBody::disk(&path, first, count).await,
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a file that was to be served cannot be read");
            let (response, none) = short(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable\n",
                conditions.method,
            );
            sending.how = Delivery::Broken;
            sending.body = none.body;
            return (response, sending);
        }
    };
    if conditions.method == Method::Get {
        sending.body = count;
    }
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(4);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::try_from(file.media_type)
            .unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(count));
    if let Ok(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if on_disk {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Part::Slice(first, last) = part {
        if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{length}")) {
            headers.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    (response, sending)
}

fn slice(bytes: &Bytes, first: u64, count: u64) -> Bytes {
    let first = usize::try_from(first)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let end = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .saturating_add(first)
        .min(bytes.len());
    bytes.slice(first..end)
}

fn octets(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The last address of `X-Forwarded-For` that no trusted proxy wrote, where the peer itself is
/// one; else the peer. `Forwarded` and PROXY preambles are not read at all.
pub(crate) fn source(
    peer: std::net::IpAddr,
    forwarded: &str,
    trusted: &[ipnet::IpNet],
) -> std::net::IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: &std::net::IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut source = peer;
    for hop in forwarded.rsplit(',').map(str::trim) {
        let Ok(hop) = hop.parse::<std::net::IpAddr>() else {
            break;
        };
        source = hop.to_canonical();
        if !is_trusted(&source) {
            break;
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a19_only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let check = |peer: &str, forwarded: &str, expect: &str| {
            let got = source(peer.parse().unwrap(), forwarded, &trusted);
            assert_eq!(got.to_string(), expect, "{peer} {forwarded}");
        };
        check("192.0.2.1", ",203.0.113.9", "192.0.2.1");
        check("10.0.0.1", ",203.0.113.9", "203.0.113.9");
        check(
            "10.0.0.1",
            ",198.51.100.7, 203.0.113.9, 10.0.0.2",
            "203.0.113.9",
        );
        check("10.0.0.1", "", "10.0.0.1");
        check("10.0.0.1", ",junk, 10.0.0.3", "10.0.0.3");
        check("::ffff:10.0.0.1", ",203.0.113.9", "203.0.113.9");
    }
}
