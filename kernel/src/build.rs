//! Which build this is, from the notes at the image's beginning.

use crate::notes;
use alloc::vec::Vec;
use core::fmt;

/// What the build is made of.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// The commit that it was built from; `-dirty` behind it if files were changed; empty if the image has no note.
    pub commit: &'static str,
    /// Name and version of each crate that it is linked with.
    pub dependencies: Vec<&'static str>,
}

/// Reads it.
#[must_use]
pub fn build() -> Build {
    let package = notes::package(boot::notes());
    Build {
        commit: notes::text(package, "commit"),
        dependencies: notes::list(package, "dependencies").collect(),
    }
}

/// Prints the build id, as `readelf -n` and the symbolizer have it.
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
