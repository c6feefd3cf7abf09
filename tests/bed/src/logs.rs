//! Collects information about a failure.

use crate::error::Result;
use crate::inner::Inner;
use crate::paths;
use std::path::Path;
use std::time::Duration;

/// Commands in dom0, and the file for each output.
const QUESTIONS: &[(&str, &str)] = &[
    ("dom0-dmesg.txt", "dmesg"),
    ("dom0-network.txt", "ip addr; brctl show; cat /proc/net/dev"),
    ("dom0-processes.txt", "ps"),
    ("xenstore.txt", "xenstore-ls -f"),
    ("xl-dmesg.txt", "xl dmesg"),
    ("xl-info.txt", "xl info"),
    ("xl-list.txt", "xl list -v"),
];

/// The limit for each answer: the machine may be the cause of the failure.
const LIMIT: Duration = Duration::from_secs(20);

/// Writes everything into the folder.
pub(crate) fn collect(bed: &Inner, folder: &Path) -> Result<()> {
    paths::create_dir(folder)?;
    paths::write(&folder.join("xen.txt"), bed.hypervisor_log()?)?;
    paths::write(&folder.join("qemu.txt"), bed.complaints())?;
    if !bed.alive() || !bed.agent().ping(Duration::from_secs(5)) {
        return paths::write(
            &folder.join("dom0-does-not-answer.txt"),
            "dom0 does not answer: no logs from it\n",
        );
    }
    for (file, question) in QUESTIONS {
        let answer = match bed.exec(question, b"", LIMIT) {
            Ok(output) => format!("{}{}", output.stdout, output.stderr),
            Err(error) => format!("{error}\n"),
        };
        paths::write(&folder.join(file), answer)?;
    }
    // The guests' consoles, xl's logs of them, the agent's own log.
    let files = bed.exec("find /var/log -type f", b"", LIMIT).map(|output| output.stdout).unwrap_or_default();
    for path in files.lines() {
        if let (Some(name), Ok(bytes)) = (path.rsplit('/').next(), bed.agent().get(path, LIMIT)) {
            paths::write(&folder.join(name), bytes)?;
        }
    }
    Ok(())
}
