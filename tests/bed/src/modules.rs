//! Which kernel modules to load, and in which order.
//!
//! Every module names those it needs in its `.modinfo` section (`depends=a,b`), so neither `depmod` on the host nor
//! `modprobe` in dom0 is needed: dom0's init loads a list from top to bottom.

use crate::error::{Doing, Error, Result};
use crate::{kernel, paths};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module: its name as the kernel has it, and its bytes, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The folder of modules in an unpacked kernel package: newer ones have it in `/usr`.
pub(crate) fn folder(root: &Path) -> PathBuf {
    let old = root.join("lib/modules");
    if old.is_dir() { old } else { root.join("usr/lib/modules") }
}

/// The modules in `wanted` and their dependencies, each after the ones that it needs.
pub(crate) fn closure(tree: &Path, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(tree, &mut files)?;
    let built_in = built_in(tree);
    let mut order = Vec::new();
    for name in wanted.iter().filter(|name| !built_in.contains(&name.replace('-', "_"))) {
        visit(name, &files, &mut order)?;
    }
    Ok(order)
}

fn visit(name: &str, files: &BTreeMap<String, PathBuf>, order: &mut Vec<Module>) -> Result<()> {
    let name = name.replace('-', "_");
    if order.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let file = files.get(&name).ok_or_else(|| Error::host(format!("the kernel has no module {name}")))?;
    let bytes =
        kernel::unpack_stream(&paths::read(file)?).doing(|| format!("unpacking {}", file.display()))?;
    for needed in depends(&bytes) {
        visit(&needed, files, order)?;
    }
    order.push(Module { name, bytes });
    Ok(())
}

/// The modules that are part of the kernel itself, by `modules.builtin`: a path like `kernel/drivers/x.ko` a line.
fn built_in(tree: &Path) -> BTreeSet<String> {
    let versions = fs::read_dir(tree).into_iter().flatten().flatten();
    let lists =
        versions.filter_map(|version| fs::read_to_string(version.path().join("modules.builtin")).ok());
    let name = |line: &str| Some(line.rsplit('/').next()?.strip_suffix(".ko")?.replace('-', "_"));
    lists.flat_map(|list| list.lines().filter_map(name).collect::<Vec<_>>()).collect()
}

/// Finds every `.ko` below a folder, packed (`.ko.xz`, `.ko.zst`) or not.
fn index(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).doing(|| format!("reading the folder {}", folder.display()))? {
        let path = entry.doing(|| format!("reading the folder {}", folder.display()))?.path();
        if path.is_dir() && !path.is_symlink() {
            index(&path, files)?;
        } else if let Some((name, "" | ".xz" | ".zst")) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once(".ko"))
        {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// The names in a module's `depends=` entry.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module.get(at + KEY.len()..).unwrap_or_default();
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn depends_is_read_from_modinfo() {
        assert_eq!(depends(b"\x7fELF..license=GPL\0depends=llc,stp\0name=bridge\0"), ["llc", "stp"]);
        assert!(depends(b"license=GPL\0depends=\0name=llc\0").is_empty());
        assert!(depends(b"no such thing").is_empty());
    }

    #[test]
    fn needed_modules_come_first() {
        let folder = std::env::temp_dir().join(format!("bed-modules-{}", std::process::id()));
        fs::create_dir_all(folder.join("net")).unwrap();
        fs::write(folder.join("net/bridge.ko"), b"\0depends=llc,stp\0").unwrap();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"\0depends=llc\0").unwrap();
        fs::write(folder.join("stp.ko.xz"), packer.finish().unwrap()).unwrap();
        fs::write(folder.join("llc.ko"), b"\0depends=\0").unwrap();
        fs::write(folder.join("net/modules.builtin"), "kernel/drivers/virtio/virtio-pci.ko\n").unwrap();
        let order = closure(&folder, &["virtio_pci", "bridge", "llc"]).unwrap();
        let missing = closure(&folder, &["absent-one"]).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        let names: Vec<_> = order.into_iter().map(|module| module.name).collect();
        assert_eq!(names, ["llc", "stp", "bridge"]);
        assert!(missing.to_string().contains("absent_one"));
    }
}
