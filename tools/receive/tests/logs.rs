//! Blocks that are appended: each once and in order in one file, whenever the receiver is ended, and whatever becomes of the
//! file meanwhile.
#![allow(missing_docs, reason = "tests stop where something is wrong")]

mod support;

use datafront::block::{Form, Status};
use receive::sink;
use receive::{Disk, Error, Keeper, Sink};
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use support::{Block, Folder, Life, Sender, block, long_fuse, versions};

fn to_folder(folder: &Folder) -> Box<dyn Sink> {
    Box::new(sink::Folder::new(folder.0.clone(), 100))
}

fn own(folder: &Folder) -> std::path::PathBuf {
    folder.0.join(".receive")
}

fn line(text: &str) -> Block {
    Block { form: Form::Append, ..block("web/access.log", text) }
}

fn lines() -> Vec<Block> {
    vec![
        line("one\n"),
        block("counters", "1"),
        line("two\n"),
        line(""),
        line("three\n"),
        block("counters", "2"),
    ]
}

fn log(folder: &Folder) -> String {
    fs::read_to_string(folder.0.join("web/access.log")).unwrap()
}

/// A life in which nothing fails.
fn life(folder: &Folder) -> Life {
    Life::begin(&own(folder), to_folder(folder), &long_fuse()).unwrap()
}

#[test]
fn killed_before_any_step_a_log_has_each_block_once() {
    for at_once in [1, 4] {
        killed_before_any_step(at_once);
    }
}

/// A receiver that is fed so many blocks together.
fn killed_before_any_step(at_once: usize) {
    for (steps, old) in (0..).zip(["", "from before\n"].iter().cycle()) {
        let folder = Folder::new();
        if !old.is_empty() {
            fs::create_dir(folder.0.join("web")).unwrap();
            fs::write(folder.0.join("web/access.log"), old).unwrap();
        }
        let mut sender = Sender::new(5, &lines()).at_once(at_once);
        let fuse = Arc::new(AtomicU64::new(steps));
        if let Some(mut life) = Life::begin(&own(&folder), to_folder(&folder), &fuse) {
            sender.connect(&mut life);
        }
        let survived = sender.is_done();
        assert!(survived || sender.connect(&mut life(&folder)), "killed after {steps}");
        assert_eq!(log(&folder), format!("{old}one\ntwo\nthree\n"), "killed after {steps}");
        assert_eq!(versions(&folder.0, "counters"), [b"1", b"2"], "killed after {steps}");
        let expected: Vec<_> = (1..=6).map(|seq| (seq, Status::ACCEPTED)).collect();
        assert_eq!(sender.statuses, expected, "killed after {steps}");
        if survived {
            assert!(steps > 50, "each step had its turn: {steps}");
            return;
        }
    }
}

#[test]
fn what_was_half_appended_is_cut_off() {
    let folder = Folder::new();
    let mut sender = Sender::new(5, &[line("one\n")]);
    assert!(sender.connect(&mut life(&folder)));
    let mut file = fs::File::options().append(true).open(folder.0.join("web/access.log")).unwrap();
    file.write_all(b"tw").unwrap();
    // Another run of the guest: the block that was half there is gone with the former one.
    let mut sender = Sender::new(6, &[line("three\n")]);
    assert!(sender.connect(&mut life(&folder)));
    assert_eq!(log(&folder), "one\nthree\n");
}

#[test]
fn a_log_that_is_rotated_begins_again() {
    let folder = Folder::new();
    let (current, rotated) = (folder.0.join("web/access.log"), folder.0.join("web/access.log.1"));
    let mut sender = Sender::new(5, &[line("one\n"), line("two\n")]);
    assert!(sender.connect(&mut life(&folder)));
    fs::rename(&current, &rotated).unwrap();
    // Whoever rotates it may leave an empty file, or none.
    fs::write(&current, "").unwrap();
    let mut first = life(&folder);
    assert!(Sender::new(6, &[line("three\n")]).connect(&mut first));
    assert_eq!(log(&folder), "three\n");
    fs::remove_file(&current).unwrap();
    assert!(Sender::new(7, &[line("four\n")]).connect(&mut first));
    drop(first);
    drop(life(&folder));
    assert_eq!(
        (log(&folder).as_str(), fs::read_to_string(rotated).unwrap().as_str()),
        ("four\n", "one\ntwo\n")
    );
}

#[test]
fn a_log_and_a_version_do_not_share_a_name() {
    let folder = Folder::new();
    let file = block("web/access.log", "file");
    let mut sender = Sender::new(
        5,
        &[line("one\n"), file.clone(), block("a", "x"), Block { form: Form::Append, ..block("a", "y") }],
    );
    assert!(sender.connect(&mut life(&folder)));
    let statuses: Vec<Status> = sender.statuses.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, [Status::ACCEPTED, Status::BAD_NAME, Status::ACCEPTED, Status::BAD_NAME]);
    assert_eq!(log(&folder), "one\n");
}

#[test]
fn a_receiver_that_waits_for_room_refuses_nothing() {
    let folder = Folder::new();
    for waits in [false, true] {
        let keeper = Keeper::open(&own(&folder), to_folder(&folder), Disk::small(3)).unwrap();
        let mut keeper = if waits { keeper.waiting_for_room() } else { keeper };
        let mut receiver = keeper.receiver().unwrap();
        let hello = datafront::block::wire::Frame {
            kind: datafront::block::wire::Kind::Hello,
            seq: 1,
            length: u64::from(waits),
            aux: 0,
        };
        let mut answers = Vec::new();
        let bytes =
            [hello.to_bytes("").as_slice(), &support::wire(1, &line("more than three bytes\n"))].concat();
        receiver.feed(&bytes, &mut keeper, &mut answers).unwrap();
        let failure = keeper.take_failure();
        assert_eq!(matches!(failure, Some(Error::Disk(..))), waits, "{failure:?}");
    }
}
