//! The status page: made here, whole, so that it reads without a script; the script only fetches it
//! again when something happened. Everything that came from outside is escaped.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;

use super::State;
use super::answer::Answer;
use super::failure::Failure;
use super::overview::{self, Overview};
use crate::admin::activity::entering;
use crate::admin::device::name_of;
use crate::admin::health::{Finding, Level};
use crate::admin::{Code, DeviceView, Problem};
use crate::model::activation::{Outcome, Registration, State as UnitState};

const PAGE: &str = include_str!("assets/status.html");
const STYLE: &str = include_str!("assets/status.css");
const SCRIPT: &str = include_str!("assets/status.js");
const ICON: &str = include_str!("assets/icon.svg");

/// The routes of this subject, on every listener.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/", get(page))
        .route("/assets/{name}", get(asset))
        .route("/status.json", get(data))
}

async fn data(Extract(state): Extract<State>) -> Response {
    match state.overview().await {
        Ok(overview) => {
            let document = overview::document(&overview, state.uptime());
            kept_by_nobody(Answer::ok(document).into_response())
        }
        Err(problem) => Failure(problem).into_response(),
    }
}

async fn page(Extract(state): Extract<State>) -> Response {
    let overview = match state.overview().await {
        Ok(overview) => overview,
        Err(problem) => return Failure(problem).into_response(),
    };
    let now = state.admin.hub().now();
    let html = PAGE
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{main}}", &main(&overview, now));
    let mut response = kept_by_nobody(html.into_response());
    let media = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

async fn asset(Path(name): Path<String>) -> Response {
    let (media, text) = match name.as_str() {
        "status.css" => ("text/css; charset=utf-8", STYLE),
        "status.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => {
            let what = format!("there is no asset {name:?}");
            return Failure(Problem::new(Code::NotFound, what)).into_response();
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let mut response = (StatusCode::OK, headers, text).into_response();
    harden(response.headers_mut());
    response
}

fn kept_by_nobody(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    harden(headers);
    response
}

/// Nothing from elsewhere is loaded, and nobody frames it.
fn harden(headers: &mut HeaderMap) {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";
    let rows = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in rows {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A text as HTML.
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for ch in raw.chars() {
        match ch {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            ch if ch.is_control() && ch != '\n' => escaped.push(' '),
            ch => escaped.push(ch),
        }
    }
    escaped
}

/// Writing to a text cannot fail.
macro_rules! put {
    ($into:expr, $($part:tt)*) => { let _ = write!($into, $($part)*); };
}

fn main(overview: &Overview, now: Timestamp) -> String {
    let mut html = String::new();
    let health = &overview.health;
    let level = health.level().as_str();
    let word = match health.level() {
        Level::Green => "All is well",
        Level::Yellow => "Some things want a look",
        Level::Red => "Something needs you",
    };
    put!(
        html,
        "<section class=\"lead {level}\"><h1>{word}</h1><ul class=\"counts\">"
    );
    let states = [
        UnitState::Active,
        UnitState::Served,
        UnitState::Seen,
        UnitState::Expected,
        UnitState::Stalled,
        UnitState::Failed,
        UnitState::HandedOver,
    ];
    for state in states {
        let count = health
            .summary
            .states
            .get(&state)
            .copied()
            .unwrap_or_default();
        if count > 0 || state == UnitState::Active {
            let name = state.as_str();
            put!(html, "<li class=\"{name}\"><b>{count}</b> {name}</li>");
        }
    }
    put!(html, "</ul></section>");
    findings(&mut html, &health.findings);
    units(&mut html, overview, now);
    alerts(&mut html, overview, now);
    quarantine(&mut html, overview, now);
    checks(&mut html, overview);
    html
}

fn findings(html: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    put!(html, "<section><h2>To do</h2><ul class=\"findings\">");
    for finding in findings {
        put!(
            html,
            "<li class=\"{}\"><p><b>{}</b> {}</p>",
            finding.level.as_str(),
            text(&finding.subject),
            text(&finding.text)
        );
        if !finding.mend.is_empty() {
            put!(html, "<code>{}</code>", text(&finding.mend));
        }
        put!(html, "</li>");
    }
    put!(html, "</ul></section>");
}

fn units(html: &mut String, overview: &Overview, now: Timestamp) {
    let total = overview.health.summary.total;
    put!(html, "<section><h2>Units <small>{total}</small></h2>");
    if overview.units.is_empty() {
        put!(
            html,
            "<p class=\"none\">No unit is listed yet: <code>dialtone import FILE</code></p></section>"
        );
        return;
    }
    put!(
        html,
        "<table class=\"units\"><thead><tr><th>Unit</th><th>Model</th><th>Site</th><th>State</th>\
         <th>Level</th><th>Last seen</th><th>Next step</th></tr></thead><tbody>"
    );
    for view in &overview.units {
        unit(html, view, now);
    }
    put!(html, "</tbody></table>");
    let shown = u64::try_from(overview.units.len()).unwrap_or(u64::MAX);
    if total > shown {
        put!(
            html,
            "<p class=\"none\">{} more: <code>dialtone device list</code></p>",
            total - shown
        );
    }
    put!(html, "</section>");
}

fn unit(html: &mut String, view: &DeviceView, now: Timestamp) {
    let (config, status) = (&view.device.config, &view.status);
    let activation = &status.activation;
    let state = activation.state.as_str();
    let name = config
        .mac
        .map_or_else(|| name_of(view.device.id, config), |mac| mac.to_string());
    put!(
        html,
        "<tr class=\"{state}\"><td data-head=\"Unit\"><span class=\"id\">{}</span></td>",
        text(&name)
    );
    put!(
        html,
        "<td data-head=\"Model\">{} <small>{}</small></td><td data-head=\"Site\">{}</td>",
        text(&config.model),
        text(&config.vendor),
        text(config.site.as_deref().unwrap_or("–"))
    );
    put!(
        html,
        "<td data-head=\"State\"><span class=\"state\">{state}</span>"
    );
    let lost = activation.registration == Registration::Lost;
    for word in activation
        .stage
        .iter()
        .map(String::as_str)
        .chain(activation.proof.map(|proof| proof.as_str()))
        .chain(lost.then_some("registration lost"))
    {
        put!(html, " <small>{}</small>", text(word));
    }
    for flag in &view.flags {
        put!(html, " <span class=\"flag\">{}</span>", flag.as_str());
    }
    put!(
        html,
        "</td><td data-head=\"Level\">{} <small>of {}</small></td>",
        status.assurance.as_str(),
        view.ceiling.as_str()
    );
    let seen = status
        .seen
        .at
        .map_or_else(|| "never".to_owned(), |at| ago(at, now));
    let from = status.seen.ip.map(|ip| ip.to_string()).unwrap_or_default();
    put!(
        html,
        "<td data-head=\"Last seen\">{seen} <small>{from}</small></td><td data-head=\"Next step\">{}</td></tr>",
        text(&view.next_step)
    );
}

fn alerts(html: &mut String, overview: &Overview, now: Timestamp) {
    if overview.alerts.is_empty() {
        return;
    }
    put!(html, "<section><h2>Alerts</h2><ul class=\"rows\">");
    for named in &overview.alerts {
        let alert = &named.alert;
        put!(
            html,
            "<li class=\"red\"><b>{}</b> {} <small>{} times, last {}</small><p>{}</p></li>",
            alert.kind.as_str(),
            text(named.name.as_deref().unwrap_or("a unit that is gone")),
            alert.count,
            ago(alert.last, now),
            text(&alert.text)
        );
    }
    put!(html, "</ul></section>");
}

fn quarantine(html: &mut String, overview: &Overview, now: Timestamp) {
    if overview.sightings.is_empty() {
        return;
    }
    put!(
        html,
        "<section><h2>Asked and not listed</h2><ul class=\"rows\">"
    );
    for sighting in &overview.sightings {
        let who = match (&sighting.mac, &sighting.serial) {
            (Some(mac), _) => mac.to_string(),
            (None, Some(serial)) => serial.to_string(),
            (None, None) => String::new(),
        };
        put!(
            html,
            "<li><b>{}</b> {} <small>{} times from {}, last {}</small><p><code>{}</code></p></li>",
            text(&who),
            text(
                sighting
                    .model
                    .as_deref()
                    .or(sighting.vendor.as_deref())
                    .unwrap_or("")
            ),
            sighting.count,
            sighting.ip,
            ago(sighting.last, now),
            text(&entering(sighting))
        );
    }
    put!(html, "</ul></section>");
}

fn checks(html: &mut String, overview: &Overview) {
    if overview.checks.is_empty() {
        return;
    }
    put!(html, "<section><h2>Of late</h2><ol class=\"checks\">");
    for (check, name) in &overview.checks {
        let tint = match check.outcome {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Refused => "refused",
            Outcome::Partial => "partial",
        };
        let at = check.at.to_string();
        put!(
            html,
            "<li class=\"{tint}\"><time datetime=\"{at}\">{}</time> <b>{}</b> {} {} <span>{}</span> <small>{}</small></li>",
            at.get(11..19).unwrap_or(&at),
            text(name),
            check.channel.as_str(),
            check.kind.as_str(),
            text(&check.reason),
            text(check.path.as_deref().unwrap_or_default())
        );
    }
    put!(html, "</ol></section>");
}

/// How long ago, in words.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => "now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_is_text() {
        let raw = "<script>alert('x')</script>\u{1b}&\"";
        let expect = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp;&quot;";
        assert_eq!(text(raw), expect);
    }

    #[test]
    fn times_are_told_in_words() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let told = |before: i64| ago(Timestamp::from_second(1_000_000 - before).unwrap(), now);
        let expect = ["now", "1 min ago", "2 h ago", "3 d ago", "now"];
        assert_eq!([59, 119, 7300, 260_000, -5].map(told), expect);
    }
}
