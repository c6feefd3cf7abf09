//! The build of the running image, from the notes at its beginning.

use super::notes;
use alloc::vec::Vec;
use core::fmt;

/// Commit and dependencies of the build.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// The commit, with `-dirty` appended if files were modified. Empty if the image has no package note.
    pub commit: &'static str,
    /// Name and version of each linked crate, `log 0.4.35`.
    pub dependencies: Vec<&'static str>,
}

/// Reads commit and dependencies from the package note.
#[must_use]
pub fn build() -> Build {
    let package = notes::package(boot::notes());
    Build {
        commit: notes::text(package, "commit"),
        dependencies: notes::list(package, "dependencies").collect(),
    }
}

/// Prints the build id as hexadecimal digits, as `readelf -n` and `make symbolize` do; `unknown` without one.
#[derive(Clone, Copy, Debug)]
pub struct BuildId;

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match notes::build_id(boot::notes()) {
            Some(id) => id.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            None => f.write_str("unknown"),
        }
    }
}
