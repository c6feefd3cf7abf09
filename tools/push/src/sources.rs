//! What the command line's source is made of: one block, or one for each file of a folder.

use crate::Arguments;
use crate::screen::Screen;
use push::{Error, Source};
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Whether a source has no length: the standard input, a FIFO or a character device.
pub(crate) fn is_stream(path: &Path) -> bool {
    let without_end = |kind: FileType| kind.is_fifo() || kind.is_char_device();
    path == Path::new("-") || std::fs::metadata(path).is_ok_and(|meta| without_end(meta.file_type()))
}

/// The blocks of a source that has a length. What is left out of a folder is reported.
pub(crate) fn blocks(arguments: &Arguments, screen: &mut Screen) -> Result<Vec<Source>, Error> {
    let blocks = read(arguments)?;
    for tree in blocks.iter().filter_map(Source::tree) {
        tree.left_out().iter().for_each(|one| screen.left_out(one));
    }
    Ok(blocks)
}

/// `--dry-run`: names and lengths of what would be pushed.
pub(crate) fn list(arguments: &Arguments) -> Result<(), Error> {
    let mut screen = Screen::new(arguments.json, None);
    if is_stream(&arguments.source) {
        screen.listed("a stream, read to its end", None);
        return Ok(());
    }
    for block in blocks(arguments, &mut screen)? {
        match block.tree() {
            Some(tree) => tree.files().for_each(|(name, len)| {
                screen.listed(
                    &format!("{}{}{name}", block.name, if block.name.is_empty() { "" } else { "/" }),
                    Some(len),
                );
            }),
            None => screen.listed(&block.name, Some(block.len)),
        }
    }
    Ok(())
}

fn read(arguments: &Arguments) -> Result<Vec<Source>, Error> {
    let path = &arguments.source;
    if arguments.secret {
        return Ok(vec![Source::secrets(path)?]);
    }
    let base = path.file_name().map_or_else(String::new, |base| base.to_string_lossy().into_owned());
    let name = arguments.name.clone();
    if path.is_dir() && arguments.each {
        return each(path, name.as_deref().unwrap_or_default(), arguments.all);
    }
    if path.is_dir() {
        return Ok(vec![Source::folder(name.as_deref().unwrap_or_default(), path, arguments.rules())?]);
    }
    if Path::new(&base).extension().is_some_and(|extension| extension == "tar") {
        return Ok(vec![Source::file(name.as_deref().unwrap_or_default(), path)?.as_tree()]);
    }
    Ok(vec![Source::file(name.as_deref().unwrap_or(&base), path)?])
}

/// The files of a folder, each on its own.
fn each(folder: &Path, prefix: &str, all: bool) -> Result<Vec<Source>, Error> {
    let fail = |error| Error::Source(folder.display().to_string(), error);
    let base =
        |path: &Path| path.file_name().map_or_else(String::new, |base| base.to_string_lossy().into_owned());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() && (all || !base(&path).starts_with('.')) {
            paths.push(path);
        }
    }
    paths.sort();
    let named = |path: &PathBuf| {
        let base = base(path);
        Source::file(&if prefix.is_empty() { base } else { format!("{prefix}/{base}") }, path)
    };
    paths.iter().map(named).collect()
}
