//! Frames by `docs/datafront.md`, made apart from what is tested; and an application that remembers.

use datafront::block::{Application, BlockHead, Status};

/// CRC-32C bit by bit.
pub fn crc(parts: &[&[u8]]) -> u32 {
    let mut value = !0_u32;
    for byte in parts.iter().flat_map(|part| part.iter()) {
        value ^= u32::from(*byte);
        for _ in 0..8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
        }
    }
    !value
}

pub const HELLO: u8 = 1;
pub const WELCOME: u8 = 2;
pub const BLOCK: u8 = 3;
pub const ACK: u8 = 4;
pub const ERROR: u8 = 5;
pub const STOP: u8 = 6;

pub fn head(kind: u8, seq: u64, length: u64, aux: u32, name: &[u8]) -> Vec<u8> {
    let mut bytes = b"MPB1\x01".to_vec();
    bytes.push(kind);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(aux.to_le_bytes());
    bytes.extend(crc(&[&bytes, name]).to_le_bytes());
    bytes.extend(name);
    bytes
}

pub fn hello(stream: u64, first: u64) -> Vec<u8> {
    head(HELLO, first, stream, 0, b"")
}

pub fn block(seq: u64, name: &str, content: &[u8]) -> Vec<u8> {
    ended(seq, name, content, crc(&[content]), 0)
}

pub fn ended(seq: u64, name: &str, content: &[u8], sum: u32, fate: u32) -> Vec<u8> {
    let mut bytes = head(BLOCK, seq, content.len() as u64, 0, name.as_bytes());
    bytes.extend(content);
    bytes.extend(sum.to_le_bytes());
    bytes.extend(fate.to_le_bytes());
    bytes
}

/// An answer: kind, seq, length, aux.
pub type Answer = (u8, u64, u64, u32);

pub fn answers(bytes: &[u8]) -> Vec<Answer> {
    assert_eq!(bytes.len() % 32, 0, "whole frames");
    bytes.chunks(32).map(answer).collect()
}

pub fn answer(frame: &[u8]) -> Answer {
    assert_eq!(&frame[..5], b"MPB1\x01");
    assert_eq!(crc(&[&frame[..28]]), u32::from_le_bytes(frame[28..32].try_into().unwrap()));
    let long = |at: usize| u64::from_le_bytes(frame[at..at + 8].try_into().unwrap());
    (frame[5], long(8), long(16), u32::from_le_bytes(frame[24..28].try_into().unwrap()))
}

/// Remembers what it got; checks the order of calls.
#[derive(Default)]
pub struct Recorder {
    pub blocks: Vec<(u64, String, Vec<u8>)>,
    pub current: Option<(u64, String, Vec<u8>)>,
    pub abandoned: usize,
    /// Refuses names that begin so.
    pub refuse: Option<&'static str>,
    /// Refuses after this number of bytes of a block.
    pub most: Option<usize>,
}

impl Application for Recorder {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        assert!(self.current.is_none(), "begin twice");
        if self.refuse.is_some_and(|refuse| head.name.starts_with(refuse)) {
            return Err(Status::BAD_NAME);
        }
        self.current = Some((head.seq, head.name.to_owned(), Vec::new()));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let current = self.current.as_mut().expect("data without begin");
        current.2.extend(bytes);
        if self.most.is_some_and(|most| current.2.len() > most) {
            self.current = None;
            return Err(Status::TOO_LARGE);
        }
        Ok(())
    }

    fn finish(&mut self) -> Status {
        self.blocks.push(self.current.take().expect("finish without begin"));
        Status::ACCEPTED
    }

    fn abandon(&mut self) {
        assert!(self.current.take().is_some(), "abandon without begin");
        self.abandoned += 1;
    }
}
