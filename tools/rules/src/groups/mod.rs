//! The order of the groups inside a crate: a file imports its own group and the groups below.
//!
//! ```text
//!   ARCHITECTURE.md: the order per crate ──► order ──┐
//!   src/**/*.rs ──► source: paths, types, impls ──► graph: files and imports ──► check
//! ```
//!
//! A group is a folder (or a single file) directly below `src`. `lib.rs` and `main.rs` stand above all groups. Reported
//! are imports of a group that is not below, files outside of every group, circles of files inside a group (except
//! between a file and its own submodules), and `impl` blocks of one type in several groups. Tests are not looked at.

mod check;
mod graph;
mod order;
mod source;
#[cfg(test)]
mod tests;

use crate::{Finding, files};
use graph::Crate;
use std::fs;
use std::path::Path;

/// Checks each crate that ARCHITECTURE.md gives an order.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let document = root.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&document).map_err(|error| format!("{}: {error}", document.display()))?;
    let mut findings = Vec::new();
    let orders = order::read(&text)?;
    if orders.is_empty() {
        return Err("ARCHITECTURE.md has no table of groups".into());
    }
    for order in orders {
        let folder = root.join(&order.folder).join("src");
        let mut sources = Vec::new();
        for path in files::sources(&folder)? {
            let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
            if files::is_test(&name) {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            sources.push((name, text));
        }
        let place = |name: &str| format!("{}/src/{name}", order.folder);
        let krate = Crate::parse(&sources).map_err(|(name, error)| format!("{}: {error}", place(&name)))?;
        let found = check::check(&krate, &order.groups);
        findings.extend(found.into_iter().map(|(name, what)| Finding { place: place(&name), what }));
    }
    Ok(findings)
}
