//! The images: finding the one with a build id, and naming its addresses.

use crate::report::Address;
use addr2line::Loader;
use object::{File, Object};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The folder of unstripped images, below cargo's target folder.
const TARGET: &str = "x86_64-unknown-linux-musl/release";

/// The images that were built here.
pub(crate) fn built() -> Result<Vec<PathBuf>, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = target.join(TARGET);
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}; make image builds the images", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// The image with a build id.
pub(crate) fn with_build_id(candidates: &[PathBuf], build: &str) -> Result<PathBuf, String> {
    let found = candidates.iter().find(|path| build_id(path).as_deref() == Some(build));
    found.cloned().ok_or_else(|| {
        format!("no image has build id {build}; build the revision that crashed, or name its image")
    })
}

fn build_id(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let id = File::parse(&*bytes).ok()?.build_id().ok()??.to_owned();
    Some(id.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// One line for each address, and one for each inlined call.
pub(crate) fn symbolize(image: &Path, addresses: &[Address]) -> Result<String, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", image.display());
    let loader = Loader::new(image).map_err(|error| problem(&error))?;
    let mut out = String::new();
    for (number, address) in addresses.iter().enumerate() {
        let mut frames = loader.find_frames(address.inside()).map_err(|error| problem(&error))?;
        let mut first = true;
        while let Some(frame) = frames.next().map_err(|error| problem(&error))? {
            let name =
                frame.function.as_ref().and_then(|name| name.demangle().ok().map(|name| name.into_owned()));
            let symbol = || {
                loader
                    .find_symbol(address.inside())
                    .map(|name| addr2line::demangle_auto(name.into(), None).into_owned())
            };
            let name = name.or_else(symbol).unwrap_or_else(|| "?".into());
            let place = frame.location.map_or_else(String::new, |place| {
                format!("{}:{}", place.file.unwrap_or("?"), place.line.unwrap_or_default())
            });
            let label =
                if first { format!("{number:2} {:#x}", address.shown()) } else { "   inlined in".into() };
            let _ = writeln!(out, "{label:14} {name}\n               {place}");
            first = false;
        }
        if first {
            let _ = writeln!(out, "{number:2} {:#x}   ?", address.shown());
        }
    }
    Ok(out)
}
