//! Frames of blocks, from a sender and from a receiver with arbitrary bytes: no panic, the application is called in the
//! promised order, and each stream's blocks come once and in order.
//!
//! ```text
//!   0 n bytes: as they are      1: HELLO stream seq      2: a block: seq, form, name, bytes, right or wrong check
//!   3: any frame, rightly checked      4: the connection ends      5: the frames so far, also to a sender's ledger
//! ```

#![no_main]

use datafront::block::wire::{Fate, Frame, HEADER_BYTES, Kind, Sum};
use datafront::block::{Application, BlockHead, Ledger, Receiver, Status};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

/// Operations that one input may have.
const MOST: usize = 200;

/// Checks the order of calls and the order of blocks.
#[derive(Default)]
struct Checker {
    current: Option<(u64, u64, u64)>,
    last: BTreeMap<u64, u64>,
    welcomes: usize,
}

/// Streams that a receiver remembers. One for which sixteen others were entered since may be forgotten, and its
/// sender is then taken at its word.
const REMEMBERED: usize = 16;

impl Checker {
    /// Each complete stream was answered. Streams that may be forgotten are not expected any more.
    fn streams_entered(&mut self, answers: &[u8]) {
        for head in answers.as_chunks::<HEADER_BYTES>().0 {
            // By its kind: the check of one that is bound covers its stream, which is not known here.
            let welcome = Frame::head_len(head).is_ok() && head[5] == 2;
            self.welcomes += usize::from(welcome);
            if welcome && self.welcomes % REMEMBERED == 0 {
                self.last.clear();
            }
        }
    }
}

impl Application for Checker {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        assert!(self.current.is_none(), "begin within a block");
        if head.name.starts_with('r') {
            return Err(Status::BAD_NAME);
        }
        self.current = Some((head.stream, head.seq, head.len));
        Ok(())
    }
    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let (_, _, left) = self.current.as_mut().expect("data without a block");
        *left = left.checked_sub(bytes.len() as u64).expect("no more bytes than the head said");
        Ok(())
    }
    fn finish(&mut self) -> Status {
        let (stream, seq, left) = self.current.take().expect("an end without a block");
        assert_eq!(left, 0, "a block that is not whole");
        if let Some(last) = self.last.insert(stream, seq) {
            assert!(seq > last, "block {seq} after {last}");
        }
        Status::ACCEPTED
    }
    fn abandon(&mut self) {
        self.current.take().expect("given up without a block");
    }
}

fn kind(number: u8) -> Kind {
    [Kind::Hello, Kind::Welcome, Kind::Block, Kind::Ack, Kind::Error][usize::from(number % 5)]
}

fn block(input: &mut Input<'_>) -> Vec<u8> {
    let (seq, aux, flags) = (u64::from(input.byte()), u32::from(input.byte()), input.byte());
    let name_len = usize::from(input.byte() % 4);
    let name = String::from_utf8_lossy(input.bytes(name_len)).into_owned();
    let len = usize::from(input.byte());
    let content = input.bytes(len);
    let length = content.len() as u64 + u64::from(flags & 1);
    let mut bytes = Frame { kind: Kind::Block, seq, length, aux }.to_bytes(&name).to_vec();
    bytes.extend(name.as_bytes());
    bytes.extend(content);
    let mut sum = Sum::default();
    sum.add(content);
    let mut trailer = sum.trailer(if flags & 2 == 0 { Fate::Whole } else { Fate::Aborted });
    trailer[0] ^= flags >> 7;
    trailer[7] ^= flags & 4;
    bytes.extend(trailer);
    bytes
}

fn any_frame(input: &mut Input<'_>) -> Vec<u8> {
    let kind = kind(input.byte());
    let (seq, length, aux) = (u64::from(input.word()), u64::from(input.word()), input.word());
    let seq = if seq & 1 == 0 { seq >> 1 } else { u64::MAX - (seq >> 1) };
    Frame { kind, seq, length, aux }.to_bytes("").to_vec()
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (mut receiver, mut checker, mut answers) = (Receiver::new(1), Checker::default(), Vec::new());
    let mut ledger: Ledger<u8> = Ledger::new(3);
    ledger.hello();
    (0..20).for_each(|block| ledger.enqueue(block));
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let bytes = match input.byte() % 6 {
            0 => {
                let len = usize::from(input.byte());
                input.bytes(len).to_vec()
            }
            1 => {
                let (stream, seq) = (u64::from(input.byte() % 3), u64::from(input.byte()));
                Frame { kind: Kind::Hello, seq, length: stream, aux: 0 }.to_bytes("").to_vec()
            }
            2 => block(&mut input),
            3 => any_frame(&mut input),
            4 => {
                receiver.reset(&mut checker);
                assert!(checker.current.is_none(), "given up at the end");
                ledger.hello();
                continue;
            }
            _ => {
                if ledger.next_to_send().is_some() {
                    ledger.sent();
                }
                continue;
            }
        };
        let cut = usize::from(input.byte()) % (bytes.len() + 1);
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let _ = receiver.feed(piece, &mut checker, &mut answers);
        }
        if let Some(Ok(frame)) = bytes.first_chunk::<HEADER_BYTES>().map(|head| Frame::parse(head, b"")) {
            let before = ledger.len();
            let _ = ledger.receive(&frame);
            assert!(ledger.len() == before || ledger.len() + 1 == before, "one block leaves at a time");
        }
        assert!(answers.len() <= 64 * 1024, "answers are bounded by what was asked");
        checker.streams_entered(&answers);
        answers.clear();
    }
});
