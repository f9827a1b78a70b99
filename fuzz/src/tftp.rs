//! Any sequence of datagrams, copies of the request and waits against one transfer over TFTP.

use std::time::Duration;

use dialtone::net::tftp::packet::{self, HEADER, Opening, Reply};
use dialtone::net::tftp::terms::Terms;
use dialtone::net::tftp::transfer::{Outline, Step, Transfer};

/// The largest block and window of the server that is played.
const MOST: (u16, u16) = (1468, 64);

/// Scripts of clients that behave: a request, then words of [`play`].
pub fn seeds() -> Vec<Vec<u8>> {
    let script = |request: &[u8], words: &[&[u8]]| {
        let length = u8::try_from(request.len()).unwrap_or(u8::MAX);
        [&[3, length], request, &words.concat()].concat()
    };
    let ack = |block: u8| [1, 4, 0, 4, 0, block];
    vec![
        script(b"\0\x01a.cfg\0octet\0", &[&ack(1), &ack(2), &ack(3)]),
        script(
            b"\0\x01a.cfg\0octet\0blksize\x001428\0tsize\x000\0timeout\x003\0windowsize\x008\0",
            &[
                &ack(0),
                &ack(8),
                &[0, 200],
                &ack(3),
                &ack(8),
                &ack(8),
                &[0, 255, 0, 255],
            ],
        ),
        script(
            b"\0\x01a\0netascii\0blksize\x008\0",
            &[&[2], &ack(0), &[2], &[1, 5, 0, 5, 0, 0, 0]],
        ),
    ]
}

/// Plays a script: a length of the file, then words. 0: wait so many times 10 ms. 1: a datagram
/// with its length. 2: the request again. Panics where the server would send what it must not.
pub fn play(script: &[u8]) {
    let Some((size, rest)) = script.split_first() else {
        return;
    };
    let Some((request, mut rest)) = datagram(rest) else {
        return;
    };
    let Ok(Opening::Read(asked)) = packet::opening(request) else {
        return;
    };
    let length = u64::from(*size) * 997;
    let terms = Terms::of(&asked.wishes, length, MOST.0, MOST.1);
    let oack = (!terms.grants.is_empty()).then(|| packet::oack(&terms.grants));
    let mut sent = Sent {
        length,
        block: u64::from(terms.block),
        window: u64::from(terms.window),
        oack: oack.as_ref().map_or(0, Vec::len),
        octets: 0,
        furthest: 0,
    };
    let (mut transfer, step) = Transfer::begin(Outline {
        blocks: terms.blocks(length),
        window: terms.window,
        oack: oack.is_some(),
        request: request.len(),
        first: oack.as_ref().map_or_else(|| sent.size(1), Vec::len),
        block: terms.block,
    });
    let mut now = Duration::ZERO;
    let mut received = request.len();
    let mut requests = 1;
    let mut over = sent.take(step, &transfer);
    while let (Some((word, after)), false) = (rest.split_first(), over) {
        rest = after;
        let step = match (word % 3, rest) {
            (0, [time, after @ ..]) => {
                rest = after;
                now += Duration::from_millis(u64::from(*time) * 10);
                transfer.on_time(now)
            }
            (1, _) => {
                let Some((packet, after)) = datagram(rest) else {
                    return;
                };
                rest = after;
                match packet::reply(packet) {
                    Reply::Ack(block) => transfer.on_ack(block, now),
                    Reply::Error(_) => return,
                    Reply::Other => Step::Wait,
                }
            }
            (_, _) => {
                received += request.len();
                requests += 1;
                transfer.on_request(request.len(), now)
            }
        };
        over = sent.take(step, &transfer);
        if !transfer.is_confirmed() {
            let most = 3 * received + requests * usize::from(terms.block);
            assert!(
                sent.octets <= most,
                "{} to a peer that may be forged",
                sent.octets
            );
        }
        assert!(
            transfer.acked() <= sent.furthest,
            "more is acknowledged than was sent"
        );
    }
}

/// A length and so many octets.
fn datagram(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

struct Sent {
    length: u64,
    block: u64,
    window: u64,
    oack: usize,
    octets: usize,
    furthest: u64,
}

impl Sent {
    /// Octets of a block's packet.
    fn size(&self, number: u64) -> usize {
        let left = self.length.saturating_sub((number - 1) * self.block);
        HEADER + usize::try_from(left.min(self.block)).unwrap_or(usize::MAX)
    }

    /// Takes what the server does; says whether the transfer is over.
    fn take(&mut self, step: Step, transfer: &Transfer) -> bool {
        match step {
            Step::Wait => {}
            Step::SendOack => self.octets += self.oack,
            Step::Send { from, to } => {
                assert!(from == transfer.acked() + 1 && from <= to);
                assert!(to - from < self.window);
                self.octets += (from..=to).map(|number| self.size(number)).sum::<usize>();
                self.furthest = self.furthest.max(to);
            }
            Step::Done | Step::GiveUp => return true,
        }
        false
    }
}
