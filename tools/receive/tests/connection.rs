//! Whole connections over a pair of sockets: the library of `push` on one side, the receiver on the other.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    missing_debug_implementations,
    reason = "tests stop where something is wrong, and their numbers are small"
)]

mod support;

use datafront::block::wire::{Frame, Kind};
use push::{Dial, Options, Pusher, Source};
use receive::sink;
use receive::{Disk, End, Keeper, Watch, serve};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Folder, versions};
use vchan::Way;
use vchan::streams::Streams;

fn way(stream: UnixStream) -> io::Result<Box<dyn Way>> {
    Ok(Box::new(Streams::new(stream.try_clone()?.into(), stream.into())?))
}

fn keeper(root: &Path) -> Keeper {
    let sink = Box::new(sink::Folder::new(root.to_owned(), 1000));
    Keeper::open(&root.join(".receive"), sink, Disk::default()).unwrap()
}

/// Serves one connection, as a receiver that was started for it.
fn one_life(root: &Path, stream: UnixStream, most: Option<u64>) -> End {
    let mut keeper = keeper(root);
    let mut receiver = keeper.receiver().unwrap();
    let mut most = most;
    let mut watch = Watch { greets_within: None, idle: None, greeted: false, is_dead: &mut || None };
    serve(&mut *way(stream).unwrap(), &mut receiver, &mut keeper, &mut most, (&mut watch, &mut |_| {}))
}

/// Each connection has a receiver of its own, whose socket is cut after as many bytes as the list says.
struct Guest {
    root: PathBuf,
    cuts: Vec<usize>,
    lock: Arc<Mutex<()>>,
}

impl Dial for Guest {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let (ours, between) = UnixStream::pair()?;
        let (to_guest, theirs) = UnixStream::pair()?;
        let cut = if self.cuts.is_empty() { usize::MAX } else { self.cuts.remove(0) };
        let (root, lock) = (self.root.clone(), Arc::clone(&self.lock));
        std::thread::spawn(move || {
            // The state has one owner: the next life begins when this one has ended.
            let _alone = lock.lock().unwrap();
            one_life(&root, theirs, None)
        });
        let (mut back_from, mut back_to) = (to_guest.try_clone()?, between.try_clone()?);
        std::thread::spawn(move || io::copy(&mut back_from, &mut back_to));
        std::thread::spawn(move || {
            let (mut between, mut to_guest) = (between, to_guest);
            let _ = io::copy(&mut (&mut between).take(cut as u64), &mut to_guest);
            for end in [&between, &to_guest] {
                let _ = end.shutdown(std::net::Shutdown::Both);
            }
        });
        way(ours)
    }
}

#[test]
fn blocks_arrive_once_and_in_order_over_many_cuts_and_lives() {
    let folder = Folder::new();
    let texts: Vec<Vec<u8>> = (0..40_usize).map(|i| vec![i as u8; (i * i * 97) % 150_000]).collect();
    let cuts = vec![0, 1, 31, 33, 1000, 100_000, 400_000, 32, 70_000];
    let guest = Guest { root: folder.0.clone(), cuts, lock: Arc::default() };
    let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
    let mut pusher = Pusher::new(guest, options);
    for bytes in &texts {
        pusher.enqueue(Source::bytes("a", bytes.clone()).unwrap());
    }
    let done = pusher.run(&mut |_| {}).unwrap();
    assert_eq!(done.iter().map(|done| done.seq).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert_eq!(versions(&folder.0, "a"), texts);
}

#[test]
fn it_ends_after_as_many_blocks_as_were_asked_for() {
    let folder = Folder::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let hello = Frame { kind: Kind::Hello, seq: 1, length: 3, aux: 0 }.to_bytes("");
    let blocks: Vec<u8> = (1..=3).flat_map(|seq| support::wire(seq, &support::block("a", "x"))).collect();
    ours.write_all(&[&hello[..], &blocks].concat()).unwrap();
    assert!(matches!(one_life(&folder.0, theirs, Some(3)), End::Enough));
    let mut answers = Vec::new();
    ours.read_to_end(&mut answers).unwrap();
    let kinds: Vec<Kind> = support::frames(&answers).iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [Kind::Welcome, Kind::Ack, Kind::Ack, Kind::Ack]);
}

/// A sender whose bytes are all there already, and who takes all answers.
struct Pending {
    bytes: Vec<u8>,
    at: usize,
    answers: Arc<Mutex<Vec<u8>>>,
}

impl Way for Pending {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let rest = &self.bytes[self.at..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(Some(len))
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.answers.lock().unwrap().extend(from);
        Ok(from.len())
    }

    fn wait(&mut self, _for_room: bool, _limit: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// The records of the state for these blocks, which have all come, and the blocks that were acknowledged.
fn records(count: u64, len: usize, most: Option<u64>) -> (usize, usize) {
    let (folder, answers) = (Folder::new(), Arc::default());
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let disk = Disk::watched(Box::new(move |step| {
        seen.lock().unwrap().push(step);
        Ok(())
    }));
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 1000));
    let mut keeper = Keeper::open(&folder.0.join(".receive"), sink, disk).unwrap();
    let mut receiver = keeper.receiver().unwrap();
    let hello = Frame { kind: Kind::Hello, seq: 1, length: 3, aux: 0 }.to_bytes("");
    let sent = (1..=count).flat_map(|seq| support::wire(seq, &support::block("a", vec![7; len])));
    let bytes = hello.into_iter().chain(sent).collect();
    let mut way = Pending { bytes, at: 0, answers: Arc::clone(&answers) };
    let mut most = most;
    let mut watch = Watch { greets_within: None, idle: None, greeted: false, is_dead: &mut || None };
    serve(&mut way, &mut receiver, &mut keeper, &mut most, (&mut watch, &mut |_| {}));
    assert_eq!(versions(&folder.0, "a").len() as u64, count);
    let answers = support::frames(&answers.lock().unwrap());
    let records = steps.lock().unwrap().iter().filter(|step| **step == "overwrite").count();
    (records, answers.iter().filter(|frame| frame.kind == Kind::Ack).count())
}

#[test]
fn blocks_that_have_come_are_recorded_together() {
    // By 64 KiB read: after 256 KiB, and at the end, behind which nobody hears the answers.
    assert_eq!(records(12, 40_000, None), (2, 6));
    // After 8 blocks, which come with three reads, and at the end.
    assert_eq!(records(12, 20_000, None), (2, 9));
    // One read has them all; not more than 16 wait for a record.
    assert_eq!(records(40, 100, None), (3, 40));
    assert_eq!(records(4, 40_000, Some(4)), (1, 4));
}

#[test]
fn hostile_bytes_end_the_connection_and_nothing_else() {
    let folder = Folder::new();
    let hello = Frame { kind: Kind::Hello, seq: 1, length: 3, aux: 0 }.to_bytes("");
    let good = [&hello[..], &support::wire(1, &support::block("a", "x"))].concat();
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let mut broken = 0;
    for _ in 0..200 {
        let mut bytes = good.clone();
        for _ in 0..=next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(&bytes).unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        match one_life(&folder.0, theirs, None) {
            End::Broke(_) => broken += 1,
            End::Left => {}
            other => panic!("{other:?}"),
        }
        assert!(!folder.0.join("a").exists() || fs::read(folder.0.join("a")).unwrap() == b"x");
    }
    assert!(broken > 150, "{broken}");
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(&good).unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(one_life(&folder.0, theirs, None), End::Left));
    assert_eq!(fs::read(folder.0.join("a")).unwrap(), b"x");
}
