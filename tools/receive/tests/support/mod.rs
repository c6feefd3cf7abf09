//! A sender, a folder, and one life of a receiver after the other.
//!
//! ```text
//!   Sender: Ledger, blocks ── bytes ──► Life: Keeper on a watched disk, Receiver      ended at any step
//!           ◄── answers, lost or not ──┘ next Life: the same folder
//! ```
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use datafront::block::wire::{Fate, Frame, HEADER_BYTES, Kind, Sum};
use datafront::block::{Event, Form, Ledger, Part, Receiver, Status};
use receive::{Disk, Keeper, Sink};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// A folder that goes away with its owner.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let nth = FOLDERS.fetch_add(1, Ordering::Relaxed);
        // In memory where that can be: a test waits for the medium thousands of times.
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = above.join(format!("receive-{}-{nth}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A block to be sent.
#[derive(Clone, Debug)]
pub struct Block {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub form: Form,
    pub part: Part,
}

pub fn block(name: &'static str, bytes: impl Into<Vec<u8>>) -> Block {
    Block { name, bytes: bytes.into(), form: Form::Bytes, part: Part::Whole }
}

/// A frame and its block, as they are on the wire.
pub fn wire(seq: u64, block: &Block) -> Vec<u8> {
    let length = block.bytes.len() as u64;
    let frame = Frame { kind: Kind::Block, seq, length, aux: block.form.aux(block.part) };
    let mut sum = Sum::default();
    sum.add(&block.bytes);
    let trailer = sum.trailer(Fate::Whole);
    [frame.to_bytes(block.name).as_slice(), block.name.as_bytes(), &block.bytes, &trailer].concat()
}

/// Steps of a disk that are left before the power goes.
pub type Fuse = Arc<AtomicU64>;

/// A disk on which every step fails once the fuse has burnt down.
pub fn disk(fuse: &Fuse) -> Disk {
    let fuse = Arc::clone(fuse);
    Disk::watched(Box::new(move |step| {
        let left = fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| std::io::Error::other(format!("killed before: {step}")))
    }))
}

pub fn long_fuse() -> Fuse {
    Arc::new(AtomicU64::new(u64::MAX))
}

/// One run of a receiver.
#[derive(Debug)]
pub struct Life {
    pub keeper: Keeper,
    pub receiver: Receiver,
}

impl Life {
    /// `None`: it was killed before it was ready.
    pub fn begin(folder: &Path, sink: Box<dyn Sink>, fuse: &Fuse) -> Option<Self> {
        let mut keeper = Keeper::open(folder, sink, disk(fuse)).ok()?;
        let receiver = keeper.receiver().ok()?;
        Some(Self { keeper, receiver })
    }

    /// Feeds bytes; the answers, or `None` if it was killed.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut answers = Vec::new();
        let fed = self.receiver.feed(bytes, &mut self.keeper, &mut answers);
        self.keeper.record();
        if self.keeper.take_failure().is_some() {
            return None;
        }
        fed.unwrap();
        Some(answers)
    }
}

/// The frames in these bytes.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (heads, rest) = bytes.as_chunks::<HEADER_BYTES>();
    assert!(rest.is_empty());
    heads.iter().map(|head| Frame::parse(head, b"").unwrap()).collect()
}

/// What a sender knows, over all lives.
#[derive(Debug)]
pub struct Sender {
    ledger: Ledger<Block>,
    instance: Option<u64>,
    /// Blocks that the receiver is fed together.
    at_once: usize,
    /// Of each block, in order.
    pub statuses: Vec<(u64, Status)>,
}

impl Sender {
    pub fn new(stream: u64, blocks: &[Block]) -> Self {
        let mut ledger = Ledger::new(stream);
        blocks.iter().for_each(|block| ledger.enqueue(block.clone()));
        Self { ledger, instance: None, at_once: 1, statuses: Vec::new() }
    }

    /// The same with so many blocks fed together.
    pub fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    pub fn is_done(&self) -> bool {
        self.ledger.is_empty()
    }

    /// Connects, and sends until all is acknowledged or the receiver is killed: whether all is.
    pub fn connect(&mut self, life: &mut Life) -> bool {
        life.receiver.reset(&mut life.keeper);
        let hello = self.ledger.hello();
        let Some(answers) = life.feed(&hello) else { return false };
        self.hear(&answers);
        loop {
            let mut bytes = Vec::new();
            for _ in 0..self.at_once {
                let Some((seq, block)) = self.ledger.next_to_send() else { break };
                bytes.extend(wire(seq, block));
                self.ledger.sent();
            }
            if bytes.is_empty() {
                break;
            }
            let Some(answers) = life.feed(&bytes) else { return false };
            self.hear(&answers);
        }
        self.is_done()
    }

    pub fn hear(&mut self, answers: &[u8]) {
        for frame in frames(answers) {
            match self.ledger.receive(&frame).unwrap() {
                Event::Welcome { instance, .. } => {
                    // Another one would say that acknowledged blocks are forgotten.
                    assert_eq!(*self.instance.get_or_insert(instance), instance);
                }
                Event::Completed { seq, status, .. } => self.statuses.push((seq, status)),
                Event::Stop { .. } => {}
            }
        }
    }
}

/// The versions of a name, the oldest first, with their bytes.
pub fn versions(root: &Path, name: &str) -> Vec<Vec<u8>> {
    let folder = root.join(".receive/versions").join(name);
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect()
}
