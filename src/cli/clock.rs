//! The only wall clock and the only randomness of the program. Everything below takes both as
//! parameters.

use std::time::SystemTime;

use jiff::Timestamp;

/// Now, as the machine's clock has it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]
pub fn now() -> Timestamp {
    // A clock before 1970 or after 9999 is a broken clock: the epoch is as good as it is.
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Fills `bytes` from the kernel; `false` where it has none to give, and then nothing may be made
/// from them.
#[must_use]
pub fn random(bytes: &mut [u8]) -> bool {
    getrandom::fill(bytes).is_ok()
}

/// A random 128-bit number, for ids.
pub fn random_id() -> Option<u128> {
    let mut bytes = [0_u8; 16];
    random(&mut bytes).then(|| u128::from_le_bytes(bytes))
}
