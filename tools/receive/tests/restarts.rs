//! A receiver that is ended before any step on the disk, whose answers are lost, and whose disk is full for one step: every
//! block once and in order all the same.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests stop where something is wrong, and their numbers are small"
)]

mod support;

use datafront::block::wire::{Frame, Kind};
use datafront::block::{Form, Part, Status};
use receive::sink::{self, Program};
use receive::{Disk, Error, Keeper, Sink};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::{Block, Folder, Life, Sender, block, frames, long_fuse, versions, wire};

fn to_folder(folder: &Folder) -> Box<dyn Sink> {
    Box::new(sink::Folder::new(folder.0.clone(), 100))
}

fn own(folder: &Folder) -> std::path::PathBuf {
    folder.0.join(".receive")
}

/// A tree of two files.
fn tree(text: &str) -> Block {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["index.html", "deep/er/a.txt"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    Block { form: Form::Tree, ..block("", archive.into_inner().unwrap()) }
}

/// Files of one name, a file in parts between them, a tree in parts.
fn blocks() -> Vec<Block> {
    let part = |name, bytes: &str, part| Block { part, ..block(name, bytes) };
    let site = tree("site");
    let (head, tail) = site.bytes.split_at(700);
    vec![
        block("a", "one"),
        part("log/p", "first ", Part::First),
        part("log/p", "middle ", Part::Middle),
        part("log/p", "last", Part::Last),
        block("a", "two"),
        Block { bytes: head.to_vec(), part: Part::First, ..site.clone() },
        Block { bytes: tail.to_vec(), part: Part::Last, ..site },
        block("a", "three"),
    ]
}

fn check_folder(folder: &Folder, what: &str) {
    assert_eq!(versions(&folder.0, "a"), [&b"one"[..], b"two", b"three"], "{what}");
    assert_eq!(versions(&folder.0, "log/p"), [b"first middle last"], "{what}");
    assert_eq!(fs::read(folder.0.join("a")).unwrap(), b"three", "{what}");
    assert_eq!(fs::read(folder.0.join("log/p")).unwrap(), b"first middle last", "{what}");
    assert_eq!(fs::read(folder.0.join("current/deep/er/a.txt")).unwrap(), b"site", "{what}");
    assert_eq!(fs::read_dir(own(folder).join("versions/current")).unwrap().count(), 1, "{what}");
    assert_eq!(fs::read_dir(own(folder).join("incoming")).unwrap().count(), 0, "{what}");
}

fn check_statuses(sender: &Sender, what: &str) {
    let expected: Vec<_> = (1..=8).map(|seq| (seq, Status::ACCEPTED)).collect();
    assert_eq!(sender.statuses, expected, "{what}");
}

#[test]
fn killed_before_any_step_a_folder_has_each_block_once() {
    let [alone, together] = [1, 3].map(killed_before_any_step);
    assert!(alone > 75 && together > 65, "each step had its turn: {alone}, {together}");
    assert!(together < alone, "blocks that come together are recorded together");
}

/// A receiver that is fed so many blocks together; the steps that it takes.
fn killed_before_any_step(at_once: usize) -> u64 {
    let mut steps = 0;
    loop {
        let folder = Folder::new();
        let mut sender = Sender::new(5, &blocks()).at_once(at_once);
        let fuse = Arc::new(AtomicU64::new(steps));
        let what = format!("killed after {steps} steps, {at_once} at once");
        if let Some(mut life) = Life::begin(&own(&folder), to_folder(&folder), &fuse) {
            sender.connect(&mut life);
        }
        let survived = sender.is_done();
        if !survived {
            let mut next = Life::begin(&own(&folder), to_folder(&folder), &long_fuse()).unwrap();
            assert!(sender.connect(&mut next), "{what}");
        }
        check_statuses(&sender, &what);
        check_folder(&folder, &what);
        if survived {
            return steps;
        }
        steps += 1;
    }
}

#[test]
fn a_lost_acknowledgement_is_repeated_and_not_the_block() {
    let folder = Folder::new();
    let hello = Frame { kind: Kind::Hello, seq: 1, length: 5, aux: 0 }.to_bytes("");
    let sent: Vec<Vec<u8>> = (1..).zip(&blocks()).map(|(seq, block)| wire(seq, block)).collect();
    let mut life = Life::begin(&own(&folder), to_folder(&folder), &long_fuse()).unwrap();
    life.feed(&hello).unwrap();
    // All is recorded, and the sender hears nothing of it.
    life.feed(&sent.concat()).unwrap();
    drop(life);
    let mut next = Life::begin(&own(&folder), to_folder(&folder), &long_fuse()).unwrap();
    let answers = frames(&next.feed(&hello).unwrap());
    let seen: Vec<_> = answers.iter().map(|frame| (frame.kind, frame.seq)).collect();
    let acks = (1..=8).map(|seq| (Kind::Ack, seq));
    assert_eq!(seen, [(Kind::Welcome, 8)].into_iter().chain(acks).collect::<Vec<_>>());
    assert!(answers[1..].iter().all(|ack| ack.aux == Status::ACCEPTED.0));
    // Sent again all the same, the last one is read past.
    let again = frames(&next.feed(&sent[7]).unwrap());
    assert_eq!((again[0].kind, again[0].seq), (Kind::Ack, 8));
    check_folder(&folder, "after lost acknowledgements");
}

/// A program that notes what it gets.
fn to_program(log: &Path) -> Box<dyn Sink> {
    let script = format!(
        "echo \"$RECEIVE_SEQ $RECEIVE_AGAIN $RECEIVE_NAME $RECEIVE_BYTES $RECEIVE_FORM $(cat)\" >>{}",
        log.display()
    );
    Box::new(Program::new("sh".to_owned(), vec!["-c".to_owned(), script]))
}

#[test]
fn killed_before_any_step_a_program_is_told_what_it_may_have() {
    let sent = [block("a", "one"), block("b", "two"), block("a", "three")];
    let (mut steps, mut repeated) = (0, 0);
    loop {
        let folder = Folder::new();
        let log = folder.0.join("log");
        let mut sender = Sender::new(5, &sent);
        let fuse = Arc::new(AtomicU64::new(steps));
        if let Some(mut life) = Life::begin(&folder.0, to_program(&log), &fuse) {
            sender.connect(&mut life);
        }
        let survived = sender.is_done();
        if !survived {
            let mut next = Life::begin(&folder.0, to_program(&log), &long_fuse()).unwrap();
            assert!(sender.connect(&mut next));
        }
        let text = fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut expected = ["1 0 a 3 bytes one", "2 0 b 3 bytes two", "3 0 a 5 bytes three"].iter();
        let mut last = "";
        for line in &lines {
            let again = line.replacen(" 1 ", " 0 ", 1);
            // Given again: it is told so, and it is the block that was being handed on.
            if again != **line && again == last {
                repeated += 1;
                continue;
            }
            last = expected.next().expect("no block more");
            assert_eq!(again, last, "killed after {steps}: {text}");
        }
        assert!(expected.next().is_none(), "killed after {steps}: {text}");
        if survived {
            assert!(!text.contains(" 1 "), "nobody was killed: {text}");
            break;
        }
        steps += 1;
    }
    assert!(steps > 25 && repeated >= 3, "{steps} steps, {repeated} repeated");
}

/// A disk that is full for one step.
fn full_once(at: u64) -> (Disk, Arc<AtomicU64>) {
    let steps = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&steps);
    let disk = Disk::watched(Box::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        step if step == at => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }));
    (disk, steps)
}

#[test]
fn a_disk_that_is_full_refuses_a_block_or_lets_it_come_again() {
    let (mut refused, mut at) = (0, 0);
    loop {
        let folder = Folder::new();
        let (disk, steps) = full_once(at);
        let mut sender = Sender::new(5, &blocks());
        let mut keeper = match Keeper::open(&own(&folder), to_folder(&folder), disk) {
            Ok(keeper) => keeper,
            Err(error) => {
                assert!(matches!(error, Error::Disk(..)), "{error}");
                at += 1;
                continue;
            }
        };
        let receiver = keeper.receiver().unwrap();
        let mut life = Life { keeper, receiver };
        while !sender.connect(&mut life) {
            life.receiver = life.keeper.receiver().unwrap();
        }
        // What was accepted is there, and nothing else.
        let accepted = |seq: usize| sender.statuses[seq - 1].1.is_accepted();
        let texts = [(1, &b"one"[..]), (5, b"two"), (8, b"three")];
        let there: Vec<&[u8]> =
            texts.iter().filter(|(seq, _)| accepted(*seq)).map(|(_, bytes)| *bytes).collect();
        assert_eq!(versions(&folder.0, "a"), there, "full at step {at}: {:?}", sender.statuses);
        let parts = fs::read(folder.0.join("log/p")).ok();
        assert_eq!(parts.is_some(), accepted(4), "full at step {at}");
        assert!(parts.is_none_or(|bytes| bytes == b"first middle last"), "no hole, full at step {at}");
        assert_eq!(folder.0.join("current/index.html").exists(), accepted(7), "full at step {at}");
        let words: Vec<Status> = sender.statuses.iter().map(|(_, status)| *status).collect();
        let known = [Status::ACCEPTED, Status::NO_ROOM, Status::NO_BEGINNING];
        assert!(words.iter().all(|status| known.contains(status)), "{words:?}");
        refused += usize::from(words.contains(&Status::NO_ROOM));
        if steps.load(Ordering::Relaxed) <= at {
            break;
        }
        at += 1;
    }
    assert!(at > 75 && refused > 10, "{at} steps, {refused} refused");
}

#[test]
fn only_the_last_versions_are_kept() {
    let folder = Folder::new();
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 2));
    let mut life = Life::begin(&own(&folder), sink, &long_fuse()).unwrap();
    let texts: Vec<String> = (0..20).map(|nth| format!("text {nth}")).collect();
    let blocks: Vec<Block> = texts.iter().map(|text| block("a/b", text.as_str())).collect();
    let mut sender = Sender::new(1, &blocks);
    assert!(sender.connect(&mut life));
    assert_eq!(versions(&folder.0, "a/b"), [b"text 18", b"text 19"]);
    assert_eq!(fs::read_to_string(folder.0.join("a/b")).unwrap(), "text 19");
}

/// Blocks that come together, of one name and of two in turn, into a folder that keeps one version.
fn killed_with_one_version(names: &[&'static str], at_once: usize) -> u64 {
    let blocks: Vec<Block> = (1..=9).map(|nth| block(names[nth % names.len()], nth.to_string())).collect();
    let newest = |name: &str| blocks.iter().rev().find(|block| block.name == name).unwrap().bytes.clone();
    for steps in 0.. {
        let folder = Folder::new();
        let sink = || Box::new(sink::Folder::new(folder.0.clone(), 1));
        let mut sender = Sender::new(5, &blocks).at_once(at_once);
        if let Some(mut life) = Life::begin(&own(&folder), sink(), &Arc::new(AtomicU64::new(steps))) {
            sender.connect(&mut life);
        }
        let survived = sender.is_done();
        let mut next = Life::begin(&own(&folder), sink(), &long_fuse());
        assert!(survived || sender.connect(next.as_mut().unwrap()));
        for name in names {
            let what = format!("{name} of {names:?}, killed after {steps}, {at_once} at once");
            assert_eq!(fs::read(folder.0.join(name)).unwrap(), newest(name), "{what}");
            assert_eq!(versions(&folder.0, name).last(), Some(&newest(name)), "{what}");
        }
        if survived {
            return steps;
        }
    }
    0
}

#[test]
fn blocks_that_come_together_and_again_keep_their_order() {
    let one = [1, 3, 9].map(|at_once| killed_with_one_version(&["a"], at_once));
    let two = [1, 3, 9].map(|at_once| killed_with_one_version(&["a", "b/c"], at_once));
    assert!(one.is_sorted_by(|more, less| more > less), "together they take fewer steps: {one:?}");
    assert!(two[0] > 60, "{two:?}");
}

#[test]
fn more_names_together_than_are_known_have_one_version_each() {
    const NAMES: [&str; 40] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
        "u/a", "u/b", "u/c", "u/d", "u/e", "u/f", "u/g", "u/h", "u/i", "u/j", "u/k", "u/l", "u/m", "u/n",
        "u/o", "u/p", "u/q", "u/r", "u/s", "u/t",
    ];
    let folder = Folder::new();
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 1));
    let mut life = Life::begin(&own(&folder), sink, &long_fuse()).unwrap();
    let blocks: Vec<Block> =
        ["one", "two"].iter().flat_map(|text| NAMES.map(|name| block(name, *text))).collect();
    assert!(Sender::new(5, &blocks).at_once(blocks.len()).connect(&mut life));
    for name in NAMES {
        assert_eq!(versions(&folder.0, name), [b"two"], "{name}");
        assert_eq!(fs::read(folder.0.join(name)).unwrap(), b"two", "{name}");
    }
}

#[test]
fn names_are_led_in_the_order_of_their_blocks() {
    let blocks: Vec<Block> = ["a", "b", "a", "c", "b"].map(|name| block(name, "x")).into();
    let (folder, links) = (Folder::new(), Arc::new(Mutex::new(Vec::new())));
    let (root, seen) = (folder.0.clone(), Arc::clone(&links));
    let disk = Disk::watched(Box::new(move |_| {
        let target = |name| fs::read_link(root.join(name)).ok();
        let now = ["a", "b", "c"].map(|name| target(name).map(|path| number(&path)).unwrap_or(0));
        let mut seen = seen.lock().unwrap();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        Ok(())
    }));
    let mut keeper = Keeper::open(&own(&folder), to_folder(&folder), disk).unwrap();
    let receiver = keeper.receiver().unwrap();
    assert!(Sender::new(5, &blocks).at_once(5).connect(&mut Life { keeper, receiver }));
    let order = [[0, 0, 0], [1, 0, 0], [1, 2, 0], [3, 2, 0], [3, 2, 4], [3, 5, 4]];
    assert_eq!(*links.lock().unwrap(), order);
}

/// The number of the block that a name leads to.
fn number(target: &Path) -> u64 {
    target.to_str().unwrap().rsplit('-').next().unwrap().parse().unwrap()
}

#[test]
fn a_state_has_one_receiver_and_damage_is_said() {
    let folder = Folder::new();
    let first = Keeper::open(&own(&folder), to_folder(&folder), Disk::default()).unwrap();
    let second = Keeper::open(&own(&folder), to_folder(&folder), Disk::default()).unwrap_err();
    assert!(matches!(second, Error::Busy(_)) && second.exit_code() == 7, "{second}");
    drop(first);
    fs::write(own(&folder).join("state"), b"MPRECV1\0 and what is no state").unwrap();
    let damaged = Keeper::open(&own(&folder), to_folder(&folder), Disk::default()).unwrap_err();
    assert!(damaged.to_string().contains("damaged; remove it"), "{damaged}");
}
