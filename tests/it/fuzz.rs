//! The fuzz targets for a moment: `fuzz/` plays them for as long as one likes, and so does this with
//! `DIALTONE_FUZZ=SECONDS`.

use std::time::Duration;

use proptest::prelude::*;

use crate::fuzz_play::{Dice, Target, changed, search};
use crate::{fuzz_dhcp, fuzz_sip, fuzz_tftp};

/// The seeds as they are, then changed: the same changes in each run, or other ones for so long.
fn played(name: &str, seeds: &[Vec<u8>], target: Target, plays: usize) {
    for seed in seeds {
        target(seed);
    }
    if let Some(seconds) = std::env::var("DIALTONE_FUZZ")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        let plays = search(name, seeds, target, Duration::from_secs(seconds));
        assert!(plays.is_ok(), "{plays:?}");
        return;
    }
    let mut dice = Dice(1);
    for _ in 0..plays {
        target(&changed(seeds, &mut dice));
    }
}

#[test]
fn dhcp_packets() {
    played("dhcp_packets", &fuzz_dhcp::seeds(), fuzz_dhcp::play, 300);
}

#[test]
fn sip_messages() {
    played("sip_messages", &fuzz_sip::seeds(), fuzz_sip::play, 3000);
}

#[test]
fn tftp_datagrams() {
    played("tftp_datagrams", &fuzz_tftp::seeds(), fuzz_tftp::play, 3000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_script_keeps_the_rules_of_a_transfer(
        seed in 0..fuzz_tftp::seeds().len(),
        keep in 0_usize..80,
        more in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut script = fuzz_tftp::seeds().swap_remove(seed);
        script.truncate(keep);
        script.extend(more);
        fuzz_tftp::play(&script);
    }
}
