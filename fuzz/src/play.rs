//! Inputs for a target: seeds that are changed at random, until the time is over.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// A target: panics where a rule is broken.
pub type Target = fn(&[u8]);

/// Plays until the time is over; the number of plays, or the file that holds what broke.
pub fn search(
    name: &str,
    seeds: &[Vec<u8>],
    target: Target,
    time: Duration,
) -> Result<u64, String> {
    let began = Instant::now();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut dice = Dice(u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or(1) | 1);
    let mut plays = 0_u64;
    while began.elapsed() < time {
        for _ in 0..100 {
            plays += 1;
            let input = changed(seeds, &mut dice);
            if catch_unwind(|| target(&input)).is_err() {
                let mut hasher = DefaultHasher::new();
                input.hash(&mut hasher);
                let file = format!("broken-{name}-{:016x}", hasher.finish());
                let kept = std::fs::write(&file, &input);
                return Err(format!("broken after {plays} plays: {file} {kept:?}"));
            }
        }
    }
    Ok(plays)
}

/// Dice that give the same throws from the same start.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 8) % u64::try_from(most.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or(0)
    }
}

/// A seed, or octets of no seed, with some changes.
pub fn changed(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = match seeds.get(dice.below(seeds.len() + 1)) {
        Some(seed) => seed.clone(),
        None => (0..dice.below(600)).map(|_| dice.octet()).collect(),
    };
    for _ in 0..dice.below(12) {
        let at = dice.below(input.len() + 1);
        match dice.below(6) {
            0 => input.insert(at, dice.octet()),
            1 if at < input.len() => drop(input.remove(at)),
            2 if at < input.len() => input[at] = dice.octet(),
            3 if at < input.len() => input[at] = [0, 1, 0x7f, 0xff][dice.below(4)],
            4 => input.truncate(at),
            _ => {
                let other = seeds.get(dice.below(seeds.len()));
                let from = dice.below(other.map_or(0, Vec::len));
                input.truncate(at);
                input.extend(other.iter().flat_map(|other| &other[from..]));
            }
        }
    }
    input
}
