//! Folders to [`Files`]: the only part of the catalogue that reads a disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Files, Problem};

/// A file that is larger than this is no manifest or template.
const MOST: u64 = 1 << 20;

/// Reads all files below the folders; a file of an earlier folder hides a later one's.
pub fn read_folders(folders: &[PathBuf]) -> Result<Files, Problem> {
    let mut files = Files::default();
    for folder in folders {
        read(folder, folder, &mut files)?;
    }
    Ok(files)
}

fn read(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Problem> {
    let told = |path: &Path, error: &std::io::Error| {
        let hint = "name a folder that exists and that we may read";
        Problem::error(&path.display().to_string(), None, error.to_string(), hint)
    };
    let entries = fs::read_dir(folder).map_err(|error| told(folder, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| told(folder, &error))?.path();
        if path.is_dir() {
            read(root, &path, files)?;
            continue;
        }
        let size = fs::metadata(&path)
            .map_err(|error| told(&path, &error))?
            .len();
        let shown = path.display().to_string();
        if size > MOST {
            let hint = "keep images and other large files elsewhere";
            return Err(Problem::error(
                &shown,
                None,
                format!("{size} octets are too many"),
                hint,
            ));
        }
        let bytes = fs::read(&path).map_err(|error| told(&path, &error))?;
        let Ok(inside) = path.strip_prefix(root) else {
            continue;
        };
        let Some(name) = inside.to_str() else {
            return Err(Problem::error(
                &shown,
                None,
                "its name is not UTF-8".to_owned(),
                "rename it",
            ));
        };
        files.0.entry(name.to_owned()).or_insert(bytes);
    }
    Ok(())
}
