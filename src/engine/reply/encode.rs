//! A reply option as octets. An entry whose placeholder is unset is left out, and an option of
//! which nothing is left.

use std::net::Ipv4Addr;

use super::fill::Fill;
use crate::catalog::manifest::OptionValue;

/// The octets of a value.
pub(super) fn encode(value: &OptionValue, fill: &Fill<'_>) -> Option<Vec<u8>> {
    let octets = match value {
        OptionValue::Text(text) => fill.text(text)?.into_bytes(),
        OptionValue::TextNul(text) => {
            let mut octets = fill.text(text)?.into_bytes();
            octets.push(0);
            octets
        }
        OptionValue::Hex(octets) => octets.clone(),
        OptionValue::U8(number) => vec![*number],
        OptionValue::U16(number) => number.to_be_bytes().to_vec(),
        OptionValue::U32(number) => number.to_be_bytes().to_vec(),
        OptionValue::Bool8(on) => vec![u8::from(*on)],
        OptionValue::IpList(texts) => {
            let filled = texts.iter().filter_map(|text| fill.text(text));
            let lists: Vec<String> = filled.collect();
            // A variable may be a list by itself. A name is no address, and left out.
            let items = lists.iter().flat_map(|list| list.split(','));
            let addresses = items.filter_map(|item| item.trim().parse::<Ipv4Addr>().ok());
            addresses.flat_map(|address| address.octets()).collect()
        }
        // RFC 8572 section 8.3: each with its length in two octets.
        OptionValue::UriList16(texts) => {
            let mut octets = Vec::new();
            for uri in texts.iter().filter_map(|text| fill.text(text)) {
                octets.extend(u16::try_from(uri.len()).ok()?.to_be_bytes());
                octets.extend(uri.into_bytes());
            }
            octets
        }
        OptionValue::Tlv(parts) => tlv(parts.iter(), fill),
        OptionValue::Tlv16(parts) => {
            let mut octets = Vec::new();
            for (code, part) in parts {
                if let Some(part) = encode(part, fill)
                    && let Ok(length) = u16::try_from(part.len())
                {
                    octets.extend(code.to_be_bytes());
                    octets.extend(length.to_be_bytes());
                    octets.extend(part);
                }
            }
            octets
        }
        // RFC 3925 section 4.
        OptionValue::Enterprise {
            enterprise,
            tlv: parts,
        } => {
            let inside = tlv(parts.iter(), fill);
            let length = u8::try_from(inside.len())
                .ok()
                .filter(|length| *length > 0)?;
            let mut octets = enterprise.to_be_bytes().to_vec();
            octets.push(length);
            octets.extend(inside);
            octets
        }
    };
    (!octets.is_empty()).then_some(octets)
}

/// Sub-options, in ascending order; one that is longer than its length octet can say is left out.
fn tlv<'a>(parts: impl Iterator<Item = (&'a u8, &'a OptionValue)>, fill: &Fill<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    for (code, part) in parts {
        if let Some(part) = encode(part, fill)
            && let Ok(length) = u8::try_from(part.len())
        {
            octets.extend([*code, length]);
            octets.extend(part);
        }
    }
    octets
}
