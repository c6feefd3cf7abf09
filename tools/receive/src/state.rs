//! What survives a restart: how far each stream has come, what is half there, what was being handed on.
//!
//! ```text
//!   | "MPRECV4\0" | number of the write u64 | instance u64 | handing on: yes u64, stream u64, seq u64 |
//!   | parts u32 | for each: stream u64, form u32, bytes u64, name_len u32, name |
//!   | logs u32 | for each: inode u64, bytes u64, name_len u32, name | streams: datafront's | CRC-32C u32 |
//! ```
//!
//! All numbers are little endian. There are two files, written in turn, in place: no name is looked up and no block of the
//! file system is allocated for it. The one with the higher number counts. Of one that is half written the check is wrong,
//! and the other one is whole, with everything that was acknowledged.

use crate::disk::Disk;
use crate::error::Error;
use datafront::block::wire::Sum;
use datafront::block::{Form, Part, Streams};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAGIC: &[u8; 8] = b"MPRECV4\0";
/// Streams whose parts are kept: as many as a receiver knows.
const MAX_PARTS: usize = 16;
/// Files that are appended to, of which the length is kept: the one that was appended to longest ago makes room.
const MAX_LOGS: usize = 16;

/// How often the lock is tried: one that was just killed, or a child of it that has not begun its program, lets go soon.
const LOCK_TRIES: u32 = 20;
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The first parts of something whose last one is still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The stream that it comes on.
    pub stream: u64,
    /// What it is.
    pub form: Form,
    /// Bytes that are acknowledged.
    pub len: u64,
    /// Its name.
    pub name: String,
}

/// A file to which blocks are added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The file's number: another file may be at its path now.
    pub inode: u64,
    /// Its bytes with all blocks that are acknowledged. What lies beyond is cut off at the next start.
    pub len: u64,
    /// The name of the blocks.
    pub name: String,
}

/// Everything that survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The receiver's number, by which senders notice that one has forgotten: the same as long as the file is there.
    pub instance: u64,
    /// The block, as stream and number, that is being handed to a program that cannot tell whether it has it.
    pub handing_on: Option<(u64, u64)>,
    /// What is half there, the oldest first.
    pub parts: Vec<Parts>,
    /// The files that are appended to, the last one at the end.
    pub logs: Vec<Log>,
    /// How far each stream has come, as [`Streams::save`] has it.
    pub streams: Vec<u8>,
}

impl State {
    /// The first one: nothing was received.
    ///
    /// # Errors
    /// The system gives no random number.
    pub fn new() -> io::Result<Self> {
        let mut instance = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut instance)?;
        let instance = u64::from_le_bytes(instance);
        Ok(Self { instance, handing_on: None, parts: Vec::new(), logs: Vec::new(), streams: Vec::new() })
    }

    /// The parts of this stream, if they are those of this name and form.
    pub(crate) fn parts(&self, stream: u64, name: &str, form: Form) -> Option<&Parts> {
        self.parts.iter().find(|parts| parts.stream == stream && parts.name == name && parts.form == form)
    }

    /// Forgets the parts of a stream.
    pub(crate) fn forget(&mut self, stream: u64) {
        self.parts.retain(|parts| parts.stream != stream);
    }

    /// Keeps parts in place of older ones of the stream; what makes room for them.
    pub(crate) fn keep(&mut self, parts: Parts) -> Option<Parts> {
        self.forget(parts.stream);
        let oldest = (self.parts.len() >= MAX_PARTS).then(|| self.parts.remove(0));
        self.parts.push(parts);
        oldest
    }

    /// Notes the length of a file that is appended to.
    pub(crate) fn note_log(&mut self, log: Log) {
        self.logs.retain(|known| known.name != log.name);
        if self.logs.len() >= MAX_LOGS {
            self.logs.remove(0);
        }
        self.logs.push(log);
    }

    /// The file's bytes, of this write.
    #[must_use]
    pub fn to_bytes(&self, nth: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(nth.to_le_bytes());
        let (stream, seq) = self.handing_on.unwrap_or_default();
        for word in [self.instance, u64::from(self.handing_on.is_some()), stream, seq] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(count(self.parts.len()).to_le_bytes());
        for parts in &self.parts {
            bytes.extend(parts.stream.to_le_bytes());
            bytes.extend(parts.form.aux(Part::Whole).to_le_bytes());
            bytes.extend(parts.len.to_le_bytes());
            bytes.extend(count(parts.name.len()).to_le_bytes());
            bytes.extend(parts.name.as_bytes());
        }
        bytes.extend(count(self.logs.len()).to_le_bytes());
        for log in &self.logs {
            bytes.extend(log.inode.to_le_bytes());
            bytes.extend(log.len.to_le_bytes());
            bytes.extend(count(log.name.len()).to_le_bytes());
            bytes.extend(log.name.as_bytes());
        }
        bytes.extend(&self.streams);
        bytes.extend(check(&bytes).to_le_bytes());
        bytes
    }

    /// What [`State::to_bytes`] has made; `None` for other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<(u64, Self)> {
        let (bytes, sum) = bytes.split_last_chunk()?;
        if u32::from_le_bytes(*sum) != check(bytes) {
            return None;
        }
        let mut from = bytes.strip_prefix(MAGIC)?;
        let from = &mut from;
        let (nth, instance) = (long(from)?, long(from)?);
        let handing_on = match (long(from)?, long(from)?, long(from)?) {
            (0, ..) => None,
            (_, stream, seq) => Some((stream, seq)),
        };
        let mut parts = Vec::new();
        for _ in 0..short(from).filter(|count| usize::try_from(*count).is_ok_and(|n| n <= MAX_PARTS))? {
            let (stream, form, len) = (long(from)?, Form::from_aux(short(from)?)?.0, long(from)?);
            parts.push(Parts { stream, form, len, name: text(from)? });
        }
        let mut logs = Vec::new();
        for _ in 0..short(from).filter(|count| usize::try_from(*count).is_ok_and(|n| n <= MAX_LOGS))? {
            logs.push(Log { inode: long(from)?, len: long(from)?, name: text(from)? });
        }
        let streams = from.to_vec();
        Streams::load(&streams)?;
        Some((nth, Self { instance, handing_on, parts, logs, streams }))
    }
}

/// The names of the two files.
const NAMES: [&str; 2] = ["state", "state.2"];

/// One of the two files.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    file: File,
}

/// The file that counts, and the one that is written next.
#[derive(Debug)]
struct Slots {
    newest: Slot,
    /// The number of its write.
    nth: u64,
    next: Slot,
    /// Nobody knows what the next one holds: a write of it failed.
    has_failed: bool,
}

/// The files, and the folder in which they are.
#[derive(Debug)]
pub struct StateFile {
    folder: PathBuf,
    slots: Option<Slots>,
    /// Held as long as the receiver lives.
    _lock: File,
}

impl StateFile {
    /// In this folder, which is made if it is missing. A lock keeps other receivers away.
    ///
    /// # Errors
    /// What the system says, or that another receiver is at work there.
    pub fn open(folder: &Path, disk: &Disk) -> Result<Self, Error> {
        disk.create_folders(folder).map_err(Error::at(folder))?;
        let lock = folder.join("lock");
        let file = File::create(&lock).map_err(Error::at(&lock))?;
        let taken = (0..LOCK_TRIES).any(|nth| {
            std::thread::sleep(if nth == 0 { Duration::ZERO } else { LOCK_PAUSE });
            file.try_lock().is_ok()
        });
        if !taken {
            return Err(Error::Busy(folder.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), slots: None, _lock: file })
    }

    /// Reads it; the first time, makes it.
    ///
    /// # Errors
    /// What the system says, or that both files are damaged.
    pub fn load(&mut self, disk: &Disk) -> Result<State, Error> {
        let [first, second] = NAMES.map(|name| self.folder.join(name));
        if !first.exists() && !second.exists() {
            let state = State::new().map_err(Error::at(Path::new("/dev/urandom")))?;
            // Whole from the beginning: there is no other one yet.
            disk.replace(&first, &state.to_bytes(1)).map_err(Error::at(&first))?;
            self.slots = None;
        }
        // What could not be put on the medium may be in the file all the same.
        let failed = self.slots.take().filter(|slots| slots.has_failed).map(|slots| slots.next.path);
        let open = |path: PathBuf| -> Result<(Slot, Option<(u64, State)>), Error> {
            let (file, bytes) = disk.open_or_create(&path).map_err(Error::at(&path))?;
            let state = State::from_bytes(&bytes).filter(|_| failed.as_ref() != Some(&path));
            Ok((Slot { path, file }, state))
        };
        let (a, b) = (open(first)?, open(second)?);
        let nth = |state: &Option<(u64, State)>| state.as_ref().map_or(0, |(nth, _)| *nth);
        let (newest, next) = if nth(&a.1) >= nth(&b.1) { (a, b) } else { (b, a) };
        let (slot, found) = newest;
        let (nth, state) = found.ok_or_else(|| Error::Damaged(slot.path.clone()))?;
        let has_failed = failed.is_some();
        self.slots = Some(Slots { newest: slot, nth, next: next.0, has_failed });
        Ok(state)
    }

    /// Puts it on the medium.
    ///
    /// # Errors
    /// What the system says. The state before counts then.
    pub fn save(&mut self, state: &State, disk: &Disk) -> Result<(), Error> {
        let Some(slots) = &mut self.slots else {
            return Err(Error::Damaged(self.folder.clone()));
        };
        let nth = slots.nth.saturating_add(1);
        slots.has_failed = true;
        let Slot { path, file } = &slots.next;
        disk.overwrite(file, &state.to_bytes(nth)).map_err(Error::at(path))?;
        (slots.nth, slots.has_failed) = (nth, false);
        std::mem::swap(&mut slots.newest, &mut slots.next);
        Ok(())
    }
}

fn check(bytes: &[u8]) -> u32 {
    let mut sum = Sum::default();
    sum.add(bytes);
    sum.value()
}

/// A length that is far below 2^32.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A text behind its length.
fn text(from: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(short(from)?).ok()?;
    String::from_utf8(from.split_off(..len)?.to_vec()).ok()
}

fn short(from: &mut &[u8]) -> Option<u32> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u32::from_le_bytes(*first))
}

fn long(from: &mut &[u8]) -> Option<u64> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_any_damage_is_noticed() {
        let mut state = State::new().unwrap();
        state.handing_on = Some((7, 9));
        for stream in 0..20 {
            let name = "x".repeat(stream as usize);
            state.keep(Parts { stream, form: Form::Tree, len: stream * 1000, name });
        }
        for inode in 0..20_u64 {
            state.note_log(Log { inode, len: inode * 10, name: format!("log-{}", inode % 18) });
        }
        assert_eq!((state.parts.len(), state.logs.len()), (MAX_PARTS, MAX_LOGS));
        assert_eq!(state.logs.last().map(|log| (log.inode, log.name.as_str())), Some((19, "log-1")));
        assert_eq!(state.parts.first().map(|parts| parts.stream), Some(4));
        let bytes = state.to_bytes(77);
        assert_eq!(State::from_bytes(&bytes), Some((77, state)));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(State::from_bytes(&bad), None, "byte {at}");
            assert_eq!(State::from_bytes(&bytes[..at]), None, "cut at {at}");
        }
    }

    /// A folder in memory, if there is such a thing.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_half_written_file_leaves_the_one_before() {
        let (folder, disk) = (folder("half"), Disk::default());
        let mut file = StateFile::open(&folder, &disk).unwrap();
        let mut state = file.load(&disk).unwrap();
        for round in 1..=4 {
            state.handing_on = Some((round, 1));
            file.save(&state, &disk).unwrap();
            assert_eq!(file.load(&disk).unwrap(), state);
            // The next write goes into the older one, and is cut anywhere.
            let newer = State { handing_on: Some((99, 9)), ..state.clone() }.to_bytes(round + 2);
            let number =
                |name: &&str| State::from_bytes(&std::fs::read(folder.join(name)).unwrap()).map(|it| it.0);
            let older = folder.join(NAMES.iter().min_by_key(|name| number(name)).unwrap());
            let before = std::fs::read(&older).unwrap();
            for len in 1..newer.len() {
                let rest = before.get(len..).unwrap_or_default();
                std::fs::write(&older, [&newer[..len], rest].concat()).unwrap();
                assert_eq!(file.load(&disk).unwrap(), state, "round {round}, cut at {len}");
            }
        }
        NAMES.iter().for_each(|name| std::fs::write(folder.join(name), "x").unwrap());
        assert!(matches!(file.load(&disk), Err(Error::Damaged(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_could_not_be_put_on_the_medium_does_not_count() {
        let (folder, left) = (folder("sync"), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true)));
        let works = std::sync::Arc::clone(&left);
        let disk = Disk::watched(Box::new(move |step| {
            let fails = step == "sync" && !works.load(std::sync::atomic::Ordering::Relaxed);
            if fails { Err(io::Error::other("no medium")) } else { Ok(()) }
        }));
        let mut file = StateFile::open(&folder, &disk).unwrap();
        let state = file.load(&disk).unwrap();
        let newer = State { handing_on: Some((1, 1)), ..state.clone() };
        left.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(file.save(&newer, &disk).is_err());
        assert_eq!(file.load(&disk).unwrap(), state);
        left.store(true, std::sync::atomic::Ordering::Relaxed);
        file.save(&newer, &disk).unwrap();
        assert_eq!(file.load(&disk).unwrap(), newer);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn parts_belong_to_a_stream_a_name_and_a_form() {
        let mut state = State::new().unwrap();
        state.keep(Parts { stream: 1, form: Form::Bytes, len: 5, name: "a".into() });
        assert!(state.parts(1, "a", Form::Bytes).is_some());
        assert!(state.parts(2, "a", Form::Bytes).is_none());
        assert!(state.parts(1, "b", Form::Bytes).is_none());
        assert!(state.parts(1, "a", Form::Tree).is_none());
        state.forget(1);
        assert!(state.parts.is_empty());
    }
}
