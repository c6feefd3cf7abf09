//! The checks over the files and imports of one crate.

use super::graph::{Crate, File, module};
use super::order::Groups;
use std::collections::{BTreeMap, BTreeSet};

/// A file and its error.
type Found = (File, String);

/// Every finding.
pub(super) fn check(krate: &Crate, groups: &Groups) -> Vec<Found> {
    let mut found = Vec::new();
    let imports: BTreeMap<&File, BTreeSet<File>> =
        krate.files().map(|file| (file, krate.imports(file))).collect();
    for (file, targets) in &imports {
        found.extend(without_group(file, groups));
        found.extend(targets.iter().filter_map(|target| upward(file, target, groups)));
    }
    found.extend(circles(&imports));
    found.extend(scattered(krate));
    found
}

/// The group of a file; `None` for the root of the crate.
fn group(file: &str) -> Option<String> {
    module(file).into_iter().next()
}

/// A file that no row of the table covers.
fn without_group(file: &str, groups: &Groups) -> Option<Found> {
    let group = group(file)?;
    groups.level(&group).is_none().then(|| {
        (file.to_owned(), format!("is in no group: move it, or add {group} to the table in ARCHITECTURE.md"))
    })
}

/// An import of a group that is not below the file's own.
fn upward(file: &str, target: &str, groups: &Groups) -> Option<Found> {
    // The root may import everything.
    let own = group(file)?;
    let Some(other) = group(target) else {
        let what = "imports the crate's root: move what it needs into a group".to_owned();
        return Some((file.to_owned(), what));
    };
    let below = groups.level(&own)? < groups.level(&other)?;
    (own != other && !below).then(|| {
        let what =
            format!("group {own} imports {target}, which is not below it: see the table in ARCHITECTURE.md");
        (file.to_owned(), what)
    })
}

/// Circles of files, without imports between a file and its own submodules.
fn circles(imports: &BTreeMap<&File, BTreeSet<File>>) -> Vec<Found> {
    let related = |a: &str, b: &str| {
        let (a, b) = (module(a), module(b));
        a.starts_with(&b) || b.starts_with(&a)
    };
    let next = |file: &File| {
        let targets = imports.get(file).into_iter().flatten();
        targets.filter(|target| !related(file, target)).cloned().collect::<BTreeSet<File>>()
    };
    let reach = |file: &File| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![file.clone()]);
        while let Some(file) = todo.pop() {
            todo.extend(next(&file).into_iter().filter(|target| seen.insert(target.clone())));
        }
        seen
    };
    let reached: BTreeMap<&File, BTreeSet<File>> = imports.keys().map(|file| (*file, reach(file))).collect();
    let reaches = |from: &File, to: &File| reached.get(from).is_some_and(|seen| seen.contains(to));
    let mut found = Vec::new();
    for (file, seen) in &reached {
        let circle: Vec<&File> = seen.iter().filter(|other| reaches(other, file)).collect();
        // Each circle once: by its first file.
        if circle.first().is_some_and(|first| first == file) && circle.len() > 1 {
            let names: Vec<&str> = circle.iter().map(|name| name.as_str()).collect();
            found.push(((*file).clone(), format!("is in a circle of imports: {}", names.join(", "))));
        }
    }
    found
}

/// Types with `impl` blocks in several groups.
fn scattered(krate: &Crate) -> Vec<Found> {
    let several = |((home, name), files): ((File, String), BTreeSet<File>)| {
        let folders: BTreeSet<String> = files.iter().filter_map(|file| group(file)).collect();
        (folders.len() > 1).then(|| {
            let folders: Vec<String> = folders.into_iter().collect();
            (home, format!("{name} has impl blocks in several groups: {}", folders.join(", ")))
        })
    };
    krate.impls().into_iter().filter_map(several).collect()
}
