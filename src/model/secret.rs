//! Secrets in memory and at rest. Neither type shows its content.

use std::fmt;

use zeroize::Zeroizing;

/// An opened secret: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: only for rendering, sealing and deriving.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A secret as the store keeps it: ciphertext and the name of the key that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which data key sealed it.
    pub key_id: u32,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(key {})", self.key_id)
    }
}

/// A text that came from a stranger's packet. It is kept as bytes and printed only escaped.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foreign(Vec<u8>);

impl Foreign {
    /// The most octets that are kept of one text.
    pub const MOST: usize = 512;

    /// Keeps the first [`Foreign::MOST`] octets.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..Self::MOST).unwrap_or(bytes).to_vec())
    }

    /// The octets, for a parser.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text for a matcher: valid UTF-8 as it is, else octets as Latin-1.
    pub fn text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) => text.to_owned(),
            Err(_) => Self::latin1(&self.0),
        }
    }

    /// Octets as Latin-1, for protocols whose header texts have no encoding.
    pub fn latin1(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Foreign {
    /// Control and bidirectional characters as escapes: safe in a log line and on a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let mut rest: &str = &text;
        let escaped = |ch: char| {
            let bidi = matches!(ch, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            ch.is_control() || bidi
        };
        while let Some(at) = rest.find(escaped) {
            let (safe, more) = rest.split_at(at);
            f.write_str(safe)?;
            let mut chars = more.chars();
            if let Some(ch) = chars.next() {
                write!(f, "{}", ch.escape_unicode())?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!(
            "{:?} {:?}",
            Secret::new("hunter2".into()),
            Sealed {
                key_id: 1,
                bytes: vec![1]
            }
        );
        assert_eq!(shown, "Secret(***) Sealed(key 1)");
    }

    #[test]
    fn foreign_text_is_escaped_and_bounded() {
        assert_eq!(
            Foreign::new(b"a\x1b[2J\nb").to_string(),
            "a\\u{1b}[2J\\u{a}b"
        );
        assert_eq!(Foreign::new(&[b'x'; 2000]).bytes().len(), Foreign::MOST);
        assert_eq!(Foreign::new(b"\xe4").text(), "ä");
    }
}
