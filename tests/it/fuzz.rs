//! The fuzz targets for a moment: `fuzz/` plays them for as long as one likes.

use proptest::prelude::*;

use crate::fuzz_tftp;

#[test]
fn the_seeds_of_the_tftp_target_are_played() {
    for seed in fuzz_tftp::seeds() {
        fuzz_tftp::play(&seed);
    }
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
