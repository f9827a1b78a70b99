//! Whether a unit opens HTTPS with us: what it speaks, what it trusts, and what we show it. One
//! judgement for pointers, grants, bootstraps and what people are told.

use crate::catalog::manifest::{After, Family, Trusts};
use crate::model::certificate::covers;
use crate::model::identity::Channel;
use crate::model::site::Site;

/// Lowest TLS version, times ten, that opens HTTPS with us.
const TLS: u8 = 12;

/// What units find at the HTTPS base that they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// There is no base.
    Nothing,
    /// A certificate of our own CA.
    Own,
    /// A certificate that somebody else signed for the base's name.
    Public,
}

/// Our HTTPS listener, as units know it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Front<'a> {
    /// The global base, `https://…/`.
    pub base: Option<&'a str>,
    /// Names in certificates that somebody else than our own CA issued, in lower case.
    pub certified: &'a [String],
}

impl Front<'_> {
    /// What units of a site find at their base: the site's own, else the global one.
    pub fn at(&self, site: Option<&Site>) -> Shown {
        let own = site.and_then(|site| site.public_url.as_deref());
        match own.or(self.base) {
            None => Shown::Nothing,
            Some(base) => shown(base, self.certified),
        }
    }
}

/// What is found at a base.
pub fn shown(base: &str, certified: &[String]) -> Shown {
    if host(base).is_some_and(|host| covers(certified, host)) {
        Shown::Public
    } else {
        Shown::Own
    }
}

/// The host of a base URL, without port; an IPv6 address without brackets.
pub fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    if let Some(inside) = authority.strip_prefix('[') {
        return inside.split_once(']').map(|(host, _)| host);
    }
    authority.split(':').next()
}

/// When a unit is asked to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As it comes from the factory.
    Factory,
    /// After a file of ours told it what to trust.
    Told,
}

/// Why a unit does not open HTTPS with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its highest TLS version, times ten; 0 for none.
    Tls(u8),
    /// It takes its server by other transports only, and no file of ours changes that.
    NotUsed,
    MakerOnly,
    /// It takes public certificates, and ours is our own CA's.
    NeedsPublic,
    NoBase,
}

impl Why {
    /// What the unit does, for people: "it …".
    pub fn text(self) -> String {
        match self {
            Self::Tls(0) => "speaks no TLS".to_owned(),
            Self::Tls(version) => format!("speaks TLS {}.{} only", version / 10, version % 10),
            Self::NotUsed => "does not use HTTPS".to_owned(),
            Self::MakerOnly => "trusts its maker's certificates only".to_owned(),
            Self::NeedsPublic => {
                "takes a public certificate only, and ours is from our own CA".to_owned()
            }
            Self::NoBase => "has no HTTPS address to ask".to_owned(),
        }
    }
}

/// Whether units of this model open HTTPS with us; else the first thing that keeps them from it.
pub fn opens(family: &Family, model: &str, shown: Shown, when: When) -> Result<(), Why> {
    let transport = &family.transport;
    let tls = transport.tls.of(model).copied().unwrap_or_default();
    if tls < TLS {
        return Err(Why::Tls(tls));
    }
    let learns = when == When::Told && transport.after.of(model) == Some(&After::OwnCa);
    let first = transport.first.of(model);
    if !learns && first.is_some_and(|ways| !ways.contains(&Channel::Https)) {
        return Err(Why::NotUsed);
    }
    let trusts = transport.trusts.of(model);
    if !learns && matches!(trusts, Some(Trusts::VendorCa(_))) {
        return Err(Why::MakerOnly);
    }
    match (shown, trusts) {
        (Shown::Nothing, _) => Err(Why::NoBase),
        (Shown::Public, _) | (Shown::Own, Some(Trusts::None | Trusts::Own)) => Ok(()),
        (Shown::Own, _) if learns => Ok(()),
        // What is not said is not believed.
        (Shown::Own, Some(Trusts::Public | Trusts::VendorCa(_)) | None) => Err(Why::NeedsPublic),
    }
}
