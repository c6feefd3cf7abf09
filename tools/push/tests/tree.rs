//! A folder as an archive: what is in it, by tar's own reader, and what is refused by name.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests stop where something is wrong"
)]

use push::tree::{Reason, Rules, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("push-tree-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(tree: &Tree) -> Vec<&str> {
    tree.files().map(|(name, _)| name).collect()
}

/// What tar unpacks.
fn unpacked(tree: &Tree) -> BTreeMap<String, Vec<u8>> {
    let mut archive = Vec::new();
    tree.read().read_to_end(&mut archive).unwrap();
    assert_eq!(archive.len() as u64, tree.len(), "as long as it was listed");
    let out = Folder::new("out");
    let mut tar = Command::new("tar").args(["-x", "-C"]).arg(&out.0).stdin(Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(&archive).unwrap();
    assert!(tar.wait().unwrap().success());
    let mut found = BTreeMap::new();
    collect(&out.0, &out.0, &mut found);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, fs::read(&path).unwrap());
        }
    }
}

#[test]
fn names_of_any_length_arrive_as_they_are() {
    let folder = Folder::new("long");
    let mut expected = BTreeMap::new();
    // Around the limits of ustar: 100 bytes, a prefix of 155, no slash where it would have to be cut; and two bytes a letter.
    for len in [1, 99, 100, 101, 155, 200, 254] {
        for prefix in ["", "sub/", "a-folder-with-a-name/and-another-one-below-it/"] {
            expected.insert(format!("{prefix}{}", "n".repeat(len)), vec![7; len * 5]);
        }
    }
    expected.insert("ä".repeat(120), b"two bytes a letter".to_vec());
    expected.insert(format!("{0}/{0}/{0}/{0}/file", "deep".repeat(30)), b"beyond the prefix".to_vec());
    expected.iter().for_each(|(name, bytes)| folder.write(name, bytes));
    let tree = Tree::list(&folder.0, Rules::default()).unwrap();
    assert_eq!(
        names(&tree),
        expected.keys().map(String::as_str).collect::<Vec<_>>(),
        "in the order of their names"
    );
    assert_eq!(unpacked(&tree), expected);
}

#[test]
fn names_with_a_dot_are_published_only_with_all() {
    let folder = Folder::new("dots");
    for name in ["index.html", ".htaccess", ".git/config", "sub/.hidden", "sub/shown"] {
        folder.write(name, b"x");
    }
    let tree = Tree::list(&folder.0, Rules::default()).unwrap();
    assert_eq!(names(&tree), ["index.html", "sub/shown"]);
    assert!(tree.left_out().is_empty(), "as documented, so not worth a line each");
    let all = Tree::list(&folder.0, Rules { all: true, skip: false }).unwrap();
    assert_eq!(names(&all), [".git/config", ".htaccess", "index.html", "sub/.hidden", "sub/shown"]);
}

#[test]
fn what_cannot_be_published_is_named_and_refused_or_skipped() {
    let (folder, other) = (Folder::new("special"), Folder::new("other"));
    other.write("secret", b"s");
    folder.write("a/file", b"1");
    symlink("file", folder.0.join("a/link")).unwrap();
    symlink("../a", folder.0.join("a/loop")).unwrap();
    fs::remove_file(folder.0.join("a/loop")).unwrap();
    symlink("nothing", folder.0.join("dangling")).unwrap();
    symlink(other.0.join("secret"), folder.0.join("outside")).unwrap();
    symlink(&other.0, folder.0.join("outside-folder")).unwrap();
    let fifo = Command::new("mkfifo").arg(folder.0.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let refused = Tree::list(&folder.0, Rules::default()).unwrap_err().to_string();
    for (name, why) in [
        ("dangling", "a link to nothing"),
        ("outside", "a link out of the folder"),
        ("outside-folder", "a link out of the folder"),
        ("fifo", "neither a file nor a folder"),
    ] {
        assert!(refused.contains(&format!("/{name}: {why}")), "{refused}");
    }
    let tree = Tree::list(&folder.0, Rules { all: false, skip: true }).unwrap();
    assert_eq!(names(&tree), ["a/file", "a/link"], "a link within the folder is followed");
    let left_out: Vec<Reason> = tree.left_out().iter().map(|one| one.reason).collect();
    assert_eq!(left_out, [Reason::Dangling, Reason::Special, Reason::Outside, Reason::Outside]);
}
