//! From bytes to text: which encoding a spreadsheet saved.

use zeroize::Zeroize as _;

use super::problem::FileProblem;

/// The most text that a file may hold, in octets of UTF-8.
pub const MOST: usize = 64 << 20;

/// How the file's bytes were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Latin1,
    Utf16Be,
    Utf16Le,
    Utf8,
}

impl Encoding {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latin1 => "latin-1",
            Self::Utf16Be => "utf-16be",
            Self::Utf16Le => "utf-16le",
            Self::Utf8 => "utf-8",
        }
    }
}

/// Windows' letters at 0x80 to 0x9f, where Latin-1 has only controls.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Reads by byte order mark; without one, UTF-8 where the bytes are UTF-8, UTF-16 where every
/// other byte is zero, else Latin-1 as Windows spells it.
///
/// The bytes are taken over and wiped unless they become the text: passwords are among them.
pub fn decode(mut bytes: Vec<u8>) -> Result<(String, Encoding), FileProblem> {
    if bytes.len() > MOST {
        bytes.zeroize();
        return Err(too_large(1));
    }
    let other = match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => {
            bytes.drain(..3);
            return String::from_utf8(bytes)
                .map(|text| (text, Encoding::Utf8))
                .map_err(|error| {
                    let at = error.utf8_error().valid_up_to();
                    let mut bytes = error.into_bytes();
                    let line = lines_before(&bytes, at);
                    bytes.zeroize();
                    FileProblem::new(
                        line,
                        "the file says that it is UTF-8, and this line is not",
                        "save it again as CSV UTF-8",
                    )
                });
        }
        [0xff, 0xfe, rest @ ..] => wide(rest, Encoding::Utf16Le),
        [0xfe, 0xff, rest @ ..] => wide(rest, Encoding::Utf16Be),
        all => match zeros(all) {
            Some(encoding) => wide(all, encoding),
            None => {
                return match String::from_utf8(bytes) {
                    Ok(text) => Ok((text, Encoding::Utf8)),
                    Err(error) => {
                        let mut bytes = error.into_bytes();
                        let text = latin(&bytes);
                        bytes.zeroize();
                        text
                    }
                };
            }
        },
    };
    bytes.zeroize();
    other
}

fn latin(bytes: &[u8]) -> Result<(String, Encoding), FileProblem> {
    let mut text = String::with_capacity(bytes.len());
    let mut line = 1;
    for byte in bytes {
        line += u32::from(*byte == b'\n');
        text.push(windows(*byte));
        if text.len() > MOST {
            return Err(too_large(line));
        }
    }
    Ok((text, Encoding::Latin1))
}

fn too_large(line: u32) -> FileProblem {
    let most = MOST >> 20;
    FileProblem::new(
        line,
        format!("more than {most} MiB of text"),
        "split the file",
    )
}

fn windows(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS
            .get(usize::from(byte - 0x80))
            .copied()
            .unwrap_or('\u{fffd}'),
        _ => char::from(byte),
    }
}

/// UTF-16 without a mark: in the first bytes, all of one parity are zero and none of the other.
fn zeros(bytes: &[u8]) -> Option<Encoding> {
    let head = bytes.get(..bytes.len().min(64) & !1)?;
    let zero = |parity: usize| {
        let mut picked = head.iter().skip(parity).step_by(2);
        picked.len() >= 4 && picked.all(|byte| *byte == 0)
    };
    match (zero(0), zero(1)) {
        (true, false) => Some(Encoding::Utf16Be),
        (false, true) => Some(Encoding::Utf16Le),
        (true, true) | (false, false) => None,
    }
}

fn wide(bytes: &[u8], encoding: Encoding) -> Result<(String, Encoding), FileProblem> {
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [
            pair.first().copied().unwrap_or(0),
            pair.get(1).copied().unwrap_or(0),
        ];
        match encoding {
            Encoding::Utf16Be => u16::from_be_bytes(pair),
            Encoding::Latin1 | Encoding::Utf16Le | Encoding::Utf8 => u16::from_le_bytes(pair),
        }
    });
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut line = 1;
    for unit in char::decode_utf16(units) {
        let Ok(ch) = unit else {
            return Err(FileProblem::new(
                line,
                "the file is UTF-16, and this line holds half a character",
                "save it again as CSV UTF-8",
            ));
        };
        if ch == '\n' {
            line += 1;
        }
        text.push(ch);
        if text.len() > MOST {
            return Err(too_large(line));
        }
    }
    if bytes.len() % 2 == 1 {
        return Err(FileProblem::new(
            line,
            "the file is UTF-16 and ends in the middle of a character",
            "save it again as CSV UTF-8",
        ));
    }
    Ok((text, encoding))
}

fn lines_before(bytes: &[u8], at: usize) -> u32 {
    let newlines = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
    u32::try_from(newlines)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let head = if mark { vec![0xfeff_u16] } else { vec![] };
        head.into_iter()
            .chain(text.encode_utf16())
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    }

    #[test]
    fn encodings_are_told_apart() {
        fn check(bytes: &[u8], text: &str, encoding: Encoding) {
            assert_eq!(decode(bytes.to_vec()).unwrap(), (text.to_owned(), encoding));
        }
        let text = "mac;display\n001565aabbcc;Jürgen\n";
        check(text.as_bytes(), text, Encoding::Utf8);
        check(
            &[b"\xef\xbb\xbf", text.as_bytes()].concat(),
            text,
            Encoding::Utf8,
        );
        check(
            b"mac;display\n;J\xfcrgen \x80\n",
            "mac;display\n;Jürgen €\n",
            Encoding::Latin1,
        );
        check(&utf16(text, true, false), text, Encoding::Utf16Le);
        check(&utf16(text, true, true), text, Encoding::Utf16Be);
        check(&utf16(text, false, false), text, Encoding::Utf16Le);
        check(&utf16(text, false, true), text, Encoding::Utf16Be);
        check(b"", "", Encoding::Utf8);
    }

    #[test]
    fn broken_text_names_its_line() {
        assert_eq!(
            decode(b"\xef\xbb\xbfa\nb\n\xff\n".to_vec())
                .unwrap_err()
                .line,
            3
        );
        let mut bytes = utf16("a\nb", true, false);
        bytes.extend(0xd800_u16.to_le_bytes());
        assert_eq!(decode(bytes).unwrap_err().line, 2);
        assert!(decode(b"\xff\xfea\0b".to_vec()).is_err());
    }
}
