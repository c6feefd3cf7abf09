//! The contents of dom0: no Debian installation, only the programs that Xen's toolstack needs, with their libraries,
//! the modules, our own init and the agent.
//!
//! Everything comes from packages and nothing from the host, so the host's release does not matter.

use crate::cpio::Archive;
use crate::device_model;
use crate::error::{Doing, Result};
use crate::hash::Key;
use crate::modules;
use std::fs;
use std::path::{Path, PathBuf};

/// The script by which dom0 gets IPv6 addresses: one in the network whose prefix QEMU's router advertises, and
/// `fd00:6d69::1/64`. They are valid at once, without a probe.
pub const SPEAK_IPV6: &str =
    "cd /proc/sys/net/ipv6/conf/xenbr0 && echo 0 >accept_dad && echo 0 >disable_ipv6 &&
    ip -6 addr add fd00:6d69::1/64 dev xenbr0 && ip -6 addr add fec0::6430/64 dev xenbr0";

/// The agent, built by `build.rs`.
pub(crate) const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bed-agent"));
const INIT: &str = include_str!("../dom0/init");
const VIF_BRIDGE: &str = include_str!("../dom0/vif-bridge");

/// Xen's programs that go into dom0; `xl` looks for its helpers in its own folder.
const XEN_PROGRAMS: &[&str] = &[
    "libxl-save-helper",
    OXENSTORED,
    "vchan-socket-proxy",
    "xen-init-dom0",
    "xenconsole",
    "xenconsoled",
    "xenstored",
    "xenstore-control",
    "xentop",
    "xl",
];

/// The terminal that xentop may be told to have, `TERM=vt100`: where suites keep its description.
const TERMINALS: [&str; 2] = ["lib/terminfo/v/vt100", "usr/share/terminfo/v/vt100"];

const XENSTORE_PROGRAMS: &[&str] = &["chmod", "exists", "list", "ls", "read", "rm", "watch", "write"];

/// The modules that dom0 loads; their dependencies are added.
const MODULES: &[&str] = &[
    "xenfs",
    "xen-privcmd",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-netback",
    "bridge",
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    // Delay and loss, where a test asks for them.
    "sch_netem",
];

/// The xenstored written in OCaml.
const OXENSTORED: &str = "oxenstored";
/// Variables for oxenstored: where Linux shows dom0's own xenstore page and event channel.
const OXENSTORED_CONF: &str = "xenstored-kva = /proc/xen/xsd_kva\nxenstored-port = /proc/xen/xsd_port\n";

/// `autoballoon`: dom0's memory is fixed by Xen's command line.
const XL_CONF: &str = "autoballoon=\"off\"\n";

/// Adds dom0's inputs other than packages to the image's key.
pub(crate) fn add_inputs(key: &mut Key) {
    for part in [INIT, VIF_BRIDGE, XL_CONF, OXENSTORED_CONF, TERMINALS[0]] {
        key.add(part);
    }
    key.add(AGENT);
    for name in XEN_PROGRAMS.iter().chain(XENSTORE_PROGRAMS).chain(MODULES) {
        key.add(name);
    }
}

/// dom0's tree, from the unpacked packages and those that were asked for by name; `xen` is Xen's release. `hvm`: with what
/// HVM guests need.
pub(crate) fn tree(xen: &str, root: &Path, extra: &Path, hvm: bool) -> Result<Archive> {
    let mut tree = Archive::default();
    for folder in ["bin", "sbin", "lib", "lib64"] {
        tree.link(folder, &format!("usr/{folder}"));
    }
    for folder in ["usr/bin", "usr/sbin", "usr/lib", "dev", "proc", "sys", "run", "tmp", "root", "var"] {
        tree.folder(folder);
    }
    tree.device("dev/console", 5, 1);
    merge(&mut tree, extra, Path::new(""))?;
    tree.link("usr/bin/sh", "busybox");
    tree.host_file("usr/bin/busybox", &busybox(root))?;
    for name in XEN_PROGRAMS {
        let path = format!("usr/lib/xen-{xen}/bin/{name}");
        // Not every suite is built with OCaml.
        if *name != OXENSTORED || root.join(&path).exists() {
            tree.host_file(&path, &root.join(&path))?;
        }
    }
    for name in XENSTORE_PROGRAMS {
        let path = format!("usr/bin/xenstore-{name}");
        tree.host_file(&path, &root.join(&path))?;
    }
    // A description of a terminal, for xentop.
    let terminal = TERMINALS.iter().find(|place| root.join(place).exists()).unwrap_or(&TERMINALS[0]);
    let place = if terminal.starts_with("usr/") { (*terminal).to_owned() } else { format!("usr/{terminal}") };
    tree.host_file(&place, &root.join(terminal))?;
    libraries(&mut tree, root)?;
    let more = if hvm { device_model::add(&mut tree, xen, root)? } else { &[] };
    modules(&mut tree, root, more)?;
    tree.link("init", "usr/sbin/bed-init");
    tree.file("usr/sbin/bed-init", 0o755, INIT);
    tree.file("usr/bin/bed-agent", 0o755, AGENT);
    tree.file("etc/xen/scripts/vif-bridge", 0o755, VIF_BRIDGE);
    tree.file("etc/xen/xl.conf", 0o644, XL_CONF);
    tree.file("etc/xen/oxenstored.conf", 0o644, OXENSTORED_CONF);
    tree.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.file("etc/group", 0o644, "root:x:0:\n");
    Ok(tree)
}

/// busybox in the unpacked packages: newer ones have everything in `/usr`.
pub(crate) fn busybox(root: &Path) -> PathBuf {
    let old = root.join("bin/busybox");
    if old.is_file() { old } else { root.join("usr/bin/busybox") }
}

/// The shared libraries of all packages, and the loader.
fn libraries(tree: &mut Archive, root: &Path) -> Result<()> {
    for folder in ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
        let folder = root.join(folder);
        // Newer packages have nothing in `/lib`.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(".so") {
                tree.host_file(&format!("usr/lib/x86_64-linux-gnu/{name}"), &entry.path())?;
            }
        }
    }
    tree.link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    Ok(())
}

fn modules(tree: &mut Archive, root: &Path, more: &[&str]) -> Result<()> {
    let mut list = String::new();
    for module in modules::closure(&modules::folder(root), &[MODULES, more].concat())? {
        let path = format!("usr/lib/modules/{}.ko", module.name);
        tree.file(&path, 0o644, module.bytes);
        list.push_str(&format!("/{path}\n"));
    }
    tree.file("etc/bed/modules", 0o644, list);
    Ok(())
}

/// Adds a whole package tree; Debian's `/lib` and so on go below `/usr`, as the links above say.
pub(crate) fn merge(tree: &mut Archive, root: &Path, below: &Path) -> Result<()> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).doing(|| format!("reading the folder {}", folder.display()))?.flatten()
    {
        let path = below.join(entry.file_name());
        let meta = entry.metadata().doing(|| format!("looking at {}", path.display()))?;
        let name = path.to_string_lossy();
        if ["usr/share/doc", "usr/share/man", "usr/share/locale", device_model::GRUB].contains(&name.as_ref())
        {
            continue;
        }
        if meta.is_dir() {
            merge(tree, root, &path)?;
        } else {
            let system = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|prefix| name.starts_with(prefix));
            let place = if system { format!("usr/{name}") } else { name.into_owned() };
            tree.host_file(&place, &entry.path())?;
        }
    }
    Ok(())
}
