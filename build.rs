//! Tells cargo that the binary holds these folders: a file that is new in one makes a new binary.

fn main() {
    for folder in ["profiles", "certs", "tests/fixtures/vendors"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
