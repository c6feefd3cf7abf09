//! Which crate may import which, from `cargo metadata`. The picture is in ARCHITECTURE.md.

use crate::Finding;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

/// What a crate of ours may depend on among our crates; tests' own dependencies (`dev-dependencies`) are free, but for
/// those of `xen-sim`, which must not know a driver.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("xen", &[]),
    ("boot", &["xen"]),
    ("cmdline", &[]),
    ("ledger", &[]),
    ("pool", &["xen"]),
    ("nic", &["pool"]),
    ("netfront", &["nic", "pool", "xen"]),
    ("tcp", &["ledger"]),
    ("tls", &[]),
    ("net", &["ledger", "nic", "tcp", "xen"]),
    ("datafront", &["ledger", "xen"]),
    ("kernel", &["boot", "cmdline", "ledger", "xen", "pool", "nic", "netfront", "net", "datafront"]),
    ("xen-sim", &["xen"]),
    ("allocation-tests", &["kernel"]),
    ("abi-tests", &["xen", "vchan"]),
    ("bed", &[]),
    ("bill", &[]),
    ("vchan", &["xen"]),
    ("receive", &["datafront", "push", "vchan"]),
    ("pull", &["datafront", "push", "receive"]),
    ("rules", &[]),
];

/// Crates outside of these lists: appliances and test guests (the kernel, and nothing of the tests), and the tests.
fn others(folder: &str) -> &'static [&'static str] {
    match folder {
        "appliances" | "guests" => &["kernel", "cmdline", "ledger", "web", "datafront", "tls", "bill"],
        "tools" => &["datafront", "vchan", "xen"],
        _ => &[
            "xen",
            "xen-sim",
            "bed",
            "ledger",
            "pool",
            "nic",
            "netfront",
            "net",
            "tcp",
            "tls",
            "boot",
            "domu-tests",
        ],
    }
}

/// Checks every crate of the workspace.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| error.to_string())?;
    let ours: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let folder =
            package.manifest_path.parent().and_then(|path| path.parent()).and_then(|path| path.file_name());
        let listed = MAY_IMPORT.iter().find(|(known, _)| *known == name).map(|(_, allowed)| *allowed);
        let allowed = listed.unwrap_or_else(|| others(folder.unwrap_or_default()));
        for dependency in &package.dependencies {
            let test_only = dependency.kind == DependencyKind::Development && name != "xen-sim";
            let ours = ours.contains(&dependency.name) && dependency.name != name;
            if ours && !test_only && !allowed.contains(&dependency.name.as_str()) {
                findings.push(Finding {
                    place: package.manifest_path.to_string(),
                    what: format!(
                        "{name} must not import {}: see ARCHITECTURE.md, who imports whom",
                        dependency.name
                    ),
                });
            }
        }
    }
    Ok(findings)
}
