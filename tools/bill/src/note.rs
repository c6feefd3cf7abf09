//! The package note of an image: version, commit and dependencies as JSON, in the form that `readelf -n` prints.
//!
//! ```text
//!   "FDO\0", type 0xcafe1a7e │ {"type":"millpond","name":"web","version":"0.1.0","commit":"…","dependencies":["log 0.4.35",…]}
//! ```
//!
//! The format is the UAPI group's Package Metadata Specification; binutils 2.39 and newer print it.

use crate::components::Image;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `NT_FDO_PACKAGING_METADATA`.
const PACKAGE: u32 = 0xcafe_1a7e;
/// The variable with the commit, for a build outside of a repository or a reproduction of another build.
const COMMIT: &str = "MILLPOND_COMMIT";

/// The bytes of the note: header, owner, JSON with a terminating zero, padding.
#[must_use]
pub fn note(image: &Image, commit: &str) -> Vec<u8> {
    let names: Vec<String> = image
        .components
        .iter()
        .map(|component| format!("{} {}", component.name, component.version))
        .collect();
    let text = json!({
        "type": "millpond",
        "name": image.root.name,
        "version": image.root.version,
        "commit": commit,
        "dependencies": names,
    });
    let mut desc = text.to_string().into_bytes();
    desc.push(0);
    let owner = b"FDO\0";
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
    let mut note = [length(owner), length(&desc), PACKAGE.to_le_bytes()].concat();
    note.extend_from_slice(owner);
    note.extend(desc);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// For the build script of an image: writes the note into cargo's output folder, and its path into `MILLPOND_NOTE` for the
/// compiler. `kernel::note!` puts it into the image.
///
/// # Errors
/// When cargo or git fails, or the folder cannot be written.
pub fn write_note() -> Result<(), String> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
    let root = folder("CARGO_MANIFEST_DIR")?;
    println!("cargo::rerun-if-changed={}", root.join("../../Cargo.lock").display());
    // Cargo does not track the linker script.
    println!("cargo::rerun-if-changed={}", root.join("../../linker.ld").display());
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let image = Image::of(&root)?;
    let commit = match std::env::var(COMMIT) {
        Ok(commit) => commit,
        Err(_) => head(&root),
    };
    let file = folder("OUT_DIR")?.join("package.note");
    fs::write(&file, note(&image, &commit)).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("cargo::rustc-env=MILLPOND_NOTE={}", file.display());
    Ok(())
}

/// The commit that is checked out, with `-dirty` appended if files were modified; `unknown` without git. Cargo runs the
/// build script again when another commit is checked out.
fn head(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Component;

    #[test]
    fn the_note_has_its_lengths_and_its_text() {
        let component = |name: &str, version: &str| Component {
            name: name.into(),
            version: version.into(),
            license: None,
            checksum: None,
            uses: Vec::new(),
        };
        let image = Image { root: component("web", "0.1.0"), components: vec![component("log", "0.4.35")] };
        let bytes = note(&image, "abc");
        assert_eq!(bytes[..4], [4, 0, 0, 0]);
        assert_eq!(bytes[8..16], *b"\x7e\x1a\xfe\xcaFDO\0");
        let text = r#"{"commit":"abc","dependencies":["log 0.4.35"],"name":"web","type":"millpond","version":"0.1.0"}"#;
        assert_eq!(bytes[4..8], u32::try_from(text.len() + 1).unwrap().to_le_bytes());
        assert_eq!(bytes[16..16 + text.len()], *text.as_bytes());
        assert!(bytes.len().is_multiple_of(4) && bytes[16 + text.len()] == 0);
    }
}
