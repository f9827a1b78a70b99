//! Sites, waivers and call servers of the file. Of a site and a call server only the keys that the
//! file names are kept, each with its line: what a verb says of the others outlives a restart.

use ipnet::IpNet;

use crate::model::site::{Corroborate, Pbx, Site, Waiver};

/// The rows of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The file, as problems name it.
    pub file: String,
    pub sites: Vec<Row<SiteKey>>,
    pub pbxs: Vec<Row<PbxKey>>,
    /// Each with its line.
    pub waivers: Vec<(u32, Waiver)>,
}

impl Rows {
    /// What the file names of a site.
    pub fn site(&self, name: &str) -> Option<&Row<SiteKey>> {
        self.sites.iter().find(|row| row.name == name)
    }

    /// What the file names of a call server.
    pub fn pbx(&self, name: &str) -> Option<&Row<PbxKey>> {
        self.pbxs.iter().find(|row| row.name == name)
    }

    /// A line of the file, as people look it up.
    pub fn place(&self, line: u32) -> String {
        format!("{}:{line}", self.file)
    }
}

/// One table: the name of what it is about, and the keys that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<K> {
    pub name: String,
    pub line: u32,
    /// Each with its line.
    pub keys: Vec<(u32, K)>,
}

impl<K: Key> Row<K> {
    /// The row with what the file says of it; what the file does not name stays.
    #[must_use]
    pub fn over(&self, mut row: K::Of) -> K::Of {
        for (_, key) in &self.keys {
            key.put(&mut row);
        }
        row
    }

    /// The keys that hold something else in this row than in the file, with their lines.
    pub fn against(&self, row: &K::Of) -> Vec<(u32, &'static str)> {
        let differs = |key: &K| {
            let mut laid = row.clone();
            key.put(&mut laid);
            laid != *row
        };
        let keys = self.keys.iter().filter(|(_, key)| differs(key));
        keys.map(|(line, key)| (*line, key.name())).collect()
    }
}

/// A key of a row, with its value.
pub trait Key {
    type Of: Clone + PartialEq;

    fn name(&self) -> &'static str;

    fn put(&self, row: &mut Self::Of);
}

/// A key of `[[site]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum SiteKey {
    Corroborate(Corroborate),
    Expect(u32),
    KeysAtL2(bool),
    Nat(bool),
    Prefixes(Vec<IpNet>),
    PublicHttpUrl(Option<String>),
    PublicTftp(Option<String>),
    PublicUrl(Option<String>),
    Timezone(String),
}

impl Key for SiteKey {
    type Of = Site;

    fn name(&self) -> &'static str {
        match self {
            Self::Corroborate(_) => "corroborate",
            Self::Expect(_) => "expect",
            Self::KeysAtL2(_) => "keys_at_l2",
            Self::Nat(_) => "nat",
            Self::Prefixes(_) => "prefixes",
            Self::PublicHttpUrl(_) => "public_http_url",
            Self::PublicTftp(_) => "public_tftp",
            Self::PublicUrl(_) => "public_url",
            Self::Timezone(_) => "timezone",
        }
    }

    fn put(&self, site: &mut Site) {
        match self {
            Self::Corroborate(by) => site.corroborate = *by,
            Self::Expect(units) => site.expect = *units,
            Self::KeysAtL2(given) => site.keys_at_l2 = *given,
            Self::Nat(nat) => site.nat = *nat,
            Self::Prefixes(prefixes) => site.prefixes.clone_from(prefixes),
            Self::PublicHttpUrl(url) => site.public_http_url.clone_from(url),
            Self::PublicTftp(host) => site.public_tftp.clone_from(host),
            Self::PublicUrl(url) => site.public_url.clone_from(url),
            Self::Timezone(zone) => site.timezone.clone_from(zone),
        }
    }
}

/// A key of `[[pbx]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum PbxKey {
    Backup(Option<String>),
    OutboundProxy(Option<String>),
    SipServer(String),
    Sites(Vec<String>),
    Srtp(bool),
    Transport(Option<String>),
}

impl Key for PbxKey {
    type Of = Pbx;

    fn name(&self) -> &'static str {
        match self {
            Self::Backup(_) => "backup",
            Self::OutboundProxy(_) => "outbound_proxy",
            Self::SipServer(_) => "sip_server",
            Self::Sites(_) => "sites",
            Self::Srtp(_) => "srtp",
            Self::Transport(_) => "transport",
        }
    }

    fn put(&self, pbx: &mut Pbx) {
        match self {
            Self::Backup(host) => pbx.backup.clone_from(host),
            Self::OutboundProxy(host) => pbx.outbound_proxy.clone_from(host),
            Self::SipServer(host) => pbx.sip_server.clone_from(host),
            Self::Sites(sites) => pbx.sites.clone_from(sites),
            Self::Srtp(srtp) => pbx.srtp = *srtp,
            Self::Transport(word) => pbx.transport.clone_from(word),
        }
    }
}
