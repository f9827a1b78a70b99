//! What a unit makes of an offer: where its server is, and which VLAN it belongs into.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What a server told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The unit's address.
    pub ip: Option<Ipv4Addr>,
    /// Who told it (option 54).
    pub server: Option<Ipv4Addr>,
    /// Bits of its network.
    pub prefix: Option<u8>,
    pub router: Option<Ipv4Addr>,
    pub siaddr: Option<Ipv4Addr>,
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Told {
    /// The first of these texts of which every option is there, with its holes filled. What names no
    /// scheme is a TFTP server's name or address.
    pub(in super::super) fn pointer(&self, texts: &[String]) -> Option<String> {
        let filled = texts.iter().find_map(|text| self.fill(text))?;
        Some(if filled.contains("://") {
            filled
        } else {
            format!("tftp://{filled}/")
        })
    }

    /// The first number among these options.
    pub(in super::super) fn vlan(&self, texts: &[String]) -> Option<u16> {
        texts.iter().find_map(|text| {
            let filled = self.fill(text)?;
            // A list with the number behind a name, as some have it: `VLAN-A=120;`.
            let digits = filled.trim_end_matches(';').rsplit('=').next()?;
            digits.trim().parse().ok()
        })
    }

    fn fill(&self, text: &str) -> Option<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (hole, after) = after.split_once('}')?;
            filled.push_str(&self.hole(hole)?);
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn hole(&self, hole: &str) -> Option<String> {
        let (place, form) = hole.split_once([':', '=']).unwrap_or((hole, ""));
        let octets = match place {
            "siaddr" => return self.siaddr.map(|ip| ip.to_string()),
            "file" => self.file.clone(),
            "sname" => self.sname.clone(),
            _ => self.octets(place)?,
        };
        if hole.contains('=') {
            return item(&latin(&octets), form);
        }
        if form == "ip" {
            let first: [u8; 4] = octets.get(..4)?.try_into().ok()?;
            return Some(Ipv4Addr::from(first).to_string());
        }
        Some(latin(&octets)).filter(|text| !text.is_empty())
    }

    /// An option, or a sub-option of one: `43.1`, or behind an enterprise's number in 124 and 125.
    fn octets(&self, place: &str) -> Option<Vec<u8>> {
        let (code, sub) = match place.split_once('.') {
            Some((code, sub)) => (code, Some(sub.parse::<u8>().ok()?)),
            None => (place, None),
        };
        let code: u8 = code.parse().ok()?;
        let value = self.options.get(&code)?;
        let Some(sub) = sub else {
            return Some(value.clone());
        };
        let mut rest = if matches!(code, 124 | 125) {
            value.get(5..)?
        } else {
            value
        };
        loop {
            let (number, after) = rest.split_first()?;
            let (length, after) = after.split_first()?;
            let (value, after) = after.split_at_checked(usize::from(*length))?;
            if *number == sub {
                return Some(value.to_vec());
            }
            rest = after;
        }
    }
}

/// Latin-1 without NULs at the end.
fn latin(octets: &[u8]) -> String {
    let text: String = octets.iter().copied().map(char::from).collect();
    text.trim_end_matches('\0').to_owned()
}

/// The value of `NAME=value` in a list with commas.
fn item(list: &str, name: &str) -> Option<String> {
    let found = list.split(',').find_map(|item| {
        let (own, value) = item.split_once('=')?;
        own.trim().eq_ignore_ascii_case(name).then_some(value)
    });
    found
        .map(|value| value.trim_matches('"').to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_text_with_all_its_options_counts() {
        let told = Told {
            siaddr: Some(Ipv4Addr::new(192, 0, 2, 9)),
            options: BTreeMap::from([
                (43, b"\x01\x07/s/boot\x03\x04http\x05\x0280".to_vec()),
                (66, b"prov.example.net\0".to_vec()),
                (125, b"\0\0\xa6\x7f\x09\x01\x07http://".to_vec()),
                (132, b"120".to_vec()),
                (150, vec![192, 0, 2, 1, 192, 0, 2, 2]),
                (191, b"VLAN-A=77;".to_vec()),
                (242, b"HTTPSRVR=192.0.2.3,HTTPDIR=,TLSPORT=443".to_vec()),
            ]),
            ..Told::default()
        };
        for (texts, expect) in [
            (&["{160}", "{66}"][..], "tftp://prov.example.net/"),
            (&["tftp://{150:ip}/", "{66}"], "tftp://192.0.2.1/"),
            (
                &["{43.3}://{66}:{43.5}{43.1}"],
                "http://prov.example.net:80/s/boot",
            ),
            (&["{125.1}x"], "http://x"),
            (
                &[
                    "http://{242=HTTPSRVR}/{242=HTTPDIR}",
                    "http://{242=HTTPSRVR}/",
                ],
                "http://192.0.2.3/",
            ),
            (&["{siaddr}"], "tftp://192.0.2.9/"),
        ] {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(told.pointer(&texts).as_deref(), Some(expect), "{texts:?}");
        }
        assert_eq!(
            told.pointer(&["{43.9}".to_owned(), "{67}".to_owned()]),
            None
        );
        assert_eq!(
            told.vlan(&["{133}".to_owned(), "{132}".to_owned()]),
            Some(120)
        );
        assert_eq!(told.vlan(&["{191}".to_owned()]), Some(77));
    }
}
