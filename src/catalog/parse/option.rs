//! DHCP options of recognition rules.

use std::collections::BTreeMap;

use toml::Value;

use crate::catalog::manifest::OptionMatch;
use crate::catalog::pattern::{Ground, Names, Pattern};

/// A value is a pattern, or a table of `enterprise`, `tlv`, `text`, `hex`.
pub(super) fn matcher(
    value: &Value,
    nocase: bool,
    names: &Names<'_>,
) -> Result<OptionMatch, String> {
    let pattern = |text: &str| {
        Pattern::parse(text, Ground::Text, nocase, names).map_err(|error| error.to_string())
    };
    if let Some(text) = value.as_str() {
        return pattern(text).map(OptionMatch::Text);
    }
    let Some(table) = value.as_table() else {
        return Err("an option is a pattern or a table".to_owned());
    };
    for key in table.keys() {
        if !["enterprise", "tlv", "text", "hex"].contains(&key.as_str()) {
            return Err(format!(
                "there is no word `{key}`; known are enterprise, tlv, text, hex"
            ));
        }
    }
    if let Some(hex) = table.get("hex").and_then(Value::as_str) {
        return octets(hex).map(OptionMatch::Hex);
    }
    let enterprise = match table.get("enterprise").and_then(Value::as_integer) {
        Some(number) => Some(u32::try_from(number).map_err(|error| error.to_string())?),
        None => None,
    };
    if let Some(parts) = table.get("tlv").and_then(Value::as_table) {
        let mut read = BTreeMap::new();
        for (code, text) in parts {
            let code: u8 = code
                .parse()
                .map_err(|_| format!("`{code}` is no sub-option"))?;
            read.insert(code, pattern(text.as_str().unwrap_or_default())?);
        }
        return Ok(OptionMatch::Tlv {
            enterprise,
            parts: read,
        });
    }
    match (enterprise, table.get("text").and_then(Value::as_str)) {
        (Some(enterprise), Some(text)) => Ok(OptionMatch::EnterpriseText {
            enterprise,
            text: pattern(text)?,
        }),
        (_, _) => Err("say `hex`, `tlv`, or `enterprise` with `text`".to_owned()),
    }
}

/// Pairs of hex digits.
pub(super) fn octets(hex: &str) -> Result<Vec<u8>, String> {
    if hex.len() % 2 == 1 || !hex.is_ascii() {
        return Err(format!("`{hex}` is not pairs of hex digits"));
    }
    let pair = |at: usize| {
        hex.get(at..at + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    (0..hex.len())
        .step_by(2)
        .map(pair)
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{hex}` is not hex"))
}
