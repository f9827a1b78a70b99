//! The account that a server goes on under when it was started as root (`user` in the
//! configuration). Everything that only root may open is open by then: ports below 1024, packet
//! sockets. A systemd unit that starts us under an account of its own needs none of this.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

/// Gives the data folder to the account, and becomes it, for good. Nothing happens where we are
/// not root.
pub(super) fn become_user(name: &str, data: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let user = User::from_name(name)?.ok_or_else(|| {
        let what = format!("there is no account {name:?}");
        io::Error::new(io::ErrorKind::NotFound, what)
    })?;
    chown(data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    initgroups(&CString::new(name)?, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    tracing::info!(name, "went on under this account");
    Ok(())
}
