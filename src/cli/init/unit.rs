//! The systemd unit that `init` writes, and what to do after it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::super::globals::Globals;
use super::super::out;
use super::{ACCOUNT, Plan, ROOT_DATA, UNITS, absolute};

/// The data folder that systemd makes and gives to a user of its own making.
fn is_state(data: &Path) -> bool {
    data == Path::new(ROOT_DATA)
}

pub(super) fn systemd(binary: &Path, config: &Path, plan: &Plan) -> String {
    let (binary, config) = (binary.display(), config.display());
    let mut account = if is_state(&plan.data) {
        "DynamicUser=yes\nStateDirectory=dialtone\nStateDirectoryMode=0700\n".to_owned()
    } else {
        let data = plan.data.display();
        format!("User={ACCOUNT}\nReadWritePaths={data}\n")
    };
    if let Some(group) = plan.certificate.as_ref().and_then(|(_, key)| readers(key)) {
        account.push_str(&format!("SupplementaryGroups={group}\n"));
    }
    // Packet sockets, to reach clients that have no address yet.
    let rights = match plan.dhcp {
        Some(_) => "CAP_NET_BIND_SERVICE CAP_NET_RAW",
        None => "CAP_NET_BIND_SERVICE",
    };
    format!(
        "[Unit]\n\
         Description=dialtone, zero-touch provisioning\n\
         After=network-online.target\n\
         Wants=network-online.target\n\n\
         [Service]\n\
         Type=notify\n\
         ExecStart={binary} serve --config {config}\n\
         ExecReload=kill -HUP $MAINPID\n\
         {account}\
         # Ports below 1024, and nothing else that root may do.\n\
         AmbientCapabilities={rights}\n\
         CapabilityBoundingSet={rights}\n\
         Restart=on-failure\n\
         TimeoutStopSec=45\n\
         LimitNOFILE=65536\n\
         NoNewPrivileges=yes\n\
         ProtectSystem=strict\n\
         ProtectHome=read-only\n\
         PrivateTmp=yes\n\n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// The group that may read a file, if it is not root's.
fn readers(file: &Path) -> Option<u32> {
    let about = fs::metadata(file).ok()?;
    (about.mode() & 0o040 != 0 && about.gid() != 0).then(|| about.gid())
}

pub(super) fn next_steps(plan: &Plan, written: &Globals, unit: &Path, root: bool) {
    // Where a verb looks by itself, it needs not be told.
    let found = Globals::default()
        .file()
        .and_then(|file| absolute(&file).ok());
    let config = match &written.config {
        Some(file) if found.as_ref() != Some(file) => format!(" --config {}", file.display()),
        Some(_) | None => String::new(),
    };
    let mut steps = Vec::new();
    let data = plan.data.display();
    if root {
        if !is_state(&plan.data) {
            if !account_is_there() {
                steps.push(format!(
                    "useradd --system --home-dir {data} --shell /usr/sbin/nologin {ACCOUNT}"
                ));
            }
            steps.push(format!("install -d -m 700 -o {ACCOUNT} {data}"));
        }
        if !unit.starts_with(UNITS) {
            steps.push(format!("cp {} {UNITS}/", unit.display()));
        }
        steps.push("systemctl daemon-reload".to_owned());
        steps.push("systemctl enable --now dialtone".to_owned());
    } else {
        steps.push(format!("dialtone serve{config}"));
    }
    steps.push(format!("dialtone doctor{config}"));
    out::note("next:");
    if let Some((_, key)) = plan
        .certificate
        .as_ref()
        .filter(|(_, key)| readers(key).is_none())
    {
        let key = key.display();
        out::note(&format!(
            "  let a group read {key} (chgrp, chmod g+r), and run init again with --force"
        ));
    }
    for step in steps {
        out::note(&format!("  {step}"));
    }
    if let Some(dhcp) = plan.dhcp.as_ref().filter(|dhcp| !dhcp.pools.is_empty()) {
        let missing = [
            ("router", dhcp.router.is_none()),
            ("dns", dhcp.dns.is_empty()),
        ];
        for (key, _) in missing.iter().filter(|(_, missing)| *missing) {
            out::note(&format!(
                "  units are told no {key}: if they need one, write it into [[dhcp.subnet]]"
            ));
        }
    }
}

fn account_is_there() -> bool {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut names = accounts.lines().filter_map(|line| line.split(':').next());
    names.any(|name| name == ACCOUNT)
}
