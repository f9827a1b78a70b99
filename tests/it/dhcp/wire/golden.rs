//! The blocks of the golden files, as clients on a wire say and are told them.

use std::collections::BTreeMap;
use std::path::Path;

use dialtone::net::dhcp::packet::Packet;
use serde_json::{Map, Value};

use crate::dhcp::vectors::hex;

/// Codes that any client of any server gets.
pub(crate) const PLAIN: [u8; 12] = [1, 3, 6, 15, 28, 51, 53, 54, 58, 59, 61, 82];

/// What a unit says of itself, and the golden lines of what it is told.
pub(crate) struct Golden {
    pub(crate) family: String,
    pub(crate) said: Map<String, Value>,
    told: Vec<String>,
}

/// Every block of every golden file.
pub(crate) fn golden() -> Vec<Golden> {
    let mut found = Vec::new();
    let vendors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vendors");
    let folders = std::fs::read_dir(vendors)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for folder in folders.filter(|path| path.is_dir()) {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(family) = name.strip_suffix(".dhcp.golden") else {
                continue;
            };
            let vendor = folder.file_name().unwrap().to_string_lossy();
            let text = std::fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                if let Some(said) = line.strip_prefix("> ") {
                    found.push(Golden {
                        family: format!("{vendor}/{family}"),
                        said: serde_json::from_str(said).unwrap(),
                        told: Vec::new(),
                    });
                } else if let (Some(block), false) = (found.last_mut(), line.starts_with('#'))
                    && let Some((told, _)) = line.rsplit_once(" #")
                    && !told.starts_with("lease ")
                {
                    block.told.push(told.trim_end().to_owned());
                }
            }
        }
    }
    found
}

impl Golden {
    /// Needs an inventory or values.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.said.contains_key(key)
    }

    /// Which values of its site it is told by.
    pub(crate) fn values(&self) -> Vec<&str> {
        let values = self.said.get("vars").and_then(Value::as_object);
        values
            .into_iter()
            .flatten()
            .map(|(name, _)| &**name)
            .collect()
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        let said = self.said.get("chaddr").and_then(Value::as_str);
        // A maker's part of nobody.
        let text = said.unwrap_or("02005e000009");
        hex(text).try_into().unwrap()
    }

    /// Each option that it sends.
    pub(crate) fn says(&self) -> BTreeMap<u8, Vec<u8>> {
        let options = self.said.iter().filter_map(|(code, value)| {
            let octets = match value["hex"].as_str() {
                Some(digits) => hex(digits),
                None => value["text"].as_str()?.as_bytes().to_vec(),
            };
            Some((code.parse().ok()?, octets))
        });
        options.collect()
    }

    /// Compares a reply with the golden lines, option by option; another code fails.
    pub(crate) fn check(&self, reply: &Packet, what: &str) {
        let (siaddr, rest): (Vec<&String>, Vec<&String>) = self
            .told
            .iter()
            .partition(|line| line.starts_with("siaddr "));
        let file = rest.iter().any(|line| line.starts_with("file "));
        assert!(!file, "no family uses the file field yet");
        let expect = rest.iter().map(|line| {
            let (code, value) = line.split_once(' ').unwrap();
            let value = match value.strip_prefix("hex ") {
                Some(digits) => hex(&digits.to_lowercase()),
                None => serde_json::from_str::<String>(value).unwrap().into_bytes(),
            };
            (code.parse::<u8>().unwrap(), value)
        });
        let expect: BTreeMap<u8, Vec<u8>> = expect.collect();
        let plain = |code: &u8| PLAIN.contains(code) && !expect.contains_key(code);
        let got = reply.options.iter().filter(|(code, _)| !plain(code));
        let got: BTreeMap<u8, Vec<u8>> = got.map(|(code, value)| (*code, value.clone())).collect();
        assert_eq!(got, expect, "{} {:?} {what}", self.family, self.said);
        let siaddr = siaddr
            .first()
            .map_or("0.0.0.0", |line| line.trim_start_matches("siaddr "));
        assert_eq!(reply.siaddr.to_string(), siaddr);
    }
}
