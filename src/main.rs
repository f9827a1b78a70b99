//! The one binary; everything is in the library.

use std::process::ExitCode;

/// A request makes and drops hundreds of small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dialtone::cli::run(std::env::args_os()).into()
}
