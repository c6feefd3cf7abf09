//! Writes the archive that Linux takes as an initramfs: cpio in the "newc" form.

use crate::error::{Doing, Result};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The kind of an entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File {
        mode: u32,
        bytes: Vec<u8>,
    },
    Link(String),
    /// A character device: the kernel needs `/dev/console` before anything is mounted.
    Device {
        major: u32,
        minor: u32,
    },
}

/// A tree of files to be packed. Paths have no leading slash; the folders above a path come by themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds an empty folder.
    pub(crate) fn folder(&mut self, path: &str) {
        self.insert(path, Node::Folder);
    }

    /// Adds a file with those permissions.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.insert(path, Node::File { mode, bytes: bytes.into() });
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Node::Link(target.to_owned()));
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.insert(path, Node::Device { major, minor });
    }

    /// Adds a file or a symbolic link of the host, unchanged.
    ///
    /// # Errors
    /// When the host's file cannot be read.
    pub(crate) fn host_file(&mut self, path: &str, from: &Path) -> Result<()> {
        let meta = fs::symlink_metadata(from).doing(|| format!("looking at {}", from.display()))?;
        if meta.is_symlink() {
            let target = fs::read_link(from).doing(|| format!("reading the link {}", from.display()))?;
            self.link(path, &target.to_string_lossy());
        } else if meta.is_dir() {
            self.folder(path);
        } else {
            let bytes = fs::read(from).doing(|| format!("reading {}", from.display()))?;
            self.file(path, meta.permissions().mode() & 0o777, bytes);
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, node: Node) {
        let mut above = path;
        while let Some((folder, _)) = above.rsplit_once('/') {
            self.nodes.entry(folder.to_owned()).or_insert(Node::Folder);
            above = folder;
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The packed archive; the same tree gives the same bytes.
    #[must_use]
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (path, node)) in (1..).zip(&self.nodes) {
            match node {
                Node::Folder => entry(&mut out, number, path, 0o040_755, (0, 0), b""),
                Node::File { mode, bytes } => entry(&mut out, number, path, 0o100_000 | mode, (0, 0), bytes),
                Node::Link(target) => entry(&mut out, number, path, 0o120_777, (0, 0), target.as_bytes()),
                Node::Device { major, minor } => {
                    entry(&mut out, number, path, 0o020_600, (*major, *minor), b"");
                }
            }
        }
        entry(&mut out, 0, "TRAILER!!!", 0, (0, 0), b"");
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

/// Appends one entry: 13 fields of 8 hexadecimal digits, the name, the bytes; each padded to 4.
fn entry(out: &mut Vec<u8>, number: u32, path: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let name_size = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
    let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of an archive as (name, mode, bytes), read as the kernel reads them.
    fn parse(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let field = |at: usize, n: usize| {
            let text = std::str::from_utf8(&archive[at + 6 + n * 8..at + 14 + n * 8]).unwrap();
            u32::from_str_radix(text, 16).unwrap()
        };
        let (mut at, mut entries) = (0, Vec::new());
        loop {
            assert_eq!(&archive[at..at + 6], b"070701");
            let (mode, size, name) = (field(at, 1), field(at, 6) as usize, field(at, 11) as usize);
            let text = String::from_utf8(archive[at + 110..at + 110 + name - 1].to_vec()).unwrap();
            if text == "TRAILER!!!" {
                return entries;
            }
            let data = (at + 110 + name).next_multiple_of(4);
            entries.push((text, mode, archive[data..data + size].to_vec()));
            at = (data + size).next_multiple_of(4);
        }
    }

    #[test]
    fn tree_comes_back_with_its_folders() {
        let mut archive = Archive::default();
        archive.file("usr/bin/x", 0o755, *b"abcde");
        archive.link("bin", "usr/bin");
        let entries = parse(&archive.pack());
        let names: Vec<_> = entries.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
        assert_eq!(
            names,
            [("bin", 0o120_777), ("usr", 0o040_755), ("usr/bin", 0o040_755), ("usr/bin/x", 0o100_755)]
        );
        assert_eq!(entries[0].2, b"usr/bin");
        assert_eq!(entries[3].2, b"abcde");
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut archive = Archive::default();
        archive.file("a/b", 0o644, *b"");
        archive.file("a-c", 0o644, *b"");
        let names: Vec<_> = parse(&archive.pack()).into_iter().map(|entry| entry.0).collect();
        assert_eq!(names, ["a", "a-c", "a/b"]);
    }

    #[test]
    fn same_tree_gives_same_bytes() {
        let build = || {
            let mut archive = Archive::default();
            archive.device("dev/console", 5, 1);
            archive.folder("proc");
            archive.pack()
        };
        assert_eq!(build(), build());
        assert_eq!(build().len() % 512, 0);
    }
}
