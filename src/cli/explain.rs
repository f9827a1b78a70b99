//! `explain`: one JSON object a line in, one out, in the same order (contract section 5).

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::out;
use crate::catalog::{Catalog, load};
use crate::engine::explain::{Explanation, explain};
use crate::engine::facts::{DhcpFacts, Facts, Method};
use crate::engine::reply::Bases;
use crate::engine::target;
use crate::model::certificate::PeerCertificate;
use crate::model::identity::{Channel, Mac};
use crate::model::secret::Foreign;
use crate::net::sip::subscribe;
use crate::pki;
use crate::service::Service;

/// One line of input; unknown keys are ignored.
#[derive(Deserialize)]
struct Request {
    channel: String,
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    source: Option<String>,
    dhcp: Option<Dhcp>,
    subscribe: Option<String>,
    peer_certificate_pem: Option<String>,
    peer_certificate: Option<Names>,
}

#[derive(Deserialize)]
struct Dhcp {
    message: Option<String>,
    chaddr: Option<String>,
    giaddr: Option<String>,
    #[serde(default)]
    options: BTreeMap<String, Octets>,
}

#[derive(Deserialize)]
struct Octets {
    text: Option<String>,
    hex: Option<String>,
}

#[derive(Deserialize)]
struct Names {
    subject: String,
    issuer: Option<String>,
}

/// `explain [--profiles DIR]`.
#[derive(clap::Args, Debug)]
pub(super) struct Explain {
    /// Without a server: folder with manifests; may be given several times, an earlier one wins
    #[arg(long, value_name = "DIR")]
    profiles: Vec<PathBuf>,
}

impl Explain {
    /// Explains every line; an unreadable one becomes `{"error":…}` and exit code 1 at the end.
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        if self.profiles.is_empty() {
            let session = globals.session()?;
            let call = Call::to(&["explain"]);
            // A line that is none is told by its reader; the server sees what is one.
            return each(globals, |line| {
                let request: Value =
                    serde_json::from_str(line).map_err(|error| error.to_string())?;
                facts(request.clone())?;
                Ok(session.send(http::Method::POST, &call, Some(&request)))
            });
        }
        let catalog = catalog(&self.profiles)?;
        each(globals, |line| {
            let request = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let facts = facts(request)?;
            // The default configuration has no base that a unit elsewhere could reach.
            let explanation = explain(&facts, &catalog, &Bases::default());
            Ok(Ok(shown(&explanation, &facts)))
        })
    }
}

/// One line out for each line in. What `answer` cannot read is told in its place, what fails ends it.
fn each(
    globals: &Globals,
    answer: impl Fn(&str) -> Result<Result<Value, Fail>, String>,
) -> Result<Exit, Fail> {
    let out = globals.out();
    let mut exit = Exit::Done;
    for line in std::io::stdin().lock().lines() {
        let told = line
            .map_err(|error| error.to_string())
            .and_then(|line| answer(&line));
        let row = match told {
            Ok(row) => row?,
            Err(error) => {
                exit = Exit::Failed;
                json!({ "error": error })
            }
        };
        out.line(&row.to_string())?;
    }
    Ok(exit)
}

/// What a running server makes of a request.
pub(super) async fn by(service: &Service, request: Value) -> Result<Value, String> {
    let facts = facts(request)?;
    let told = service.explain(&facts).await;
    Ok(shown(&told.map_err(|error| error.to_string())?, &facts))
}

/// The folders that a flag named, or the one beside us.
pub(super) fn folders(named: &[PathBuf]) -> Vec<PathBuf> {
    if named.is_empty() {
        vec![PathBuf::from("profiles")]
    } else {
        named.to_vec()
    }
}

/// Reads the manifests; every problem goes to stderr, and an error among them is a failure.
pub(super) fn catalog(named: &[PathBuf]) -> Result<Arc<Catalog>, Fail> {
    let files = load::read_folders(&folders(named))
        .map_err(|problem| Fail::usage("profiles", problem.to_string()))?;
    let (catalog, problems) = Catalog::from_files(&files);
    for problem in &problems {
        out::note(&problem.to_string());
    }
    catalog.ok_or_else(|| Fail::usage("profiles", "the manifests have errors"))
}

/// The request that a line of input says.
pub(super) fn facts(request: Value) -> Result<Facts, String> {
    let request: Request = serde_json::from_value(request).map_err(|error| error.to_string())?;
    let channel = Channel::parse(&request.channel).ok_or_else(|| {
        format!(
            "channel `{}` is none of https, http, tftp, dhcp, sip-pnp",
            request.channel
        )
    })?;
    let target = target::parse(request.path.as_deref().unwrap_or("/").as_bytes())
        .map_err(|error| format!("path: {error}"))?;
    let mut facts = Facts::new(channel, target);
    facts.method = match request.method.as_deref() {
        Some("HEAD") => Method::Head,
        None | Some(_) => Method::Get,
    };
    facts.headers = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), Foreign::new(value.as_bytes())))
        .collect();
    facts.host = request.headers.get("host").cloned();
    facts.source = request.source.as_deref().and_then(|text| text.parse().ok());
    facts.dhcp = request.dhcp.map(dhcp).transpose()?;
    if let Some(message) = &request.subscribe {
        facts.pnp = Some(
            subscribe::parse(message.as_bytes()).map_err(|error| format!("subscribe: {error}"))?,
        );
    }
    facts.certificate = certificate(
        request.peer_certificate_pem.as_deref(),
        request.peer_certificate,
    )?;
    Ok(facts)
}

fn dhcp(raw: Dhcp) -> Result<DhcpFacts, String> {
    let mut options = BTreeMap::new();
    for (code, octets) in raw.options {
        let number: u8 = code
            .parse()
            .map_err(|_| format!("dhcp.options: `{code}` is no option"))?;
        let bytes = match (octets.text, octets.hex) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(hex)) => {
                unhex(&hex).ok_or_else(|| format!("dhcp.options.{code}: `{hex}` is not hex"))?
            }
            (None, None) => return Err(format!("dhcp.options.{code}: say `text` or `hex`")),
        };
        options.insert(number, bytes);
    }
    Ok(DhcpFacts {
        message: raw.message.unwrap_or_default(),
        chaddr: raw.chaddr.as_deref().and_then(|text| Mac::parse(text).ok()),
        options,
        giaddr: raw.giaddr.as_deref().and_then(|text| text.parse().ok()),
        ..DhcpFacts::default()
    })
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let whole = hex.is_ascii() && hex.len().is_multiple_of(2);
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    if whole {
        (0..hex.len()).step_by(2).map(pair).collect()
    } else {
        None
    }
}

fn certificate(pem: Option<&str>, names: Option<Names>) -> Result<Option<PeerCertificate>, String> {
    if let Some(pem) = pem {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("peer_certificate_pem: {error}"))?;
        return Ok(Some(pki::read(&der)));
    }
    Ok(names.map(|names| PeerCertificate {
        subject: pki::written_name(&names.subject),
        issuer: names.issuer.as_deref().map(pki::written_name),
        alternatives: Vec::new(),
        fingerprint: None,
        verified: Vec::new(),
        own: false,
        trouble: None,
    }))
}

/// A text as it is, else `hex:` and its octets.
fn written(octets: &[u8]) -> String {
    let plain = |octet: &u8| octet.is_ascii_graphic() || *octet == b' ';
    match std::str::from_utf8(octets) {
        Ok(text) if octets.iter().all(plain) => text.to_owned(),
        Ok(_) | Err(_) => {
            let digits = octets.iter().map(|octet| format!("{octet:02x}"));
            format!("hex:{}", digits.collect::<String>())
        }
    }
}

fn shown(explanation: &Explanation, facts: &Facts) -> Value {
    let claims = &explanation.claims;
    let options = explanation.reply.options.iter();
    let options = options.map(|(code, octets)| (code.to_string(), Value::from(written(octets))));
    let dhcp_options = facts
        .dhcp
        .as_ref()
        .map(|_| Value::Object(options.collect()));
    json!({
        "vendor": claims.vendor,
        "family": claims.family,
        "model": claims.model,
        "mac": claims.mac.map(|mac| mac.to_string()),
        "serial": claims.serial.as_ref().map(ToString::to_string),
        "firmware": claims.firmware,
        "assurance": explanation.assurance.as_str(),
        "artefact": explanation.artefact,
        "device": explanation.device.map(|id| id.to_string()),
        "decision": explanation.decision,
        "reason": explanation.reason,
        "why": explanation.why,
        "dhcp_options": dhcp_options,
    })
}
