//! The transfer against a receiver as the RFCs describe one, over a network that loses, doubles
//! and reorders, in a time of its own.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn outline(blocks: u64, window: u16, oack: bool) -> Outline {
    Outline {
        blocks,
        window,
        oack,
        request: 40,
        first: if oack { 40 } else { 516 },
        block: 512,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn send(from: u64, to: u64) -> Step {
    Step::Send { from, to }
}

/// A transfer whose peer answered, with its first window out and a round trip of 100 ms.
fn confirmed(blocks: u64, window: u16) -> Transfer {
    let (mut transfer, step) = Transfer::begin(outline(blocks, window, true));
    assert_eq!(step, Step::SendOack);
    let last = u64::from(window).min(blocks);
    assert_eq!(transfer.on_ack(0, ms(100)), send(1, last));
    transfer
}

#[test]
fn a_file_without_options_goes_block_by_block() {
    let (mut transfer, step) = Transfer::begin(outline(3, 1, false));
    assert_eq!(step, send(1, 1));
    assert!(!transfer.is_confirmed());
    assert_eq!(transfer.on_ack(0, ms(1)), Step::Wait);
    assert!(!transfer.is_confirmed());
    assert_eq!(transfer.on_ack(1, ms(1)), send(2, 2));
    assert!(transfer.is_confirmed());
    assert_eq!(transfer.on_ack(2, ms(2)), send(3, 3));
    assert_eq!(transfer.on_ack(3, ms(3)), Step::Done);
    assert_eq!(transfer.acked(), 3);
}

#[test]
fn a_window_goes_out_whole_and_goes_back_to_the_gap() {
    let mut transfer = confirmed(40, 16);
    assert_eq!(transfer.on_ack(16, ms(200)), send(17, 32));
    assert_eq!(transfer.on_ack(20, ms(300)), send(21, 36));
    assert_eq!(transfer.on_ack(36, ms(400)), send(37, 40));
    assert_eq!(transfer.on_ack(40, ms(500)), Step::Done);
}

#[test]
fn c7_a_peer_that_never_answers_gets_little() {
    for (request, first, block, sends) in [
        // An OACK three times again; a block of 512 not even twice.
        (60, 50, 1468, 4),
        (30, 516, 512, 1),
        (30, 104, 512, 4),
        (20, 40, 8, 1),
    ] {
        let oack = first < 100;
        let (mut transfer, mut step) = Transfer::begin(Outline {
            request,
            first,
            block,
            ..outline(1000, if oack { 65_535 } else { 1 }, oack)
        });
        let mut sent = 0;
        loop {
            match step {
                Step::SendOack => sent += 1,
                Step::Send { from, to } => {
                    assert_eq!((from, to), (1, 1));
                    sent += 1;
                }
                Step::Wait => {}
                Step::Done => panic!("nobody answered"),
                Step::GiveUp => break,
            }
            step = transfer.on_time(transfer.due());
        }
        assert!(
            sent * first <= 3 * request + usize::from(block),
            "{request}"
        );
        assert_eq!(sent, sends, "{request} {first}");
        assert!(transfer.due() <= UNANSWERED);
    }
}

#[test]
fn c16_a_request_that_comes_again_is_answered_again() {
    let (mut transfer, _) = Transfer::begin(outline(10, 1, false));
    for second in 1..4 {
        assert_eq!(transfer.on_request(40, ms(second * 1000)), send(1, 1));
    }
    assert_eq!(transfer.on_ack(1, ms(4000)), send(2, 2));
    assert_eq!(transfer.on_request(40, ms(4001)), Step::Wait);
}

#[test]
fn c11_repeated_acknowledgements_double_nothing() {
    let (mut transfer, _) = Transfer::begin(outline(10, 1, false));
    assert_eq!(transfer.on_ack(1, ms(10)), send(2, 2));
    for at in 10..1010 {
        assert_eq!(transfer.on_ack(1, ms(at).min(ms(59))), Step::Wait);
    }
    // A window's first block may be lost: one repetition counts, and not before a round trip.
    let mut transfer = confirmed(100, 4);
    assert_eq!(transfer.on_ack(4, ms(200)), send(5, 8));
    for at in 200..300 {
        assert_eq!(transfer.on_ack(4, ms(at)), Step::Wait);
    }
    assert_eq!(transfer.on_ack(4, ms(300)), send(5, 8));
    for at in 300..1300 {
        assert_eq!(transfer.on_ack(4, ms(at)), Step::Wait);
    }
}

#[test]
fn c12_a_future_block_is_ignored_and_numbers_wrap() {
    let mut transfer = confirmed(100, 4);
    for future in [5, 6, 100, 0x7fff, 0xffff] {
        assert_eq!(transfer.on_ack(future, ms(101)), Step::Wait);
    }
    assert_eq!(transfer.on_ack(4, ms(102)), send(5, 8));
    assert_eq!(transfer.on_ack(3, ms(103)), Step::Wait);

    let blocks = 3 * 65_536 + 7;
    let (mut transfer, _) = Transfer::begin(outline(blocks, 1, false));
    for block in 1..blocks {
        let wire = u16::try_from(block % 65_536).unwrap();
        assert_eq!(transfer.on_ack(wire, ms(block)), send(block + 1, block + 1));
    }
    assert_eq!(transfer.on_ack(7, ms(blocks)), Step::Done);
}

#[test]
fn the_timer_follows_the_round_trip_between_its_bounds() {
    let (mut transfer, _) = Transfer::begin(outline(1000, 1, true));
    assert_eq!(transfer.due(), ms(1000));
    transfer.on_ack(0, ms(1));
    assert_eq!(transfer.due(), ms(51), "never under 50 ms");
    assert_eq!(transfer.on_time(ms(50)), Step::Wait);
    let mut at = ms(51);
    for wait in [100, 200, 400, 800, 1000, 1000] {
        assert_eq!(transfer.on_time(at), send(1, 1));
        assert_eq!(transfer.due(), at + ms(wait));
        at = transfer.due();
    }
    // What was sent again is not measured; what was sent once is.
    transfer.on_ack(1, at);
    assert_eq!(transfer.due(), at + ms(50));
    transfer.on_ack(2, at + ms(500));
    assert!(transfer.due() > at + ms(600) && transfer.due() <= at + ms(1500));
}

#[test]
fn f9_a_peer_that_vanished_is_given_up() {
    let mut transfer = confirmed(100, 16);
    let mut sends = 0;
    loop {
        match transfer.on_time(transfer.due()) {
            Step::Send { from, to } => {
                assert_eq!((from, to), (1, 16));
                sends += 1;
            }
            Step::GiveUp => break,
            other @ (Step::Wait | Step::SendOack | Step::Done) => panic!("{other:?}"),
        }
    }
    assert!(transfer.due() <= IDLE + ms(1100));
    assert!((28..40).contains(&sends), "{sends}");
}

/// The client's side: takes blocks in order, acknowledges a window's last, its gap, and the file's
/// last; says its last word again when nothing comes.
struct Receiver {
    blocks: u64,
    window: u64,
    got: u64,
    acked: u64,
    gap: bool,
}

impl Receiver {
    /// The acknowledgement that block `number` causes.
    fn take(&mut self, number: u64) -> Option<u64> {
        if number == self.got + 1 {
            self.got = number;
            self.gap = false;
            let full = self.got - self.acked >= self.window || self.got == self.blocks;
            return full.then(|| self.say());
        }
        if number <= self.got {
            // Old: the sender did not hear the last word.
            return (number == self.got).then(|| self.say());
        }
        // A gap is told once.
        (!std::mem::replace(&mut self.gap, true)).then(|| self.say())
    }

    fn say(&mut self) -> u64 {
        self.acked = self.got;
        self.got
    }
}

enum Travels {
    Oack,
    Block(u64),
    Ack(u64),
    Impatience(u64),
}

/// What the network does, by dice of its own.
struct Network {
    seed: u64,
    loss: u64,
    twice: u64,
    late: u64,
    queue: BTreeMap<(Duration, u64), Travels>,
    stamp: u64,
    carried: u64,
}

impl Network {
    fn dice(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % 100
    }

    fn carry(&mut self, now: Duration, packet: impl Fn() -> Travels) {
        self.carried += 1;
        let copies = 1 + u64::from(self.dice() < self.twice);
        for _ in 0..copies {
            if self.dice() < self.loss {
                continue;
            }
            let late = if self.dice() < self.late {
                ms(25)
            } else {
                ms(0)
            };
            self.put(now + ms(10) + late, packet());
        }
    }

    fn put(&mut self, at: Duration, what: Travels) {
        self.stamp += 1;
        self.queue.insert((at, self.stamp), what);
    }
}

/// Runs a whole transfer. The time that it took and the packets that were sent.
fn play(outline: Outline, seed: u64, loss: u64, twice: u64, late: u64) -> (Duration, u64) {
    let mut network = Network {
        seed: seed | 1,
        loss,
        twice,
        late,
        queue: BTreeMap::new(),
        stamp: 0,
        carried: 0,
    };
    let mut receiver = Receiver {
        blocks: outline.blocks,
        window: u64::from(outline.window),
        got: 0,
        acked: 0,
        gap: false,
    };
    let (mut transfer, mut step) = Transfer::begin(outline);
    let mut now = Duration::ZERO;
    let mut agreed = !outline.oack;
    let mut last = 0;
    network.put(ms(1000), Travels::Impatience(0));
    loop {
        match step {
            Step::Wait => {}
            Step::SendOack => network.carry(now, || Travels::Oack),
            Step::Send { from, to } => {
                assert!(to - from < u64::from(outline.window));
                for block in from..=to {
                    network.carry(now, || Travels::Block(block));
                }
            }
            Step::Done => {
                assert_eq!(receiver.got, outline.blocks, "whole at the last ACK");
                return (now, network.carried);
            }
            Step::GiveUp => panic!("given up at {now:?}, block {}", receiver.got),
        }
        let next = network.queue.first_key_value().map(|((at, _), _)| *at);
        let due = transfer.due().max(now);
        if next.is_none_or(|at| due < at) {
            now = due;
            step = transfer.on_time(now);
            continue;
        }
        let ((at, _), packet) = network.queue.pop_first().unwrap();
        now = at;
        step = Step::Wait;
        match packet {
            Travels::Oack => {
                agreed = true;
                if receiver.got == 0 {
                    network.carry(now, || Travels::Ack(0));
                }
            }
            Travels::Block(number) if agreed => {
                if let Some(ack) = receiver.take(number) {
                    network.carry(now, || Travels::Ack(ack));
                }
            }
            Travels::Block(_) => {}
            Travels::Ack(number) => step = transfer.on_ack(on_wire(number), now),
            // The client's own timer: the request again, or its last word.
            Travels::Impatience(was) => {
                if !agreed || (receiver.got == 0 && !outline.oack) {
                    step = transfer.on_request(outline.request, now);
                } else if receiver.got == was && receiver.got == last {
                    let word = receiver.say();
                    network.carry(now, || Travels::Ack(word));
                }
                last = receiver.got;
                let got = receiver.got;
                network.put(now + ms(1000), Travels::Impatience(got));
            }
        }
    }
}

#[test]
fn without_loss_every_packet_goes_once() {
    for window in [1, 8, 16] {
        let (time, carried) = play(outline(1600, window, true), 7, 0, 0, 0);
        let windows = 1600_u64.div_ceil(u64::from(window));
        assert_eq!(carried, 1600 + windows + 2);
        assert_eq!(time, ms(20) + ms(20) * u32::try_from(windows).unwrap());
    }
}

#[test]
fn doubled_packets_do_not_double_the_traffic() {
    for window in [1, 8, 16] {
        let (_, clean) = play(outline(1600, window, true), 7, 0, 0, 0);
        let (_, doubled) = play(outline(1600, window, true), 7, 0, 100, 0);
        assert!(doubled < clean * 3, "{window}: {clean} {doubled}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_block_arrives_over_a_bad_network(
        seed in any::<u64>(),
        blocks in 1_u64..300,
        window in 1_u16..33,
        oack in any::<bool>(),
        loss in 0_u64..25,
        twice in 0_u64..30,
        late in 0_u64..30,
    ) {
        let window = if oack { window } else { 1 };
        let (_, carried) = play(outline(blocks, window, oack), seed, loss, twice, late);
        prop_assert!(carried < 200 + blocks * 60);
    }

    #[test]
    fn stray_acknowledgements_never_run_ahead(
        acks in proptest::collection::vec((any::<u16>(), 0_u64..400), 0..200),
        window in 1_u16..65,
    ) {
        let (mut transfer, _) = Transfer::begin(outline(5000, window, true));
        let mut now = Duration::ZERO;
        let mut furthest = 0;
        for (ack, pause) in acks {
            now += ms(pause);
            for turn in 0..3 {
                let step = match turn {
                    0 => transfer.on_time(now),
                    1 => transfer.on_ack(ack, now),
                    _ => transfer.on_ack(ack % 70, now),
                };
                if let Step::Send { from, to } = step {
                    prop_assert!(from == transfer.acked() + 1);
                    prop_assert!(to >= from && to - from < u64::from(window));
                    furthest = furthest.max(to);
                }
                prop_assert!(transfer.acked() <= furthest);
            }
        }
    }
}
