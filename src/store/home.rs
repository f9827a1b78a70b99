//! The folder of a store: who may open it, which engine made it, and whether it is whole.
//!
//! ```text
//! DATA/store/LOCK     held while the store is open
//! DATA/store/FORMAT   "dialtone-store 2 sled": format and engine; "... creating" until the first flush
//! DATA/store/sled/    the engine's files, and the journal's among them
//! ```
//! A folder with files and without `FORMAT` is damage, never an empty store.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::engine::{Files, Kind};
use super::error::StoreError;

/// The format that this version writes, and the highest that it reads. 1 had no journal.
pub(crate) const FORMAT: u32 = 2;

/// A lock may outlive its holder for a moment: in a child that it was about to start.
const LOCK_TRIES: usize = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Lies in the data folder while a restore puts its files in place.
pub(crate) const RESTORING: &str = "RESTORING";

/// A locked store folder.
pub(crate) struct Home {
    dir: PathBuf,
    kind: Kind,
    /// Nothing was ever acknowledged in one that has none.
    files: Files,
    /// Holds the lock while it lives.
    _lock: File,
}

/// Takes an address apart: engine and folder below the data folder.
pub(crate) fn parse_url(url: &str) -> Result<(Kind, &str), StoreError> {
    let bad = || StoreError::Url {
        url: url.to_owned(),
    };
    let (scheme, folder) = url.split_once(':').ok_or_else(bad)?;
    let kind = Kind::parse(scheme).ok_or_else(bad)?;
    let simple = !folder.is_empty()
        && Path::new(folder)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
    if simple {
        Ok((kind, folder))
    } else {
        Err(bad())
    }
}

/// Whether there is a store, whole or not.
pub(crate) fn exists(data: &Path, url: &str) -> Result<bool, StoreError> {
    let (_, folder) = parse_url(url)?;
    Ok(data.join(folder).join("FORMAT").exists())
}

impl Home {
    /// Locks the folder, and makes it where there is none and `create` allows it.
    pub(crate) fn enter(data: &Path, url: &str, create: bool) -> Result<Self, StoreError> {
        let (kind, folder) = parse_url(url)?;
        let dir = data.join(folder);
        if data.join(RESTORING).exists() {
            return Err(StoreError::Corrupt {
                file: data.join(RESTORING),
                what: "a restore was broken off".to_owned(),
            });
        }
        if !dir.exists() {
            if !create {
                return Err(StoreError::NotFound {
                    what: format!("store in {}", dir.display()),
                });
            }
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|error| StoreError::io("make", &dir, &error))?;
            sync_dir(data)?;
        }
        ours(&dir)?;
        let lock = lock(&dir)?;
        let mut home = Self {
            dir,
            kind,
            files: Files::None,
            _lock: lock,
        };
        home.files = home.read_format(create)?;
        if home.files == Files::None {
            home.begin()?;
        }
        Ok(home)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What the engine is to open.
    pub(crate) fn files(&self) -> Files {
        self.files
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The engine's own folder.
    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.dir.join(self.kind.as_str())
    }

    /// The first flush is done: from now on the folder is a store of today's format.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        self.write_format("")
    }

    /// What there is, by the file that says so.
    fn read_format(&self, create: bool) -> Result<Files, StoreError> {
        let file = self.dir.join("FORMAT");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let strange = std::fs::read_dir(&self.dir)
                    .map_err(|error| StoreError::io("read", &self.dir, &error))?
                    .filter_map(Result::ok)
                    .any(|entry| entry.file_name() != "LOCK" && entry.file_name() != "FORMAT.new");
                return match (strange, create) {
                    (true, _) => Err(StoreError::Corrupt {
                        file,
                        what: "it is gone".to_owned(),
                    }),
                    (false, true) => Ok(Files::None),
                    (false, false) => Err(StoreError::NotFound {
                        what: format!("store in {}", self.dir.display()),
                    }),
                };
            }
            Err(error) => return Err(StoreError::io("read", &file, &error)),
        };
        let damaged = |what: &str| StoreError::Corrupt {
            file: file.clone(),
            what: what.to_owned(),
        };
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some("dialtone-store") {
            return Err(damaged("it does not say what it is"));
        }
        let found = words
            .next()
            .and_then(|word| word.parse::<u32>().ok())
            .ok_or_else(|| damaged("it names no format"))?;
        if found > FORMAT {
            return Err(StoreError::Newer {
                found,
                known: FORMAT,
            });
        }
        let engine = words.next().ok_or_else(|| damaged("it names no engine"))?;
        if engine != self.kind.as_str() {
            return Err(StoreError::OtherEngine {
                dir: self.dir.clone(),
                found: engine.to_owned(),
                asked: self.kind.as_str().to_owned(),
            });
        }
        match words.next() {
            None if found == 1 => Ok(Files::Rows),
            None => Ok(Files::All),
            Some("creating") => Ok(Files::None),
            Some(_) => Err(damaged("it says more than it should")),
        }
    }

    /// Notes that the engine's files are being made, and takes away what a broken start left.
    fn begin(&self) -> Result<(), StoreError> {
        self.write_format(" creating")?;
        let engine = self.engine_dir();
        match std::fs::remove_dir_all(&engine) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove", &engine, &error)),
        }
    }

    fn write_format(&self, more: &str) -> Result<(), StoreError> {
        let file = self.dir.join("FORMAT");
        let text = format!("dialtone-store {FORMAT} {}{more}\n", self.kind.as_str());
        write_durably(&file, text.as_bytes(), 0o600)
    }
}

/// Replaces a file as a whole: after a power cut it is the old one or the new one.
pub(crate) fn write_durably(file: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let write = || {
        match std::fs::remove_file(&new) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        std::fs::rename(&new, file)
    };
    write().map_err(|error| StoreError::io("write", file, &error))?;
    file.parent().map_or(Ok(()), sync_dir)
}

/// Locks a folder that is about to be replaced, whatever is in it.
pub(crate) fn lock_present(dir: &Path) -> Result<File, StoreError> {
    ours(dir)?;
    lock(dir)
}

/// Makes names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::io("fsync", dir, &error))
}

/// Refuses a folder that is another user's, or that its owner closed for writing. Root could write
/// to both, and would leave files behind that the owner cannot open.
fn ours(dir: &Path) -> Result<(), StoreError> {
    let about = std::fs::metadata(dir).map_err(|error| StoreError::io("read", dir, &error))?;
    let ours = rustix::process::geteuid().as_raw();
    if !about.is_dir() {
        return Err(StoreError::Corrupt {
            file: dir.to_owned(),
            what: "it is no folder".to_owned(),
        });
    }
    if about.uid() != ours {
        return Err(StoreError::WrongOwner {
            dir: dir.to_owned(),
            owner: about.uid(),
            ours,
        });
    }
    if about.mode() & 0o300 != 0o300 {
        return Err(StoreError::ReadOnly {
            dir: dir.to_owned(),
            why: format!("its mode is {:04o}", about.mode() & 0o7777),
        });
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("LOCK");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| StoreError::io("open", &path, &error))?;
    patiently(|| {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked {
                dir: dir.to_owned(),
            }),
            Err(error) => Err(StoreError::io("lock", &path, &error.into())),
        }
    })?;
    Ok(file)
}

/// Tries again for a moment while a lock is held.
pub(super) fn patiently<T>(
    mut attempt: impl FnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    for _ in 1..LOCK_TRIES {
        match attempt() {
            Err(StoreError::Locked { .. }) => std::thread::park_timeout(LOCK_PAUSE),
            done => return done,
        }
    }
    attempt()
}
