//! What a family's units are told by DHCP and SIP PnP: the manifest's replies with their
//! placeholders filled in, each option in its encoding (manifest.md section 4). Pure.

mod encode;
mod fill;
mod pointer;

use std::net::Ipv4Addr;

pub use self::fill::Ask;
pub use self::pointer::{Bases, Pointer, choose};

use self::encode::encode;
use self::fill::Fill;
use super::resolve::Values;
use crate::catalog::hint;
use crate::catalog::manifest::{DhcpReply, Family, Vendor};

/// A reply, as a transport sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// DHCP options in ascending order. A value over 255 octets is split by the wire layer
    /// (RFC 3396).
    pub options: Vec<(u8, Vec<u8>)>,
    pub siaddr: Option<Ipv4Addr>,
    pub file: Option<String>,
    /// The shortest lease, in seconds, that the unit takes.
    pub lease: u32,
    /// The body of a NOTIFY.
    pub url: Option<String>,
}

impl Reply {
    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        let nothing = Self {
            lease: self.lease,
            ..Self::default()
        };
        *self == nothing
    }
}

/// What placeholders are filled from.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub vendor: &'a Vendor,
    pub family: &'a Family,
    /// Of the unit's site, else the global ones.
    pub bases: &'a Bases,
    /// Public and site values of the unit's site.
    pub values: &'a Values,
}

/// The DHCP reply for a unit: of the first block whose `when` holds. Entries whose placeholder is
/// unset are left out, so the reply may be empty.
pub fn dhcp(ask: &Ask<'_>, terms: Terms<'_>) -> Reply {
    let block = terms.family.dhcp.iter().find(|block| holds(block, ask));
    block
        .map(|block| of_block(block, ask, terms))
        .unwrap_or_default()
}

/// The reply of one block, whether or not its `when` holds.
pub fn of_block(block: &DhcpReply, ask: &Ask<'_>, terms: Terms<'_>) -> Reply {
    let fill = Fill::new(ask, terms);
    let mut options: Vec<(u8, Vec<u8>)> = block
        .options
        .iter()
        .filter_map(|(code, value)| Some((*code, encode(value, &fill)?)))
        .collect();
    for code in &block.echo {
        let said = ask.options.and_then(|options| options.get(code));
        let given = options.iter().any(|(known, _)| known == code);
        if let Some(said) = said.filter(|said| !said.is_empty() && !given) {
            options.push((*code, said.clone()));
        }
    }
    options.sort_by_key(|(code, _)| *code);
    Reply {
        options,
        siaddr: block
            .siaddr
            .as_deref()
            .and_then(|text| fill.text(text)?.parse().ok()),
        file: block.file.as_deref().and_then(|text| fill.text(text)),
        lease: block.lease,
        url: None,
    }
}

/// The URL that a NOTIFY carries; none where the family has no PnP, or no base that it can use.
pub fn pnp(ask: &Ask<'_>, terms: Terms<'_>) -> Reply {
    let fill = Fill::new(ask, terms);
    Reply {
        url: terms
            .family
            .sip_pnp
            .as_deref()
            .and_then(|text| fill.text(text)),
        ..Reply::default()
    }
}

/// Whether a block's `when` holds: every option, every code of option 55, one of the models.
fn holds(block: &DhcpReply, ask: &Ask<'_>) -> bool {
    const PARAMETERS: u8 = 55;
    let said = |code: &u8| ask.options.and_then(|options| options.get(code));
    let options = block
        .when_options
        .iter()
        .all(|(code, matcher)| said(code).is_some_and(|octets| hint::matches(matcher, octets)));
    let asked = said(&PARAMETERS);
    let asks = block
        .when_asks
        .iter()
        .all(|code| asked.is_some_and(|asked| asked.contains(code)));
    let models = block.when_models.is_empty()
        || ask
            .model
            .is_some_and(|model| block.when_models.iter().any(|listed| listed == model));
    options && asks && models
}
