//! What gets blocks, and what it says of them; names and archives that must not leave the folder.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests stop where something is wrong, and their numbers are small"
)]

mod support;

use datafront::block::{Form, Status};
use receive::sink::{self, Program, Socket};
use receive::{Disk, Keeper, Sink};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use support::{Block, Folder, Life, Sender, block, long_fuse};

/// What is acknowledged for these blocks.
fn statuses(folder: &Folder, sink: Box<dyn Sink>, blocks: &[Block]) -> Vec<u32> {
    let mut life = Life::begin(&folder.0.join(".receive"), sink, &long_fuse()).unwrap();
    let mut sender = Sender::new(1, blocks);
    assert!(sender.connect(&mut life), "acknowledged");
    sender.statuses.iter().map(|(_, status)| status.0).collect()
}

fn shell(script: &str) -> Box<dyn Sink> {
    Box::new(Program::new("sh".to_owned(), vec!["-c".to_owned(), script.to_owned()]))
}

#[test]
fn the_exit_status_of_a_program_is_acknowledged() {
    let folder = Folder::new();
    let script = "cat >/dev/null; [ $RECEIVE_NAME = killed ] && kill -9 $$; exit $RECEIVE_NAME";
    let blocks = ["0", "3", "200", "killed", "0"].map(|name| block(name, "x"));
    assert_eq!(statuses(&folder, shell(script), &blocks), [0, 3, 200, 137, 0]);
}

#[test]
fn a_program_that_does_not_start_keeps_the_block_unacknowledged() {
    let folder = Folder::new();
    let missing = Box::new(Program::new("/no/such/program".to_owned(), vec![]));
    let mut life = Life::begin(&folder.0, missing, &long_fuse()).unwrap();
    let mut sender = Sender::new(1, &[block("a", "x")]);
    assert!(!sender.connect(&mut life));
    assert!(sender.statuses.is_empty());
    drop(life);
    let mut next = Life::begin(&folder.0, shell("[ $RECEIVE_AGAIN = 1 ]"), &long_fuse()).unwrap();
    assert!(sender.connect(&mut next));
    assert_eq!(sender.statuses, [(1, Status::ACCEPTED)]);
}

#[test]
fn a_socket_gets_head_and_bytes_and_its_answer_is_acknowledged() {
    let folder = Folder::new();
    let path = folder.0.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    // The second time without an answer: the block comes again, and says so.
    let program = std::thread::spawn(move || {
        ["7\n", "", "0\n"].map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            text
        })
    });
    let mut life = Life::begin(&folder.0, Box::new(Socket::new(path)), &long_fuse()).unwrap();
    let mut sender = Sender::new(9, &[block("a", "one"), block("b", "two")]);
    assert!(!sender.connect(&mut life), "the second one has no answer");
    life.receiver = life.keeper.receiver().unwrap();
    assert!(sender.connect(&mut life));
    assert_eq!(sender.statuses, [(1, Status(7)), (2, Status::ACCEPTED)]);
    let texts = program.join().unwrap();
    let head = |again: bool| {
        format!(
            "{{\"again\":{again},\"bytes\":3,\"form\":\"bytes\",\"name\":\"b\",\"seq\":2,\"stream\":9}}\ntwo"
        )
    };
    assert!(texts[0].ends_with("\none"), "{texts:?}");
    assert_eq!(texts[1..], [head(false), head(true)]);
}

#[test]
fn names_that_leave_the_folder_or_are_its_own_are_refused() {
    let folder = Folder::new();
    fs::write(folder.0.join("mine"), "a file of somebody else").unwrap();
    let names = ["ok", "../out", ".receive/state", "/etc/passwd", "a/../../b", "ok/below", "mine", "mine/x"];
    let blocks = names.map(|name| block(name, "x"));
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 2));
    let bad = Status::BAD_NAME.0;
    assert_eq!(statuses(&folder, sink, &blocks), [0, bad, bad, bad, bad, bad, bad, bad]);
    assert_eq!(fs::read_to_string(folder.0.join("mine")).unwrap(), "a file of somebody else");
    assert!(!folder.0.parent().unwrap().join("out").exists());
}

#[test]
fn secrets_are_refused_and_never_on_the_disk() {
    let folder = Folder::new();
    let blocks = [Block { form: Form::Secret, ..block("tls", "a private key") }];
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 2));
    assert_eq!(statuses(&folder, sink, &blocks), [Status::NO_SECRETS.0]);
    assert!(!folder.0.join("tls").exists());
    assert_eq!(fs::read_dir(folder.0.join(".receive/incoming")).unwrap().count(), 0);
}

/// An archive with one entry, whatever its path.
fn archive(path: &str, kind: tar::EntryType, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    field[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o4777);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, bytes).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn archives_have_files_and_folders_and_nothing_else() {
    let folder = Folder::new();
    let regular = tar::EntryType::Regular;
    let good = archive("dir/file", regular, b"hello");
    let mut damaged = good.clone();
    damaged[0] ^= 1;
    let cases = [
        good.clone(),
        archive("../../out", regular, b"x"),
        archive("/etc/x", regular, b"x"),
        archive("link", tar::EntryType::Symlink, b""),
        archive("device", tar::EntryType::Char, b""),
        damaged,
        good[..514].to_vec(),
        [archive("dir", regular, b"x")[..1024].to_vec(), good].concat(),
    ];
    let blocks = cases.map(|bytes| Block { form: Form::Tree, ..block("site", bytes) });
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 9));
    let (bad, unsupported) = (Status::BAD_CONTENT.0, Status::UNSUPPORTED.0);
    assert_eq!(statuses(&folder, sink, &blocks), [0, bad, bad, unsupported, unsupported, bad, bad, bad]);
    assert_eq!(fs::read(folder.0.join("site/dir/file")).unwrap(), b"hello");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folder.0.join("site/dir/file")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o7000, 0, "no bit of the archive's mode");
    assert_eq!(fs::read_dir(folder.0.join(".receive/incoming")).unwrap().count(), 0);
}

#[test]
fn a_block_larger_than_the_disk_is_refused_before_its_bytes() {
    use datafront::block::Part;
    use datafront::block::wire::{Frame, Kind};
    let folder = Folder::new();
    let sink = Box::new(sink::Folder::new(folder.0.clone(), 2));
    let mut keeper = Keeper::open(&folder.0.join(".receive"), sink, Disk::small(1 << 20)).unwrap();
    let mut life = {
        let receiver = keeper.receiver().unwrap();
        Life { keeper, receiver }
    };
    let hello = Frame { kind: Kind::Hello, seq: 1, length: 3, aux: 1 }.to_bytes("");
    life.feed(&hello).unwrap();
    let head = Frame { kind: Kind::Block, seq: 1, length: 1 << 30, aux: Form::Bytes.aux(Part::Whole) };
    let answers = life.feed(&[&head.to_bytes("a")[..], b"a"].concat()).unwrap();
    let stop = support::frames(&answers)[0];
    assert_eq!((stop.kind, stop.seq, stop.aux), (Kind::Stop, 1, Status::NO_ROOM.0));
}
