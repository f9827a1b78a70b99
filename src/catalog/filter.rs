//! What is done to a rendered file: a closed list, named for what it does.

use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::manifest::Filter;

/// Applies one filter.
pub(crate) fn apply(filter: Filter, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    match filter {
        Filter::Md5Line => Ok(digest_line(bytes, "#md5sum", |rest| {
            hex(&Md5::digest(rest))
        })),
        Filter::Sha256Line => Ok(digest_line(bytes, "#sha256sum", |rest| {
            hex(&Sha256::digest(rest))
        })),
        Filter::Gzip | Filter::OpensslAes256Cbc => Err("this filter is not built"),
    }
}

/// A script's digest over all its other lines, as `WORD="HEX"` in the second line, or in the first
/// where the script does not begin with `#!`. Lines that begin with the word are taken out first.
fn digest_line(bytes: &[u8], word: &str, digest: impl Fn(&[u8]) -> String) -> Zeroizing<Vec<u8>> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| !line.starts_with(word.as_bytes()));
    let mut rest = Zeroizing::new(Vec::with_capacity(bytes.len()));
    kept.for_each(|line| rest.extend_from_slice(line));
    let first = rest.iter().position(|byte| *byte == b'\n');
    let at = match first {
        Some(end) if rest.starts_with(b"#!") => end.saturating_add(1),
        Some(_) | None => 0,
    };
    let told = format!("{word}=\"{}\"\n", digest(&rest));
    let mut whole = Zeroizing::new(Vec::with_capacity(rest.len().saturating_add(told.len())));
    let (head, tail) = rest.split_at_checked(at).unwrap_or((&rest, &[]));
    whole.extend_from_slice(head);
    whole.extend_from_slice(told.as_bytes());
    whole.extend_from_slice(tail);
    whole
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_087_the_digest_stands_in_the_second_line() {
        fn check(filter: Filter, input: &str, expect: &str) {
            let made = apply(filter, input.as_bytes()).expect("a filter that is built");
            assert_eq!(String::from_utf8_lossy(&made), expect);
        }
        // `printf '#!/bin/env python3\nprint(1)\n' | md5sum`
        let expect = "#!/bin/env python3\n#md5sum=\"MD5\"\nprint(1)\n";
        let sum = "f5b9756f29c9414a9e359428ba4e2414";
        let script = "#!/bin/env python3\nprint(1)\n";
        check(Filter::Md5Line, script, &expect.replace("MD5", sum));
        let old = "#!/bin/env python3\n#md5sum=\"old\"\nprint(1)\n";
        check(Filter::Md5Line, old, &expect.replace("MD5", sum));
        // `printf 'x\n' | sha256sum`
        let sum = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";
        check(
            Filter::Sha256Line,
            "x\n",
            &format!("#sha256sum=\"{sum}\"\nx\n"),
        );
        assert!(apply(Filter::Gzip, b"x").is_err());
    }
}
