//! The crates that are linked into an image, with their checksums.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The target of the images.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// A crate that is part of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    /// SHA-256 of its archive in the registry; `None` for crates of this repository.
    pub checksum: Option<String>,
    /// Names and versions of the crates that it uses itself.
    pub uses: Vec<(String, String)>,
}

/// An image: its crate, and all crates that it is linked with, by name and version.
#[derive(Clone, Debug)]
pub struct Image {
    /// The appliance.
    pub root: Component,
    /// Everything else.
    pub components: Vec<Component>,
}

impl Image {
    /// Asks cargo for the crates with which the crate in a folder is linked.
    ///
    /// `cargo tree` and not `cargo metadata`, which counts what any crate of the workspace could switch on.
    ///
    /// # Errors
    /// When cargo does not answer, or there is no `Cargo.lock`.
    pub fn of(folder: &Path) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(folder)
            .args(["tree", "--locked", "--target", TARGET, "--prefix", "depth", "--format", "|{p}|{l}"])
            // Procedural macros run in the compiler and are no part of an image.
            .args(["--edges", "normal,no-proc-macro"])
            .output()
            .map_err(|error| format!("cargo tree: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let lock = folder.join("../../Cargo.lock");
        let lock = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
        Self::from_tree(&String::from_utf8_lossy(&output.stdout), &checksums(&lock))
    }

    /// From what `cargo tree` prints: depth, package and licence a line, in the order of a walk.
    fn from_tree(tree: &str, checksums: &BTreeMap<Key, String>) -> Result<Self, String> {
        let mut found: BTreeMap<Key, Component> = BTreeMap::new();
        // The packages from the image down to the line before.
        let mut path: Vec<Key> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, key, license) = package(line).ok_or_else(|| format!("cargo tree: {line:?}"))?;
            path.truncate(depth);
            if let Some(user) = path.last().and_then(|user| found.get_mut(user)) {
                // A package whose own uses were printed before is printed again, without them.
                if !user.uses.contains(&key) {
                    user.uses.push(key.clone());
                }
            }
            path.push(key.clone());
            let (name, version) = key.clone();
            let checksum = checksums.get(&key).cloned();
            let new = Component { name, version, license, checksum, uses: Vec::new() };
            found.entry(key).or_insert(new);
        }
        let root = path.first().and_then(|root| found.remove(root)).ok_or("cargo tree printed nothing")?;
        let mut components: Vec<Component> = found.into_values().collect();
        components.iter_mut().for_each(|component| component.uses.sort());
        Ok(Self { root, components })
    }
}

/// Name and version.
type Key = (String, String);

/// Reads `2|log v0.4.35|MIT OR Apache-2.0`; more may follow the version.
fn package(line: &str) -> Option<(usize, Key, Option<String>)> {
    let mut fields = line.split('|');
    let depth = fields.next()?.parse().ok()?;
    let mut words = fields.next()?.split(' ');
    let key = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
    let license = fields.next()?.trim_end_matches(" (*)");
    Some((depth, key, (!license.is_empty()).then(|| license.to_owned())))
}

/// Checksums by name and version, from `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<Key, String> {
    let block = |block: &str| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.map(|line| line.trim_end_matches('"').to_owned())
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    };
    lock.split("[[package]]").filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_crates_from_a_registry() {
        let lock = "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"log\"\n\
                    version = \"0.4.1\"\nchecksum = \"ab12\"\ndependencies = [\n \"x\",\n]\n";
        let expected = (("log".to_owned(), "0.4.1".to_owned()), "ab12".to_owned());
        assert_eq!(checksums(lock).into_iter().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn the_tree_gives_each_package_once_with_what_it_uses() {
        let tree = "0|web v0.1.0 (/somewhere/web)|MIT\n1|a v1.0.0|MIT OR Apache-2.0\n2|b v2.0.0|\n1|c v3.0.0|MIT\n\
                    2|a v1.0.0|MIT OR Apache-2.0 (*)\n";
        let image = Image::from_tree(tree, &BTreeMap::new()).unwrap();
        let key = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(image.root.uses, [key("a", "1.0.0"), key("c", "3.0.0")]);
        let [a, b, c] = image.components.as_slice() else { panic!("{:?}", image.components) };
        assert_eq!(
            (a.uses.as_slice(), c.uses.as_slice()),
            (&[key("b", "2.0.0")][..], &[key("a", "1.0.0")][..])
        );
        assert_eq!((a.license.as_deref(), b.license.as_deref()), (Some("MIT OR Apache-2.0"), None));
        assert!(Image::from_tree("", &BTreeMap::new()).is_err());
        assert!(Image::from_tree("x|y", &BTreeMap::new()).is_err());
    }

    #[test]
    fn an_image_has_linked_crates_and_no_macros() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../appliances/web");
        let image = Image::of(&folder).unwrap();
        let find = |name: &str| image.components.iter().find(|component| component.name == name);
        assert_eq!(image.root.name, "web");
        let smoltcp = find("smoltcp").unwrap();
        assert_eq!(smoltcp.checksum.as_ref().map(String::len), Some(64));
        assert!(smoltcp.license.is_some());
        assert!(find("kernel").unwrap().checksum.is_none());
        for absent in ["syn", "serde_derive", "zerocopy-derive", "bill", "defmt", "stats_alloc"] {
            assert!(find(absent).is_none(), "{absent}");
        }
    }
}
