//! Raw keys → [`Config`]: defaults filled in, texts parsed, parts that are not built refused.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::Timestamp;

use super::problem::Kind;
use super::raw::{RawBackup, RawConfig, RawPbx, RawSite, RawWaiver};
use super::reader::{At, Source, nearest};
use super::rows::{PbxKey, Row, Rows, SiteKey};
use super::{BUILTIN, CertificateFiles, Config, Folder, Listen, values};
use crate::model::site::{Corroborate, UTC, Waiver};

pub(super) type Text = Option<At<String>>;
pub(super) type Texts = Option<At<Vec<At<String>>>>;

/// Tells problems to `source`; where there is one, the default stands in so that the rest is
/// looked at too.
pub(super) fn config(source: &Source<'_>, raw: RawConfig) -> Config {
    let tell = Tell(source);
    let standard = Config::default();
    let listen = Listen {
        https: tell.addresses("listen.https", raw.listen.https, standard.listen.https),
        http: tell.addresses("listen.http", raw.listen.http, standard.listen.http),
        tftp: tell.addresses("listen.tftp", raw.listen.tftp, standard.listen.tftp),
        sip_pnp: tell.each("listen.sip_pnp", raw.listen.sip_pnp, sip_address),
        admin: tell.addresses("listen.admin", raw.listen.admin, standard.listen.admin),
    };
    for (key, list) in [
        ("listen.field", &raw.listen.field),
        ("listen.trusted_proxies", &raw.listen.trusted_proxies),
    ] {
        tell.only_empty(key, list.as_ref());
    }
    let dhcp = tell.dhcp(&raw.dhcp);
    tell.backup(&raw.backup);
    if let Some(rotate) = raw.rotate_on_swap.filter(|rotate| !rotate.value) {
        tell.not_built(rotate.line, "policy.rotate_on_swap = false", "leave it out");
    }
    tell.crl(raw.crl);
    tell.unique("site", raw.sites.iter().map(|site| (site.line, &site.name)));
    tell.unique("pbx", raw.pbxs.iter().map(|pbx| (pbx.line, &pbx.name)));
    let rows = Rows {
        file: source.file().to_owned(),
        sites: each(raw.sites, |site| tell.site(site)),
        pbxs: each(raw.pbxs, |pbx| tell.pbx(pbx)),
        waivers: each(raw.waivers, |waiver| tell.waiver(waiver)),
    };
    Config {
        data: path_or(raw.data, standard.data),
        profiles: tell.folders("profiles", raw.profiles, standard.profiles),
        firmware_policies: tell.folders(
            "firmware_policies",
            raw.firmware_policies,
            standard.firmware_policies,
        ),
        certs: raw.certs.map_or(standard.certs, |text| folder(&text.value)),
        public_url: tell.base_url("public_url", raw.public_url, "https"),
        public_http_url: tell.base_url("public_http_url", raw.public_http_url, "http"),
        public_tftp: tell.optional("public_tftp", raw.public_tftp, values::host),
        public_aliases: tell.each("public_aliases", raw.public_aliases, values::host),
        auto_publish: raw.auto_publish.is_none_or(|at| at.value),
        store_url: tell.store_url(raw.store_url, standard.store_url),
        listen,
        max_blksize: tell.max_blksize(raw.max_blksize, standard.max_blksize),
        certificates: raw
            .tls
            .into_iter()
            .filter_map(|certificate| {
                let chain = tell.needed(
                    "tls.certificate",
                    "chain_file",
                    certificate.line,
                    certificate.chain_file,
                );
                let key = tell.needed(
                    "tls.certificate",
                    "key_file",
                    certificate.line,
                    certificate.key_file,
                );
                Some(CertificateFiles {
                    chain: PathBuf::from(chain?),
                    key: PathBuf::from(key?),
                })
            })
            .collect(),
        rows,
        dhcp,
        user: raw.user.map(|at| at.value).filter(|user| !user.is_empty()),
    }
}

fn each<R, T>(tables: Vec<R>, read: impl Fn(R) -> Option<T>) -> Vec<T> {
    tables.into_iter().filter_map(read).collect()
}

fn path_or(text: Text, standard: PathBuf) -> PathBuf {
    text.map_or(standard, |at| PathBuf::from(at.value))
}

fn folder(text: &str) -> Folder {
    if text == BUILTIN {
        Folder::Builtin
    } else {
        Folder::Named(PathBuf::from(text))
    }
}

/// Parses texts, and tells those that are wrong.
pub(super) struct Tell<'s, 't>(&'s Source<'t>);

impl Tell<'_, '_> {
    pub(super) fn wrong(&self, line: u32, what: impl Display) {
        self.0.tell(line, Kind::WrongValue, what.to_string(), "");
    }

    pub(super) fn not_built(&self, line: u32, key: &str, hint: &str) {
        let what = format!("{key} is not built yet in this version");
        self.0.tell(line, Kind::NotBuilt, what, hint);
    }

    fn only_empty(&self, key: &str, list: Option<&At<Vec<At<String>>>>) {
        if let Some(list) = list.filter(|list| !list.value.is_empty()) {
            self.not_built(list.line, key, "set it to [] or leave it out");
        }
    }

    /// An absent or empty text is `None`.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        text: Text,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text.filter(|text| !text.value.is_empty())?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(what) => {
                self.wrong(text.line, format!("{key}: {what}"));
                None
            }
        }
    }

    fn base_url(&self, key: &str, text: Text, scheme: &str) -> Option<String> {
        self.optional(key, text, |url| values::base_url(url, scheme))
    }

    pub(super) fn each<T>(
        &self,
        key: &str,
        list: Texts,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let items = list.map(|at| at.value).unwrap_or_default();
        let mut good = Vec::new();
        for item in items {
            match parse(&item.value) {
                Ok(value) => good.push(value),
                Err(what) => self.wrong(item.line, format!("{key}: {what}")),
            }
        }
        good
    }

    fn addresses(&self, key: &str, list: Texts, standard: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match list {
            Some(list) => self.each(key, Some(list), values::listen_address),
            None => standard,
        }
    }

    fn folders(&self, key: &str, list: Texts, standard: Vec<Folder>) -> Vec<Folder> {
        let Some(list) = list else { return standard };
        if list.value.is_empty() {
            let what = format!("{key} names no folder");
            let hint = format!("leave it out, or use {BUILTIN:?} for what is inside the binary");
            self.0.tell(list.line, Kind::WrongValue, what, &hint);
        }
        list.value.iter().map(|at| folder(&at.value)).collect()
    }

    pub(super) fn needed(&self, table: &str, key: &str, line: u32, text: Text) -> Option<String> {
        let text = text.filter(|text| !text.value.is_empty());
        if text.is_none() {
            self.wrong(line, format!("this {table} has no {key}"));
        }
        text.map(|text| text.value)
    }

    pub(super) fn word<'a>(
        &self,
        key: &str,
        text: Text,
        words: &[&'a str],
        standard: &'a str,
    ) -> &'a str {
        let Some(text) = text else { return standard };
        if let Some(word) = words.iter().find(|word| **word == text.value) {
            return word;
        }
        let what = format!("{key} is one of {}, not {:?}", words.join(", "), text.value);
        let hint = nearest(&text.value, words)
            .map(|near| format!("did you mean {near:?}?"))
            .unwrap_or_default();
        self.0.tell(text.line, Kind::WrongValue, what, &hint);
        standard
    }

    fn unique<'a>(&self, kind: &str, names: impl Iterator<Item = (u32, &'a Text)>) {
        let mut seen = BTreeSet::new();
        for (line, name) in names {
            let Some(name) = name.as_ref().map(|at| at.value.as_str()) else {
                continue;
            };
            if !seen.insert(name) {
                self.wrong(line, format!("a second [[{kind}]] with the name {name:?}"));
            }
        }
    }

    fn store_url(&self, text: Text, standard: String) -> String {
        let Some(text) = text else { return standard };
        let (engine, name) = text.value.split_once(':').unwrap_or((&text.value, ""));
        match engine {
            "sled" => match values::name(name) {
                Ok(_) => return text.value,
                Err(what) => self.wrong(text.line, format!("store.url: {what}")),
            },
            "postgres" | "postgresql" => {
                self.not_built(
                    text.line,
                    "store.url = \"postgres:…\"",
                    "use \"sled:store\"",
                );
            }
            other => self.wrong(
                text.line,
                format!("store.url: no engine {other:?}; it is sled:NAME"),
            ),
        }
        standard
    }

    /// RFC 2348 has the bounds.
    fn max_blksize(&self, number: Option<At<u32>>, standard: u16) -> u16 {
        let Some(number) = number else {
            return standard;
        };
        match u16::try_from(number.value).ok() {
            Some(size @ 8..=65_464) => size,
            Some(_) | None => {
                let what = format!("tftp.max_blksize is 8 to 65464, not {}", number.value);
                self.wrong(number.line, what);
                standard
            }
        }
    }

    fn crl(&self, text: Text) {
        let line = text.as_ref().map_or(1, |text| text.line);
        let word = self.word(
            "policy.crl",
            text,
            &["best-effort", "require"],
            "best-effort",
        );
        if word == "require" {
            self.not_built(line, "policy.crl = \"require\"", "use \"best-effort\"");
        }
    }

    fn site(&self, raw: RawSite) -> Option<Row<SiteKey>> {
        let mut keys = Vec::new();
        add(&mut keys, raw.prefixes, |at| {
            SiteKey::Prefixes(self.each("site.prefixes", at, prefix))
        });
        let given = self.needed("site", "name", raw.line, raw.name);
        let name = match values::name(&given?) {
            Ok(name) => name,
            Err(what) => {
                self.wrong(raw.line, format!("site.name: {what}"));
                return None;
            }
        };
        add(&mut keys, raw.timezone, |at| {
            let zone = self.optional("site.timezone", at, values::timezone);
            SiteKey::Timezone(zone.unwrap_or_else(|| UTC.to_owned()))
        });
        add(&mut keys, raw.nat, |at| {
            SiteKey::Nat(at.is_some_and(|at| at.value))
        });
        add(&mut keys, raw.expect, |at| {
            SiteKey::Expect(at.map_or(0, |at| at.value))
        });
        add(&mut keys, raw.corroborate, |at| {
            let words = ["lease", "prefix"];
            SiteKey::Corroborate(match self.word("site.corroborate", at, &words, "lease") {
                "prefix" => Corroborate::Prefix,
                _ => Corroborate::Lease,
            })
        });
        add(&mut keys, raw.keys_at_l2, |at| {
            SiteKey::KeysAtL2(at.is_some_and(|at| at.value))
        });
        add(&mut keys, raw.public_url, |at| {
            SiteKey::PublicUrl(self.base_url("site.public_url", at, "https"))
        });
        add(&mut keys, raw.public_http_url, |at| {
            SiteKey::PublicHttpUrl(self.base_url("site.public_http_url", at, "http"))
        });
        add(&mut keys, raw.public_tftp, |at| {
            SiteKey::PublicTftp(self.optional("site.public_tftp", at, values::host))
        });
        self.change_window(raw.change_window);
        Some(Row {
            name,
            line: raw.line,
            keys,
        })
    }

    fn change_window(&self, text: Text) {
        let Some(text) = text.filter(|text| !text.value.is_empty()) else {
            return;
        };
        match values::change_window(&text.value) {
            Ok(_) => self.not_built(text.line, "site.change_window", "leave it out"),
            Err(what) => self.wrong(text.line, format!("site.change_window: {what}")),
        }
    }

    fn waiver(&self, raw: RawWaiver) -> Option<(u32, Waiver)> {
        let site = self.needed("waiver", "site", raw.line, raw.site);
        let why = self.needed("waiver", "why", raw.line, raw.why);
        let until = self.needed("waiver", "until", raw.line, raw.until);
        let models = self.each("waiver.models", raw.models, |model| Ok(model.to_owned()));
        if models.is_empty() {
            self.wrong(raw.line, "this waiver names no models; [\"*\"] means all");
        }
        if raw.allow.is_none() {
            self.wrong(raw.line, "this waiver has no allow");
        }
        self.word(
            "waiver.allow",
            raw.allow,
            &["credential-over-plain"],
            "credential-over-plain",
        );
        let until: Timestamp = match values::until(&until?) {
            Ok(at) => at,
            Err(what) => {
                self.wrong(raw.line, format!("waiver.until: {what}"));
                return None;
            }
        };
        let waiver = Waiver {
            site: site?,
            models,
            until,
            why: why?,
        };
        Some((raw.line, waiver))
    }

    fn pbx(&self, raw: RawPbx) -> Option<Row<PbxKey>> {
        let kinds = ["none", "kamailio-rpc", "asterisk-ami", "freeswitch-esl"];
        let kind = self.word("pbx.kind", raw.kind, &kinds, "none");
        if kind != "none" {
            self.not_built(raw.line, &format!("pbx.kind = {kind:?}"), "use \"none\"");
        }
        for (key, text) in [
            ("pbx.registrar_url", raw.registrar_url),
            ("pbx.user", raw.user),
            ("pbx.password_file", raw.password_file),
        ] {
            if let Some(text) = text.filter(|text| !text.value.is_empty()) {
                self.not_built(text.line, key, "leave it out");
            }
        }
        let name = self.needed("pbx", "name", raw.line, raw.name);
        let mut keys = Vec::new();
        let line = raw.sip_server.as_ref().map_or(raw.line, |at| at.line);
        let server = self.needed("pbx", "sip_server", raw.line, raw.sip_server);
        add(&mut keys, raw.backup, |at| PbxKey::Backup(filled(at)));
        add(&mut keys, raw.outbound_proxy, |at| {
            PbxKey::OutboundProxy(filled(at))
        });
        add(&mut keys, raw.transport, |at| {
            let words = ["udp", "tcp", "tls"];
            let word = self.word("pbx.transport", at, &words, "udp");
            PbxKey::Transport(Some(word.to_owned()))
        });
        add(&mut keys, raw.srtp, |at| {
            PbxKey::Srtp(at.is_some_and(|at| at.value))
        });
        add(&mut keys, raw.sites, |at| {
            PbxKey::Sites(self.each("pbx.sites", at, values::name))
        });
        keys.push((line, PbxKey::SipServer(server?)));
        Some(Row {
            name: name?,
            line: raw.line,
            keys,
        })
    }

    fn backup(&self, raw: &RawBackup) {
        if let Some(to) = raw.to.as_ref().filter(|to| !to.value.is_empty()) {
            self.not_built(
                to.line,
                "backup.to",
                "call `dialtone backup FILE` from a timer",
            );
        }
        self.optional("backup.every", raw.every.clone(), values::duration);
        if let Some(keep) = raw.keep.as_ref().filter(|keep| keep.value == 0) {
            self.wrong(keep.line, "backup.keep is at least 1");
        }
    }
}

/// A key that somebody wrote, with its line.
fn add<K, T>(keys: &mut Vec<(u32, K)>, at: Option<At<T>>, read: impl FnOnce(Option<At<T>>) -> K) {
    if let Some(line) = at.as_ref().map(|at| at.line) {
        keys.push((line, read(at)));
    }
}

fn filled(text: Text) -> Option<String> {
    text.map(|at| at.value).filter(|text| !text.is_empty())
}

pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is not a prefix such as 10.99.0.0/16"))?;
    if net.trunc() == net {
        Ok(net)
    } else {
        Err(format!("{text:?} has host bits; it means {}", net.trunc()))
    }
}

/// Units ask a group of IPv4 only.
fn sip_address(text: &str) -> Result<SocketAddr, String> {
    let address = values::listen_address(text)?;
    match address {
        SocketAddr::V4(_) => Ok(address),
        SocketAddr::V6(_) => Err(format!("{text:?} is IPv6, and SIP PnP is IPv4's")),
    }
}
