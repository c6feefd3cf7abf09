//! `docs/xen-map.md` names the users of each header as the sources have them.
//!
//! ```text
//!   docs/xen-map.md: | header | layouts | users |        sources: every `abi::NAME` outside of tests
//!        └── set of users a module ──────── must be equal ──────── set of users a module ──┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Users of each module of `xen::abi`.
type Users = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names between back quotes in a cell of a table.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The module of a file or folder of layouts: `xen/src/abi/io_netif/` is `io_netif`.
fn module(layouts: &str) -> String {
    let name = layouts.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(".rs").to_owned()
}

/// What the document says, and the layouts that it names.
fn documented() -> (Users, Vec<String>) {
    let text = fs::read_to_string(root().join("docs/xen-map.md")).expect("docs/xen-map.md");
    let (mut users, mut files) = (Users::new(), Vec::new());
    for line in text.lines().filter(|line| line.contains("| `xen/src/abi/")) {
        let [_, _, layouts, cell, _] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}");
        };
        let layouts = quoted(layouts).next().expect("a path between back quotes");
        files.push(layouts.to_owned());
        users.insert(module(layouts), quoted(cell).map(str::to_owned).collect());
    }
    (users, files)
}

/// Every Rust file below a folder, tests and build products left out.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !["target", "tests", "examples", ".git", "build"].contains(&name.as_str()) {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The crate of a file, or its group in `xen`.
fn user(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').collect();
    match parts[..] {
        ["xen", "src", group, ..] => format!("xen/src/{group}"),
        [folder @ ("tools" | "appliances"), name, ..] => format!("{folder}/{name}"),
        [name, ..] => name.to_owned(),
        [] => String::new(),
    }
}

/// What the sources say.
fn found() -> Users {
    let root = root();
    let mut users = Users::new();
    let mut files = Vec::new();
    sources(&root, &mut files);
    for path in files {
        let place = path.strip_prefix(&root).expect("below the root").display().to_string();
        if place.starts_with("xen/src/abi/") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        // What stands in a test at the end of a file, or in a comment, is no use.
        let code = text.lines().take_while(|line| !line.starts_with("mod tests {"));
        for line in code.filter(|line| !line.trim_start().starts_with("//")) {
            assert!(!line.contains("abi::{"), "{place}: name one module of xen::abi a line");
            for rest in line.split("abi::").skip(1) {
                let name: String =
                    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                users.entry(name).or_default().insert(user(&place));
            }
        }
    }
    users
}

#[test]
fn the_map_names_the_users_of_each_header() {
    let (documented, files) = documented();
    for file in &files {
        assert!(root().join(file).exists(), "{file} is in docs/xen-map.md and not in the repository");
    }
    let found = found();
    let modules: BTreeSet<_> = documented.keys().chain(found.keys()).collect();
    let nobody = BTreeSet::new();
    for name in modules {
        let (said, is) = (documented.get(name).unwrap_or(&nobody), found.get(name).unwrap_or(&nobody));
        assert_eq!(said, is, "docs/xen-map.md (left) and the sources (right) on the users of abi::{name}");
    }
}

#[test]
fn every_module_of_layouts_is_in_the_map() {
    let (documented, _) = documented();
    let helpers = ["layout", "mod", "number"];
    for entry in fs::read_dir(root().join("xen/src/abi")).expect("xen/src/abi") {
        let name = module(&entry.expect("an entry").path().display().to_string());
        let listed = documented.contains_key(&name) || helpers.contains(&name.as_str());
        assert!(listed, "xen/src/abi/{name} has no row in docs/xen-map.md");
    }
}
