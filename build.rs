//! Tells cargo that the binary holds these folders: a file that is new in one makes a new binary.

#[expect(
    clippy::print_stdout,
    reason = "this is how a build script speaks to cargo"
)]
fn main() {
    for folder in ["profiles", "certs"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
