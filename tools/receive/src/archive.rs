//! A tree of files out of a tar archive (ustar, pax, GNU), by the crate `tar`: files and folders, nothing else.

use crate::disk::{Disk, is_full};
use datafront::block::Status;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path};
use std::time::{Duration, UNIX_EPOCH};
use tar::{Archive, Entry, EntryType};

/// Bytes that are copied at once.
const BUFFER: usize = 64 * 1024;

/// Why an archive is not unpacked.
enum Stop {
    /// The archive's fault.
    Refused(Status),
    /// Ours.
    Failed(io::Error),
}

/// What the library says of an archive's bytes.
fn wrong(_: io::Error) -> Stop {
    Stop::Refused(Status::BAD_CONTENT)
}

/// Unpacks an archive into an empty folder. Accepted, or the status that refuses it.
///
/// # Errors
/// What the system says, other than that the disk is full.
pub(crate) fn unpack(disk: &Disk, archive: File, to: &Path) -> io::Result<Status> {
    disk.step("unpack")?;
    match unpack_all(archive, to) {
        Ok(()) => Ok(Status::ACCEPTED),
        Err(Stop::Refused(status)) => Ok(status),
        Err(Stop::Failed(error)) if is_full(&error) => Ok(Status::NO_ROOM),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn unpack_all(archive: File, to: &Path) -> Result<(), Stop> {
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let path = entry.path().map_err(wrong)?.into_owned();
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(plain) {
            return Err(Stop::Refused(Status::BAD_CONTENT));
        }
        let place = to.join(path);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&place).map_err(in_the_way)?,
            EntryType::Regular | EntryType::Continuous => file(&mut entry, &place)?,
            EntryType::XGlobalHeader => {}
            _ => return Err(Stop::Refused(Status::UNSUPPORTED)),
        }
    }
    Ok(())
}

/// A file where the archive had a folder, or the other way round, is the archive's fault.
fn in_the_way(error: io::Error) -> Stop {
    match error.kind() {
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => Stop::Refused(Status::BAD_CONTENT),
        _ => Stop::Failed(error),
    }
}

fn file(entry: &mut Entry<'_, File>, place: &Path) -> Result<(), Stop> {
    if let Some(above) = place.parent() {
        fs::create_dir_all(above).map_err(in_the_way)?;
    }
    let mut to = File::create(place).map_err(in_the_way)?;
    let mut buffer = vec![0; BUFFER];
    let mut left = entry.size();
    while left > 0 {
        let len = entry.read(&mut buffer).map_err(wrong)?;
        if len == 0 {
            return Err(Stop::Refused(Status::BAD_CONTENT));
        }
        to.write_all(buffer.get(..len).unwrap_or_default()).map_err(Stop::Failed)?;
        left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    }
    let modified = UNIX_EPOCH.checked_add(Duration::from_secs(entry.header().mtime().unwrap_or(0)));
    // A time that the file system cannot keep is no reason to refuse the tree.
    let _ = modified.map(|modified| to.set_modified(modified));
    Ok(())
}
