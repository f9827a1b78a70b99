//! The one binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dialtone::cli::run(std::env::args_os()).into()
}
