//! What a unit says by DHCP and SIP PnP, and what it takes of the answer.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[dhcp]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DhcpRules {
    /// The MAC that asks minus the printed one.
    #[serde(default)]
    pub(in super::super) mac_offset: i64,
    /// Options that it sends, by code; the text is filled.
    #[serde(default)]
    pub(in super::super) send: BTreeMap<u8, String>,
    /// The same in hexadecimal digits.
    #[serde(default)]
    pub(in super::super) send_hex: BTreeMap<u8, String>,
    /// Codes that it asks for (option 55).
    #[serde(default)]
    pub(in super::super) asks: Vec<u8>,
    /// Where its server is: the first text of which every option is there. `{66}` is an option's text,
    /// `{150:ip}` its first address, `{43.1}` a sub-option, `{242=HTTPSRVR}` an item of a list.
    #[serde(default)]
    pub(in super::super) pointer: Vec<String>,
    /// Options that move it to another VLAN, first one first.
    #[serde(default)]
    pub(in super::super) vlan: Vec<String>,
}

/// `[pnp]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PnpRules {
    /// The user part of its URI.
    pub(in super::super) user: String,
    /// The parameters of its Event header.
    pub(in super::super) event: String,
    pub(in super::super) agent: String,
}
