//! The image in memory: its ELF notes, and the build that they name.

#[cfg(target_os = "none")]
pub mod build;
#[cfg(any(test, target_os = "none"))]
mod notes;
