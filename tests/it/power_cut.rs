//! hostile-cases F3: a power cut loses nothing that was acknowledged.
//!
//! An ext4 image on a loop device; a writer in a process of its own; the shutdown ioctl without a log
//! flush at some moment; mount again; open; look for every acknowledged write. It needs root.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use dialtone::store::Store;

use crate::store::{KINDS, lost, writer};

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const CUT: &str = "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack('I',2))";

fn run(words: &[&str]) {
    let done = Command::new(words[0]).args(&words[1..]).output();
    let done = done.unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", words[0]));
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{}: {told} (the power-cut suite needs root, loop devices and ext4)",
        words.join(" ")
    );
}

#[test]
fn f3_a_power_cut_loses_nothing_that_was_acknowledged() {
    let seeds = if std::env::var_os("DIALTONE_FULL").is_some() {
        200
    } else {
        50
    };
    let dir = tempfile::tempdir().expect("a folder");
    let (image, mounted) = (dir.path().join("image"), dir.path().join("mounted"));
    std::fs::create_dir(&mounted).expect("made");
    let (image, at) = (
        image.to_str().expect("text"),
        mounted.to_str().expect("text"),
    );
    for kind in KINDS {
        let mut bad = Vec::new();
        let mut writes = 0;
        for seed in 0..seeds {
            run(&["truncate", "-s", "0", image]);
            run(&["truncate", "-s", "96M", image]);
            run(&["mkfs.ext4", "-q", "-F", image]);
            run(&["mount", "-o", "loop", image, at]);
            let store = mounted.join("store");
            let mut child = writer(&store);
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            let mut acknowledged = Vec::new();
            while acknowledged.len() < 1 + (seed * 97) % 400 {
                let line = lines.next().expect("it goes on").expect("text");
                acknowledged.extend(line.split("ack ").nth(1).map(str::to_owned));
            }
            run(&["python3", "-c", CUT, at]);
            // What the writer still prints was acknowledged too; after the cut nothing can be.
            child.kill().expect("killed");
            let rest = lines.map_while(Result::ok);
            acknowledged
                .extend(rest.filter_map(|line| line.split("ack ").nth(1).map(str::to_owned)));
            child.wait().expect("it ended");
            run(&["umount", at]);
            run(&["mount", "-o", "loop", image, at]);
            writes += acknowledged.len();
            acknowledged.pop();
            match opened(&store, kind) {
                Ok(store) => bad.extend(
                    lost(&store, &acknowledged)
                        .iter()
                        .map(|key| format!("{seed}: {key}")),
                ),
                Err(error) => bad.push(format!("{seed}: it does not open: {error}")),
            }
            run(&["umount", at]);
        }
        assert!(
            bad.is_empty(),
            "{kind:?}, {seeds} cuts, {writes} writes: {} lost: {bad:?}",
            bad.len()
        );
    }
}

fn opened(store: &Path, kind: dialtone::store::Kind) -> Result<Store, String> {
    Store::open(store, kind, 8 << 20).map_err(|error| error.to_string())
}
