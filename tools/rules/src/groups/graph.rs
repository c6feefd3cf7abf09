//! The files of a crate as modules, and which file a path leads to.

use super::source::{Path, Source};
use std::collections::{BTreeMap, BTreeSet};

/// A file, by its name below `src`.
pub(super) type File = String;

/// The files of a crate.
#[derive(Debug)]
pub(super) struct Crate {
    /// The module path of each file; that of `lib.rs` is empty.
    modules: BTreeMap<Path, File>,
    sources: BTreeMap<File, Source>,
}

/// Re-exports that are followed, so that a circle of them ends.
const MOST_REEXPORTS: usize = 8;

impl Crate {
    /// Parses files: names below `src`, and texts. An error comes with the file's name.
    pub(super) fn parse(files: &[(File, String)]) -> Result<Self, (File, String)> {
        let (mut modules, mut sources) = (BTreeMap::new(), BTreeMap::new());
        for (name, text) in files {
            let source = Source::parse(text).map_err(|error| (name.clone(), error))?;
            // A crate with both a library and programs has several roots; the library's is the one that paths lead to.
            if name != "main.rs" || !files.iter().any(|(other, _)| other == "lib.rs") {
                modules.insert(module(name), name.clone());
            }
            sources.insert(name.clone(), source);
        }
        Ok(Self { modules, sources })
    }

    /// The names of the files.
    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.sources.keys()
    }

    /// The files that a file imports, without itself.
    pub(super) fn imports(&self, file: &str) -> BTreeSet<File> {
        let Some(source) = self.sources.get(file) else { return BTreeSet::new() };
        let found = source.paths.iter().filter_map(|path| self.resolve(file, path, MOST_REEXPORTS));
        found.filter(|target| target != file).collect()
    }

    /// The files with `impl` blocks of each type, by the file that defines it and the type's name.
    pub(super) fn impls(&self) -> BTreeMap<(File, String), BTreeSet<File>> {
        let mut all: BTreeMap<_, BTreeSet<File>> = BTreeMap::new();
        for (file, source) in &self.sources {
            for path in &source.impls {
                let Some(name) = path.last() else { continue };
                let home = if path.len() == 1 && source.types.contains(name) {
                    Some(file.clone())
                } else {
                    self.resolve(file, path, MOST_REEXPORTS)
                };
                let defines =
                    |home: &File| self.sources.get(home).is_some_and(|home| home.types.contains(name));
                if let Some(home) = home.filter(defines) {
                    all.entry((home, name.clone())).or_default().insert(file.clone());
                }
            }
        }
        all
    }

    /// The file that a path in `file` leads to; `None` for another crate.
    fn resolve(&self, file: &str, path: &[String], reexports: usize) -> Option<File> {
        let (mut here, rest) = self.start(file, path)?;
        let mut rest = rest.iter();
        // As far as the path names modules.
        let mut next = rest.next();
        while let Some(segment) = next {
            let mut below = here.clone();
            below.push(segment.clone());
            if !self.modules.contains_key(&below) {
                break;
            }
            here = below;
            next = rest.next();
        }
        let target = self.modules.get(&here)?;
        // The item may come from elsewhere.
        let source = self.sources.get(target)?;
        let Some(behind) = next.and_then(|item| source.uses.get(item)) else { return Some(target.clone()) };
        if reexports == 0 {
            return Some(target.clone());
        }
        let mut behind = behind.clone();
        behind.extend(rest.cloned());
        self.resolve(target, &behind, reexports.saturating_sub(1)).or_else(|| Some(target.clone()))
    }

    /// The module at which a path begins, and the segments that follow.
    fn start<'a>(&self, file: &str, path: &'a [String]) -> Option<(Path, &'a [String])> {
        let mut here = module(file);
        match path.first()?.as_str() {
            "crate" => Some((Vec::new(), path.get(1..)?)),
            "self" => Some((here, path.get(1..)?)),
            "super" => {
                let supers = path.iter().take_while(|segment| *segment == "super").count();
                here.truncate(here.len().checked_sub(supers)?);
                Some((here, path.get(supers..)?))
            }
            first => {
                let mut child = here.clone();
                child.push(first.to_owned());
                if self.modules.contains_key(&child) {
                    return Some((here, path));
                }
                // A name that `use` has brought into scope.
                let source = self.sources.get(file)?;
                let behind = source.uses.get(first).filter(|behind| behind.as_slice() != path)?;
                let base = self.resolve(file, behind, 1)?;
                Some((module(&base), path.get(1..)?))
            }
        }
    }
}

/// The module path of a file: `mem/heap.rs` and `mem/heap/mod.rs` are `mem::heap`.
pub(super) fn module(file: &str) -> Path {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let mut path: Path = stem.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        path.pop();
    }
    path
}
