//! The account that a server goes on under when it was started as root (`user` in the
//! configuration). Everything that only root may open is open by then: ports below 1024, packet
//! sockets. A systemd unit that starts us under an account of its own needs none of this.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

/// Gives the data folder with all that is in it to the account, and becomes it, for good. Nothing
/// happens where we are not root.
pub(super) fn become_user(name: &str, data: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let user = User::from_name(name)?.ok_or_else(|| {
        let what = format!("there is no account {name:?}");
        io::Error::new(io::ErrorKind::NotFound, what)
    })?;
    give(data, user.uid.as_raw(), user.gid.as_raw())?;
    initgroups(&CString::new(name)?, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    tracing::info!(name, "went on under this account");
    Ok(())
}

/// An earlier run may have made files as root. A file with a second name may be somebody else's: it is
/// left alone, as what a symbolic link points to is.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let held = fs::symlink_metadata(path)?;
    if held.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    } else if held.nlink() > 1 {
        return Ok(());
    }
    lchown(path, Some(uid), Some(gid))
}
