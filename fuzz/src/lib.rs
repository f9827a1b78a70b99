//! Plays a target with seeds that are changed at random, until the time is over.

pub mod tftp;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A target: panics where a rule is broken.
pub type Target = fn(&[u8]);

/// Runs a target as the command line says: `--seconds N`, or files to play again.
pub fn run(name: &str, seeds: &[Vec<u8>], target: Target) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, seconds] = words.as_slice()
        && flag == "--seconds"
        && let Ok(seconds) = seconds.parse()
    {
        return search(name, seeds, target, Duration::from_secs(seconds));
    }
    if words.is_empty() {
        eprintln!("usage: {name} --seconds N | FILE...");
        return ExitCode::from(2);
    }
    for file in words {
        match std::fs::read(&file) {
            Ok(input) => target(&input),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

fn search(name: &str, seeds: &[Vec<u8>], target: Target, time: Duration) -> ExitCode {
    let began = Instant::now();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut dice = Dice(u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or(1) | 1);
    let mut plays = 0_u64;
    while began.elapsed() < time {
        for _ in 0..1000 {
            plays += 1;
            let input = changed(seeds, &mut dice);
            if catch_unwind(|| target(&input)).is_err() {
                let mut hasher = DefaultHasher::new();
                input.hash(&mut hasher);
                let file = format!("broken-{name}-{:016x}", hasher.finish());
                let kept = std::fs::write(&file, &input);
                eprintln!("{name}: broken after {plays} plays: {file} {kept:?}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{name}: {plays} plays in {} s, none broken", time.as_secs());
    ExitCode::SUCCESS
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
