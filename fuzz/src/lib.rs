//! The targets, and what runs them.

pub mod dhcp;
pub mod play;
pub mod sip;
pub mod tftp;

use std::process::ExitCode;
use std::time::Duration;

use play::{Target, search};

/// Runs a target as the command line says: `--seconds N`, or files to play again.
pub fn run(name: &str, seeds: &[Vec<u8>], target: Target) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, seconds] = words.as_slice()
        && flag == "--seconds"
        && let Ok(seconds) = seconds.parse()
    {
        return match search(name, seeds, target, Duration::from_secs(seconds)) {
            Ok(plays) => {
                println!("{name}: {plays} plays in {seconds} s, none broken");
                ExitCode::SUCCESS
            }
            Err(what) => {
                eprintln!("{name}: {what}");
                ExitCode::FAILURE
            }
        };
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
