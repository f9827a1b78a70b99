use std::process::ExitCode;

use dialtone_fuzz::{run, sip};

fn main() -> ExitCode {
    run("sip_messages", &sip::seeds(), sip::play)
}
