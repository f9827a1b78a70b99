//! DHCP messages as a unit writes and reads them (RFC 2131, 2132, 3396). The server's own reader and
//! writer are others, so that a mistake of theirs is not repeated here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::identity::Mac;

pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;

pub(super) const MASK: u8 = 1;
pub(super) const ROUTER: u8 = 3;
pub(super) const ADDRESS: u8 = 50;
const OVERLOAD: u8 = 52;
const KIND: u8 = 53;
pub(super) const SERVER: u8 = 54;
pub(super) const ASKS: u8 = 55;
pub(super) const LONGEST: u8 = 57;
pub(super) const RELAY: u8 = 82;

const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Up to here the fields have fixed places.
const OPTIONS: usize = 240;

/// One message to a server.
pub(super) struct Question<'a> {
    pub(super) kind: u8,
    pub(super) xid: u32,
    pub(super) mac: Mac,
    pub(super) giaddr: Ipv4Addr,
    pub(super) options: &'a [(u8, Vec<u8>)],
}

impl Question<'_> {
    /// The octets. It wants its answer as a broadcast: it has no address, and may share a station
    /// with others.
    pub(super) fn octets(&self) -> Vec<u8> {
        let hops = u8::from(!self.giaddr.is_unspecified());
        let mut octets = vec![1, 1, 6, hops];
        octets.extend_from_slice(&self.xid.to_be_bytes());
        octets.extend_from_slice(&[0, 0, 0x80, 0]);
        octets.resize(24, 0);
        octets.extend_from_slice(&self.giaddr.octets());
        octets.extend_from_slice(&self.mac.octets());
        octets.resize(OPTIONS - MAGIC.len(), 0);
        octets.extend_from_slice(&MAGIC);
        octets.extend_from_slice(&[KIND, 1, self.kind]);
        for (code, value) in self.options {
            for part in value.chunks(255) {
                octets.push(*code);
                octets.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                octets.extend_from_slice(part);
            }
        }
        octets.push(255);
        // BOOTP's own length: some relays drop what is shorter.
        octets.resize(octets.len().max(300), 0);
        octets
    }
}

/// One message from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: u8,
    pub(super) xid: u32,
    pub(super) mac: [u8; 6],
    pub(super) yiaddr: Ipv4Addr,
    pub(super) siaddr: Ipv4Addr,
    pub(super) sname: Vec<u8>,
    pub(super) file: Vec<u8>,
    pub(super) options: BTreeMap<u8, Vec<u8>>,
}

impl Answer {
    /// Reads it; `None` for what no unit would take for an answer.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let four = |at: usize| -> Option<[u8; 4]> {
            let end = at.checked_add(4)?;
            octets.get(at..end)?.try_into().ok()
        };
        if *octets.first()? != 2 || four(236)? != MAGIC {
            return None;
        }
        let (sname, file) = (octets.get(44..108)?, octets.get(108..236)?);
        let mut options = BTreeMap::new();
        walk(octets.get(OPTIONS..)?, &mut options)?;
        let overload = options.get(&OVERLOAD).and_then(|value| value.first());
        let overload = overload.copied().unwrap_or_default();
        if overload & 1 != 0 {
            walk(file, &mut options)?;
        }
        if overload & 2 != 0 {
            walk(sname, &mut options)?;
        }
        let text = |field: &[u8], used: bool| -> Vec<u8> {
            let octets = field.iter().take_while(|octet| **octet != 0 && !used);
            octets.copied().collect()
        };
        Some(Self {
            kind: *options.get(&KIND)?.first()?,
            xid: u32::from_be_bytes(four(4)?),
            mac: octets.get(28..34)?.try_into().ok()?,
            yiaddr: four(16)?.into(),
            siaddr: four(20)?.into(),
            sname: text(sname, overload & 2 != 0),
            file: text(file, overload & 1 != 0),
            options,
        })
    }
}

/// Reads options into what is there: parts of one are joined.
fn walk(mut rest: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) -> Option<()> {
    while let Some((code, after)) = rest.split_first() {
        rest = match code {
            0 => after,
            255 => break,
            code => {
                let (length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(usize::from(*length))?;
                options.entry(*code).or_default().extend_from_slice(value);
                after
            }
        };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_option_is_written_in_parts_and_read_joined() {
        let options = [(60, vec![b'a'; 300]), (61, vec![1])];
        let asked = Question {
            kind: DISCOVER,
            xid: 7,
            mac: Mac::new([0, 4, 0x13, 0, 0, 1]).unwrap(),
            giaddr: Ipv4Addr::UNSPECIFIED,
            options: &options,
        };
        let mut octets = asked.octets();
        assert_eq!(Answer::read(&octets), None, "a request is no answer");
        octets[0] = 2;
        let read = Answer::read(&octets).unwrap();
        assert_eq!((read.kind, read.xid), (DISCOVER, 7));
        assert_eq!(read.mac, asked.mac.octets());
        assert_eq!(read.options.get(&60), Some(&vec![b'a'; 300]));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_not(mut octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(Answer::read(&octets));
            octets.resize(octets.len().max(OPTIONS), 0);
            octets[0] = 2;
            octets[236..240].copy_from_slice(&MAGIC);
            drop(Answer::read(&octets));
        }
    }
}
