//! `backup`: everything that the running server knows, into one file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};
use super::out;

/// `backup FILE`.
#[derive(Args, Debug)]
pub(super) struct Backup {
    /// Where to write; - is stdout
    file: PathBuf,
}

impl Backup {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        if self.file == Path::new("-") {
            let sink = session.out;
            fetch(&session, |piece| sink.raw(piece))?;
            return DONE;
        }
        // Written beside the file and moved there: a broken transfer leaves the old one.
        let mut part = self.file.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let done = whole(&session, &part, &self.file);
        if done.is_err() {
            drop(std::fs::remove_file(&part));
        }
        let bytes = done?;
        out::note(&format!("{bytes} bytes in {}", self.file.display()));
        DONE
    }
}

fn whole(session: &Session, part: &Path, file: &Path) -> Result<u64, Fail> {
    let failed =
        |error: std::io::Error| Fail::failed("unwritable", format!("{}: {error}", part.display()));
    let mut writer = BufWriter::new(private(part).map_err(failed)?);
    let mut bytes = 0_u64;
    fetch(session, |piece| {
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        writer.write_all(piece).map_err(failed)
    })?;
    let disk = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    disk.sync_all().map_err(failed)?;
    std::fs::rename(part, file).map_err(failed)?;
    Ok(bytes)
}

/// A backup holds keys: nobody else reads it.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn fetch(session: &Session, sink: impl FnMut(&[u8]) -> Result<(), Fail>) -> Result<(), Fail> {
    session.wait(async |api| api.download(&Call::to(&["backup"]), sink).await)
}
