//! Restore: a backup becomes a data folder's store, keys and CA, whole or not at all.
//!
//! The file is read to its end before anything is written. Then everything is built beside the
//! present data and checked; only then do a few renames put it in place. What was there is moved
//! aside, never removed. While the renames run, `RESTORING` lies in the data folder, and a store
//! beside it does not open: a restore that broke off is done again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::backup::{self, BackupError, Part, Summary};
use super::engine::{Engine, FULL, seal};
use super::home::{self, Home, RESTORING};
use super::{Options, Store};

/// Rows that are applied at once.
const STRETCH: usize = 4096;
/// Where everything is built.
const NEW: &str = "restore.new";

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub backup: Summary,
    /// Where what was there before is now; `None` where nothing was.
    pub aside: Option<PathBuf>,
}

/// Reads a backup to its end: whether it could be restored, as far as the file alone says.
pub fn verify(file: &Path) -> Result<Summary, BackupError> {
    backup::read(open(file)?, |_| Ok(()))
}

/// Restores a backup into a data folder whose server is stopped. `url` names the engine and folder.
pub async fn restore(
    file: &Path,
    data: &Path,
    url: &str,
    now: Timestamp,
) -> Result<Restored, BackupError> {
    let (_, folder) = home::parse_url(url)?;
    verify(file)?;
    let present = data.join(folder).exists();
    // Held until the end: nobody opens what is being replaced.
    let _lock = match present {
        true => Some(home::lock_present(&data.join(folder))?),
        false => None,
    };
    let new = data.join(NEW);
    remove(&new)?;
    make_dir(data)?;
    make_dir(&new)?;
    let built = build(file, &new, url).await;
    let summary = match built {
        Ok(summary) => summary,
        Err(error) => {
            remove(&new)?;
            return Err(error);
        }
    };
    let aside = swap(data, &new, now)?;
    Ok(Restored {
        backup: summary,
        aside,
    })
}

/// Makes store and files below `new`, and checks them.
async fn build(file: &Path, new: &Path, url: &str) -> Result<Summary, BackupError> {
    let (_, folder) = home::parse_url(url)?;
    let summary = {
        let home = Home::enter(new, url, true)?;
        let engine = Engine::open(
            home.kind(),
            &home.engine_dir(),
            home.files(),
            64 << 20,
            FULL,
        )?;
        let summary = backup::read(open(file)?, |part| match part {
            Part::Rows(rows) => {
                let mut rows = rows.into_iter().map(|(key, value)| {
                    let held = seal(&key, value);
                    (key, Some(held))
                });
                loop {
                    let some: Vec<_> = rows.by_ref().take(STRETCH).collect();
                    if some.is_empty() {
                        return Ok(());
                    }
                    engine.apply(some, false)?;
                }
            }
            Part::File {
                path,
                mode,
                content,
            } => {
                if path.starts_with(folder) {
                    return Err(BackupError::damaged("a file inside the store"));
                }
                let to = new.join(&path);
                if let Some(parent) = to.parent() {
                    make_dir(parent)?;
                }
                // The owner's bits alone, whatever the file says.
                home::write_durably(&to, &content, mode & 0o700 | 0o400)?;
                Ok(())
            }
        })?;
        engine.settle()?;
        home.settle()?;
        summary
    };
    let store = Store::open(&Options {
        url: url.to_owned(),
        create: false,
        ..Options::new(new)
    })?;
    let report = store.check().await?;
    store.close().await?;
    match report.problems.first() {
        None => Ok(summary),
        Some(first) => Err(BackupError::Unsound {
            found: report.found,
            first: first.to_string(),
        }),
    }
}

/// Puts what was built in place; gives where the old is.
fn swap(data: &Path, new: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let names = names(new)?;
    let marker = data.join(RESTORING);
    let said = "a restore is under way; if none is, run it again\n";
    home::write_durably(&marker, said.as_bytes(), 0o600)?;
    let mut aside = None;
    for name in &names {
        let present = data.join(name);
        if present.symlink_metadata().is_ok() {
            let aside = match &aside {
                Some(aside) => aside,
                None => aside.insert(fresh_dir(data, now)?),
            };
            rename(&present, &aside.join(name))?;
        }
        rename(&new.join(name), &present)?;
    }
    home::sync_dir(data)?;
    if let Some(aside) = &aside {
        home::sync_dir(aside)?;
    }
    std::fs::remove_file(&marker).map_err(|error| BackupError::io("remove", &marker, &error))?;
    remove(new)?;
    home::sync_dir(data)?;
    Ok(aside)
}

/// `before-restore-20261123T031500Z`, with a number where that is taken.
fn fresh_dir(data: &Path, now: Timestamp) -> Result<PathBuf, BackupError> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    for number in 0_u32.. {
        let name = match number {
            0 => format!("before-restore-{stamp}"),
            more => format!("before-restore-{stamp}-{more}"),
        };
        let dir = data.join(name);
        if !dir.exists() {
            make_dir(&dir)?;
            return Ok(dir);
        }
    }
    Err(BackupError::damaged("no name is left"))
}

/// The top names below a folder.
fn names(dir: &Path) -> Result<BTreeSet<std::ffi::OsString>, BackupError> {
    std::fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(|error| BackupError::io("read", dir, &error))
}

fn open(file: &Path) -> Result<BufReader<File>, BackupError> {
    File::open(file)
        .map(BufReader::new)
        .map_err(|error| BackupError::io("open", file, &error))
}

fn make_dir(dir: &Path) -> Result<(), BackupError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| BackupError::io("make", dir, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(|error| BackupError::io("rename", from, &error))
}

fn remove(dir: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::io("remove", dir, &error)),
    }
}
