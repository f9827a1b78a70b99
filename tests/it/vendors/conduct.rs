//! How a vendor's units behave, as its manifests resolve: trust, refusal, pin, ceiling, files and
//! reports, word by word against a text that was checked with the vendor's sheet. What recognises a
//! request is not in it: requests show that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use dialtone::catalog::manifest::{Artefact, ByModel, Family, OptionMatch, Refusal, Vendor};

use super::{FIXTURES, catalog, vendors};

/// The conduct of a vendor: each line with its kind, which is its name without whose it is.
pub(super) struct Described(Vec<(&'static str, String)>);

impl Described {
    pub(super) fn text(&self) -> String {
        let lines = self.0.iter();
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }

    /// The kinds of the lines that the other one has not, and the other way about.
    pub(super) fn differences(&self, other: &Self) -> BTreeSet<&'static str> {
        let (own, others) = (BTreeSet::from_iter(&self.0), BTreeSet::from_iter(&other.0));
        let apart = own.symmetric_difference(&others);
        apart.map(|(kind, _)| *kind).collect()
    }
}

/// The conduct of a vendor as text.
pub(super) fn described(vendor: &Vendor) -> Described {
    let mut out = Vec::new();
    let mut line = |name: &'static str, value: &dyn Debug| {
        out.push((name, format!("{name}: {value:?}")));
    };
    line("names", &vendor.names);
    line("default family", &vendor.default_family);
    line("generic", &vendor.generic);
    for rule in &vendor.certificates {
        line("certificate always", &rule.always);
        line("certificate shared", &rule.shared);
    }
    line("unconfirmed", &vendor.unconfirmed);
    for family in vendor.families.values() {
        described_family(&mut out, family);
    }
    Described(out)
}

fn described_family(out: &mut Vec<(&'static str, String)>, family: &Family) {
    let mut line = |name: &'static str, value: &dyn Debug| {
        out.push((name, format!("{} {name}: {value:?}", family.id)));
    };
    line("label", &family.label);
    line("reach", &family.reach);
    match &family.firmware_range {
        range if range.models.is_empty() => line("firmware", &range.all),
        range => line("firmware", &by_model(range)),
    }
    line("asks", &family.asks);
    line("MAC offset", &by_model(&family.mac_offset));
    if family.port_mac {
        line("port MAC", &family.port_mac);
    }
    line("models", &family.models);
    line("lines", &by_model(&family.capacity.lines));
    line("keys", &by_model(&family.capacity.keys));
    line("expansion", &family.capacity.expansion);
    line("first", &by_model(&family.transport.first));
    line("trusts", &by_model(&family.transport.trusts));
    line("after", &by_model(&family.transport.after));
    line("TLS", &by_model(&family.transport.tls));
    line("sources", &family.sources.order);
    line("pin", &family.sources.pin);
    line("ceiling", &by_model(&family.sources.ceiling));
    line("elsewhere", &family.sources.elsewhere);
    line("absent keeps", &family.absent.keeps);
    line("absent source", &family.absent.source);
    line("never", &family.absent.never);
    line("refusal", &refusal(&family.refusal));
    line("bootstrap", &family.bootstrap);
    line("registered", &family.report.registered);
    line("failed", &family.report.failed);
    line("states", &family.report.states);
    line("proof", &family.report.proof);
    line("stall after", &family.report.stall_after);
    line("PnP", &family.sip_pnp);
    let told = family.firmware.as_ref();
    let told = told.map(|rule| (&rule.told_by, rule.name.source()));
    line("firmware file", &told);
    line("push", &family.push);
    for reply in &family.dhcp {
        let when = reply.when_options.iter();
        let when: Vec<_> = when
            .map(|(code, matcher)| (code, matched(matcher)))
            .collect();
        line("reply when", &(when, &reply.when_asks, &reply.when_models));
        line(
            "reply",
            &(
                &reply.options,
                &reply.echo,
                &reply.siaddr,
                &reply.file,
                reply.lease,
            ),
        );
    }
    if !family.unsupported.is_empty() {
        line("unsupported", &family.unsupported);
    }
    line("unconfirmed", &family.unconfirmed);
    for artefact in &family.artefacts {
        described_artefact(out, &family.id, artefact);
    }
}

fn described_artefact(out: &mut Vec<(&'static str, String)>, family: &str, artefact: &Artefact) {
    let mut line = |name: &'static str, value: &dyn Debug| {
        out.push((name, format!("{family} {} {name}: {value:?}", artefact.id)));
    };
    let files = (&artefact.template, &artefact.bootstrap);
    line("kind", &(artefact.kind.as_str(), artefact.scope));
    line("asked", &(artefact.order, artefact.required));
    line("files", &files);
    line("format", &(artefact.format, &artefact.media_type));
    line("useful from", &artefact.useful_from);
    line("fallback of", &artefact.fallback_of);
    line("refusal", &artefact.refusal.as_ref().map(refusal));
    line("restarts", &artefact.applies_by_restart);
    line("version field", &artefact.version_field);
    line("filters", &artefact.filters);
}

fn matched(matcher: &OptionMatch) -> String {
    match matcher {
        OptionMatch::Text(pattern) => pattern.source().to_owned(),
        OptionMatch::Hex(octets) => format!("{octets:02x?}"),
        OptionMatch::Tlv { enterprise, parts } => {
            let parts = parts.iter().map(|(code, part)| (code, part.source()));
            format!("{enterprise:?} {:?}", parts.collect::<Vec<_>>())
        }
        OptionMatch::EnterpriseText { enterprise, text } => {
            format!("{enterprise} {}", text.source())
        }
    }
}

fn by_model<T: Debug + Clone>(value: &ByModel<T>) -> (Option<T>, BTreeMap<String, T>) {
    (value.all.clone(), value.models.clone())
}

fn refusal(refusal: &Refusal) -> String {
    format!(
        "{:?} {:?} {:?}",
        refusal.http, refusal.tftp, refusal.asks_again
    )
}

pub(super) fn golden(vendor: &str) -> String {
    let path = Path::new(FIXTURES).join(vendor).join("conduct.txt");
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn every_vendor_behaves_as_its_sheet_says() {
    for id in vendors() {
        let text = described(&catalog().vendors[&id]).text();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let path = Path::new(FIXTURES).join(&id).join("conduct.txt");
            fs::write(path, &text).expect("room");
        }
        let held = golden(&id);
        let mut pairs = held.lines().zip(text.lines());
        let different = pairs.find(|(held, made)| held != made);
        assert_eq!(different, None, "{id}");
        assert_eq!(held.lines().count(), text.lines().count(), "{id}");
    }
}
