use std::process::ExitCode;

use dialtone_fuzz::{run, tftp};

fn main() -> ExitCode {
    run("tftp_datagrams", &tftp::seeds(), tftp::play)
}
