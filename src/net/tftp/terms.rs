//! What a client's wishes come to: the size of a block and of a window, and the OACK. Pure.

use super::packet::{BLOCK, Grant, LEAST_BLOCK, MOST_BLOCK, Wish};

/// How a file travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Octets of a block.
    pub block: u16,
    /// Blocks that are sent before an acknowledgement is due (RFC 7440).
    pub window: u16,
    /// Nothing granted: no OACK, the first block is the answer (RFC 2347).
    pub grants: Vec<Grant>,
}

impl Terms {
    /// Grants what may be granted, never more than was asked. `length` is the file's.
    pub fn of(wishes: &[Wish], length: u64, max_block: u16, max_window: u16) -> Self {
        let mut terms = Self {
            block: BLOCK,
            window: 1,
            grants: Vec::with_capacity(wishes.len()),
        };
        for wish in wishes {
            let grant = match wish {
                Wish::Blksize(asked) => {
                    let most = max_block.clamp(LEAST_BLOCK, MOST_BLOCK);
                    terms.block = u16::try_from(*asked).unwrap_or(most).min(most);
                    Grant::Blksize(terms.block)
                }
                Wish::Tsize => Grant::Tsize(length),
                // The server's own patience holds; RFC 2349 has the value echoed or left out.
                Wish::Timeout(seconds) => Grant::Timeout(*seconds),
                Wish::Windowsize(asked) => {
                    let most = max_window.max(1);
                    terms.window = u16::try_from(*asked).unwrap_or(most).min(most);
                    Grant::Windowsize(terms.window)
                }
            };
            terms.grants.push(grant);
        }
        terms
    }

    /// Blocks of a file: the last is shorter than the others, and may be empty (RFC 1350
    /// section 6).
    pub fn blocks(&self, length: u64) -> u64 {
        length / u64::from(self.block.max(1)) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_a_server_may_lower_and_never_raises() {
        let check = |wishes: &[Wish], block, window, grants: &[Grant]| {
            let terms = Terms::of(wishes, 2000, 1468, 64);
            assert_eq!((terms.block, terms.window), (block, window), "{wishes:?}");
            assert_eq!(terms.grants, grants, "{wishes:?}");
        };
        check(&[], 512, 1, &[]);
        check(&[Wish::Blksize(8)], 8, 1, &[Grant::Blksize(8)]);
        check(&[Wish::Blksize(65_464)], 1468, 1, &[Grant::Blksize(1468)]);
        check(
            &[
                Wish::Windowsize(70_000),
                Wish::Blksize(u64::MAX),
                Wish::Tsize,
            ],
            1468,
            64,
            &[
                Grant::Windowsize(64),
                Grant::Blksize(1468),
                Grant::Tsize(2000),
            ],
        );
        check(&[Wish::Timeout(255)], 512, 1, &[Grant::Timeout(255)]);
    }

    #[test]
    fn a_file_of_whole_blocks_ends_in_an_empty_one() {
        let terms = Terms::of(&[], 0, 1468, 64);
        let blocks = [0, 511, 512, 513, 1024].map(|length| terms.blocks(length));
        assert_eq!(blocks, [1, 1, 2, 2, 3]);
    }
}
