//! The `dialtone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    dialtone::cli::run()
}
