//! The image in memory: its ELF notes, and the build that they name.

#[cfg(bare)]
pub mod build;
#[cfg(any(test, bare))]
mod notes;
