use std::process::ExitCode;

use dialtone_fuzz::{dhcp, run};

fn main() -> ExitCode {
    run("dhcp_packets", &dhcp::seeds(), dhcp::play)
}
