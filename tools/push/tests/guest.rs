//! The library against a guest that is played by datafront's own receiver behind sockets, and by worse ones.
#![allow(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    missing_debug_implementations,
    missing_docs,
    reason = "tests stop where something is wrong, and their numbers are small"
)]

use datafront::block::wire::{Frame, Kind};
use datafront::block::{Application, BlockHead, Ledger, Receiver, Status};
use push::dial::Way;
use push::pieces::pieces;
use push::tree::Rules;
use push::{Dial, Done, Error, Options, Pusher, Report, Source};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vchan::streams::Streams;

type Blocks = Vec<(String, Vec<u8>)>;

#[derive(Default)]
struct Store {
    blocks: Blocks,
    current: Option<(String, Vec<u8>)>,
}

impl Application for Store {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        if head.name == "refused" {
            return Err(Status::BAD_NAME);
        }
        self.current = Some((head.name.to_owned(), Vec::new()));
        Ok(())
    }
    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.current.as_mut().unwrap().1.extend(bytes);
        Ok(())
    }
    fn finish(&mut self) -> Status {
        self.blocks.push(self.current.take().unwrap());
        Status::ACCEPTED
    }
    fn abandon(&mut self) {
        self.current = None;
    }
}

/// What survives the connections.
struct Guest {
    receiver: Receiver,
    store: Store,
}

/// Dials a thread that plays the guest; each connection takes as many bytes as the list says, and is cut then.
struct Played {
    guest: Arc<Mutex<Guest>>,
    cuts: Vec<usize>,
}

fn way(ours: UnixStream) -> io::Result<Box<dyn Way>> {
    Ok(Box::new(Streams::new(ours.try_clone()?.into(), ours.into())?))
}

impl Dial for Played {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let mut left = if self.cuts.is_empty() { usize::MAX } else { self.cuts.remove(0) };
        let guest = Arc::clone(&self.guest);
        std::thread::spawn(move || {
            let mut guest = guest.lock().unwrap();
            let Guest { receiver, store } = &mut *guest;
            receiver.reset(store);
            let mut buffer = [0; 5000];
            while left > 0 {
                let most = buffer.len().min(left);
                let Ok(len @ 1..) = theirs.read(&mut buffer[..most]) else { break };
                left -= len;
                let mut answers = Vec::new();
                let fed = receiver.feed(&buffer[..len], store, &mut answers);
                if theirs.write_all(&answers).is_err() || fed.is_err() {
                    break;
                }
            }
            receiver.reset(store);
        });
        way(ours)
    }
}

fn options() -> Options {
    Options { timeout: Duration::from_secs(10), ..Options::default() }
}

fn played(cuts: &[usize]) -> (Arc<Mutex<Guest>>, Played) {
    let guest = Arc::new(Mutex::new(Guest { receiver: Receiver::new(7), store: Store::default() }));
    (Arc::clone(&guest), Played { guest, cuts: cuts.to_vec() })
}

fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31 + seed * 17 + i / 251) % 256) as u8).collect()
}

fn push_all(played: Played, options: Options, contents: &[Vec<u8>]) -> Result<Vec<Done>, Error> {
    let mut pusher = Pusher::new(played, options);
    for (i, bytes) in contents.iter().enumerate() {
        pusher.enqueue(Source::bytes(format!("block-{i}"), bytes.clone())?);
    }
    pusher.run(&mut |_: Report<'_>| {})
}

#[test]
fn blocks_of_many_sizes_arrive_once_and_in_order_over_many_cuts() {
    let contents: Vec<Vec<u8>> = (0..60).map(|i| content(i, (i * i * 97) % 200_000)).collect();
    for cuts in [vec![], vec![0, 1, 31, 33, 1000, 100_000, 500_000, 32, 70_000]] {
        let (guest, played) = played(&cuts);
        let done = push_all(played, options(), &contents).unwrap();
        let seqs: Vec<u64> = done.iter().map(|done| done.seq).collect();
        assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
        let guest = guest.lock().unwrap();
        assert_eq!(
            guest.store.blocks.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(),
            contents.iter().collect::<Vec<_>>()
        );
        assert_eq!(guest.store.blocks[59].0, "block-59");
    }
}

#[test]
fn a_killed_sender_goes_on_with_the_next_block() {
    let contents: Vec<Vec<u8>> = (0..40).map(|i| content(i, 30_000)).collect();
    let (guest, first) = played(&[300_000]);
    // Killed: it stops at the first interruption, wherever it is.
    let mut killed = Pusher::new(first, Options { stream: 5, ..options() });
    contents.iter().for_each(|bytes| killed.enqueue(Source::bytes("x", bytes.clone()).unwrap()));
    let dead = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        killed.run(&mut |report| assert!(!matches!(report, Report::Interrupted(_)), "killed"))
    }));
    assert!(dead.is_err());
    drop(killed);
    let second = Played { guest: Arc::clone(&guest), cuts: vec![] };
    push_all(second, Options { stream: 5, resume: true, ..options() }, &contents).unwrap();
    let guest = guest.lock().unwrap();
    assert_eq!(
        guest.store.blocks.iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(),
        contents.iter().collect::<Vec<_>>()
    );
}

#[test]
fn a_refusal_names_the_block_and_does_not_stop_the_others() {
    let (guest, played) = played(&[]);
    let mut pusher = Pusher::new(played, options());
    for name in ["a", "refused", "b"] {
        pusher.enqueue(Source::bytes(name, vec![1; 10]).unwrap());
    }
    let error = pusher.run(&mut |_| {}).unwrap_err();
    assert_eq!((error.exit_code(), error.name()), (5, "refused"));
    assert_eq!(error.to_string(), "refused: refused: a name that the application cannot use");
    drop(pusher);
    assert_eq!(guest.lock().unwrap().store.blocks.len(), 2);
}

/// A guest that never says a word (H66), or only the wrong one.
struct Mute(Option<Vec<u8>>);
impl Dial for Mute {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let word = self.0.clone();
        std::thread::spawn(move || {
            let _ = theirs.write_all(&word.unwrap_or_default());
            while let Ok(1..) = theirs.read(&mut [0; 4096]) {}
        });
        way(ours)
    }
}

#[test]
fn h66_a_guest_that_never_answers_is_given_up() {
    let welcome = Frame { kind: Kind::Welcome, seq: 0, length: 7, aux: 16 }.to_bytes("").to_vec();
    for (word, awaited) in [(None, "no answer from the guest"), (Some(welcome), "no acknowledgement")] {
        let mut pusher = Pusher::new(Mute(word), Options { timeout: Duration::from_secs(2), ..options() });
        pusher.enqueue(Source::bytes("x", vec![0; 1000]).unwrap());
        let begun = Instant::now();
        let error = pusher.run(&mut |_| {}).unwrap_err();
        assert_eq!(error.exit_code(), 6);
        assert!(error.to_string().contains(awaited), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// Its first connection is one that the last sender left in the middle of a block: HELLO is taken for bytes of it.
struct Inherited {
    played: Played,
    is_first: bool,
}

impl Dial for Inherited {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let is_first = std::mem::replace(&mut self.is_first, false);
        if is_first { Mute(None).dial() } else { self.played.dial() }
    }
}

#[test]
fn a_connection_of_a_dead_predecessor_is_left_for_a_new_one() {
    let (guest, played) = played(&[]);
    let mut pusher = Pusher::new(Inherited { played, is_first: true }, options());
    pusher.enqueue(Source::bytes("x", vec![3; 1000]).unwrap());
    pusher.run(&mut |_| {}).unwrap();
    drop(pusher);
    assert_eq!(guest.lock().unwrap().store.blocks.len(), 1);
}

/// Its first connection is one whose last sender did not wait for the answer to its HELLO: that comes now.
struct Late {
    played: Played,
    is_first: bool,
}

impl Dial for Late {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        if !std::mem::replace(&mut self.is_first, false) {
            return self.played.dial();
        }
        let (ours, mut theirs) = UnixStream::pair()?;
        let (mut receiver, mut store) = (Receiver::new(7), Store::default());
        let mut answers = Vec::new();
        receiver.feed(&Ledger::<()>::new(99).bound_hello(), &mut store, &mut answers).unwrap();
        theirs.write_all(&answers)?;
        std::thread::spawn(move || {
            let mut buffer = [0; 5000];
            while let Ok(len @ 1..) = theirs.read(&mut buffer) {
                let mut answers = Vec::new();
                let fed = receiver.feed(&buffer[..len], &mut store, &mut answers);
                if theirs.write_all(&answers).is_err() || fed.is_err() {
                    break;
                }
            }
        });
        way(ours)
    }
}

#[test]
fn an_answer_to_another_sender_is_not_taken_for_one_s_own() {
    let (guest, played) = played(&[]);
    let mut pusher = Pusher::new(Late { played, is_first: true }, options());
    pusher.enqueue(Source::bytes("x", vec![3; 1000]).unwrap());
    let mut interrupted = 0;
    pusher.run(&mut |report| interrupted += usize::from(matches!(report, Report::Interrupted(_)))).unwrap();
    drop(pusher);
    assert_eq!((interrupted, guest.lock().unwrap().store.blocks.len()), (1, 1));
}

#[test]
fn a_guest_that_says_nonsense_is_named() {
    let mut ack = Frame { kind: Kind::Welcome, seq: 0, length: 7, aux: 16 }.to_bytes("").to_vec();
    ack.extend(Frame { kind: Kind::Ack, seq: 9, length: 0, aux: 0 }.to_bytes(""));
    let mut pusher = Pusher::new(Mute(Some(ack)), options());
    pusher.enqueue(Source::bytes("x", vec![0; 1000]).unwrap());
    assert_eq!(pusher.run(&mut |_| {}).unwrap_err().exit_code(), 9);
}

#[test]
fn a_file_that_shrinks_while_it_is_pushed_is_not_delivered() {
    let folder = std::env::temp_dir().join(format!("push-test-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let file = folder.join("a.txt");
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let source = Source::file("a.txt", &file).unwrap();
    std::fs::write(&file, b"short").unwrap();
    let (guest, played) = played(&[]);
    let mut pusher = Pusher::new(played, options());
    pusher.enqueue(source);
    let error = pusher.run(&mut |_| {}).unwrap_err();
    assert_eq!((error.exit_code(), error.name()), (7, "source"));
    assert_eq!(error.to_string(), "a.txt: it became shorter while it was read");
    // A folder becomes one archive, as long as it says, with what tar's own readers know.
    std::fs::write(folder.join("sub/b.bin"), vec![9; 700]).unwrap();
    let tree = Source::folder("", &folder, Rules::default()).unwrap();
    let mut bytes = Vec::new();
    tree.open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes.len() as u64, tree.len), (tree.len, 512 + 512 + 512 + 1024 + 1024));
    assert_eq!(
        (&bytes[..5], &bytes[257..263], &bytes[1024..1033]),
        (b"a.txt".as_slice(), b"ustar\0".as_slice(), b"sub/b.bin".as_slice())
    );
    drop(pusher);
    assert_eq!(guest.lock().unwrap().store.blocks.len(), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The guest's application is restarted at a connection: it has forgotten everything, and has another instance.
struct Restarted {
    played: Played,
    restarts_at: usize,
    dials: usize,
}

impl Dial for Restarted {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        if self.dials == self.restarts_at {
            *self.played.guest.lock().unwrap() =
                Guest { receiver: Receiver::new(8), store: Store::default() };
        }
        self.dials += 1;
        self.played.dial()
    }
}

#[test]
fn a_guest_that_restarts_in_the_middle_is_no_success() {
    let contents: Vec<Vec<u8>> = (0..40).map(|i| content(i, 30_000)).collect();
    let push = |cuts: &[usize], restarts_at| {
        let (guest, played) = played(cuts);
        let mut pusher = Pusher::new(Restarted { played, restarts_at, dials: 0 }, options());
        contents.iter().for_each(|bytes| pusher.enqueue(Source::bytes("x", bytes.clone()).unwrap()));
        (pusher.run(&mut |_| {}), guest)
    };
    let (outcome, _guest) = push(&[600_000], 1);
    let error = outcome.unwrap_err();
    assert_eq!((error.exit_code(), error.name()), (10, "restarted"), "{error}");
    // Nothing was acknowledged before: the new run gets all of it.
    let (outcome, guest) = push(&[40], 1);
    assert_eq!(outcome.unwrap().len(), 40);
    assert_eq!(guest.lock().unwrap().store.blocks.len(), 40);
}

#[test]
fn the_instance_is_asked_for_without_a_block() {
    let (_guest, played) = played(&[]);
    let mut pusher = Pusher::new(Restarted { played, restarts_at: 1, dials: 0 }, options());
    assert_eq!(pusher.ask_instance(&mut |_| {}).unwrap(), 7);
    assert_eq!(pusher.ask_instance(&mut |_| {}).unwrap(), 8);
    pusher.enqueue(Source::bytes("x", vec![1; 10]).unwrap());
    assert_eq!(pusher.run(&mut |_| {}).unwrap().len(), 1);
    assert_eq!(pusher.instance(), Some(8));
}

#[test]
fn a_source_that_says_nothing_is_given_up_and_named() {
    let (guest, played) = played(&[]);
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.write_all(b"some, and then nothing").unwrap();
    let mut pusher = Pusher::new(played, Options { timeout: Duration::from_secs(2), ..options() });
    pusher.stream(pieces("log", move || Ok(reader)));
    let error = pusher.run(&mut |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    assert_eq!(error.to_string(), "log: nothing to read for 2 s");
    drop((pusher, writer));
    assert_eq!(guest.lock().unwrap().store.blocks.len(), 0);
}

#[test]
fn a_large_block_that_is_refused_is_not_sent_to_its_end() {
    let (guest, played) = played(&[]);
    let file = std::env::temp_dir().join(format!("push-large-{}", std::process::id()));
    std::fs::File::create(&file).unwrap().set_len(300 << 20).unwrap();
    let mut pusher = Pusher::new(played, options());
    pusher.enqueue(Source::bytes("before", vec![1; 1000]).unwrap());
    pusher.enqueue(Source::file("refused", &file).unwrap());
    pusher.enqueue(Source::bytes("after", vec![2; 1000]).unwrap());
    let mut sent = 0;
    let outcome = pusher.run(&mut |report| {
        if let Report::Sent(bytes, _) = report {
            sent = bytes;
        }
    });
    std::fs::remove_file(&file).unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "refused: refused: a name that the application cannot use");
    assert!(sent < 16 << 20, "{sent} bytes were sent of 300 MiB that were refused at their head");
    drop(pusher);
    let names: Vec<String> =
        guest.lock().unwrap().store.blocks.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["before", "after"]);
}
