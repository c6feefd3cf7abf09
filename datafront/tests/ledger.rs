//! The sender's ledger: the window, hostile receivers, and crashes of either side at every step of a transfer.

#![allow(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    reason = "a test follows one story from its beginning to its end"
)]

mod support;

use datafront::block::wire::{Fate, Frame, Kind, Sum};
use datafront::block::{Event, Ledger, LedgerFault, Receiver};
use support::frames::{ACK, ERROR, Recorder, WELCOME};
use support::{Dice, pattern};

fn frame(kind: u8, seq: u64, length: u64, aux: u32) -> Frame {
    let kind = match kind {
        WELCOME => Kind::Welcome,
        ACK => Kind::Ack,
        ERROR => Kind::Error,
        _ => Kind::Hello,
    };
    Frame { kind, seq, length, aux }
}

/// A ledger with three blocks, welcomed, `sent` of them under way.
fn sending(sent: usize) -> Ledger<&'static str> {
    let mut ledger = Ledger::new(1);
    ["a", "b", "c"].into_iter().for_each(|block| ledger.enqueue(block));
    ledger.hello();
    ledger.receive(&frame(WELCOME, 0, 9, 16)).unwrap();
    for _ in 0..sent {
        assert!(ledger.next_to_send().is_some());
        ledger.sent();
    }
    ledger
}

#[test]
fn h66_without_acknowledgements_the_sender_stops() {
    let mut ledger = Ledger::new(1);
    (0..100).for_each(|block| ledger.enqueue(block));
    ledger.hello();
    assert!(ledger.next_to_send().is_none(), "nothing before WELCOME");
    ledger.receive(&frame(WELCOME, 0, 9, 5)).unwrap();
    let mut sent = 0;
    while ledger.next_to_send().is_some() {
        ledger.sent();
        sent += 1;
    }
    assert_eq!((sent, ledger.len()), (5, 100));
}

#[test]
fn h67_an_acknowledgement_of_a_block_that_was_not_sent() {
    for (sent, seq) in [(0, 1), (1, 2), (2, 3), (3, 4), (3, u64::MAX)] {
        assert_eq!(sending(sent).receive(&frame(ACK, seq, 0, 0)), Err(LedgerFault::AckOfUnsent(seq)));
    }
    assert_eq!(sending(2).receive(&frame(ACK, 2, 0, 0)), Err(LedgerFault::AckOutOfOrder(2)));
    assert_eq!(sending(2).receive(&frame(ACK, 0, 0, 0)), Err(LedgerFault::AckOutOfOrder(0)));
}

#[test]
fn d27_a_welcome_that_cannot_be() {
    let mut ledger = sending(1);
    ledger.hello();
    assert_eq!(ledger.receive(&frame(WELCOME, 2, 9, 16)), Err(LedgerFault::AckOfUnsent(2)));
    let mut ledger = sending(1);
    ledger.receive(&frame(ACK, 1, 0, 0)).unwrap();
    ledger.hello();
    let lost = LedgerFault::Lost { completed: 0, acknowledged: 1 };
    assert_eq!(ledger.receive(&frame(WELCOME, 0, 9, 16)), Err(lost));
    assert_eq!(sending(1).receive(&frame(WELCOME, 0, 9, 16)), Err(LedgerFault::OutOfTurn(Kind::Welcome)));
    let mut ledger: Ledger<()> = Ledger::new(1);
    ledger.hello();
    assert_eq!(ledger.receive(&frame(ACK, 1, 0, 0)), Err(LedgerFault::OutOfTurn(Kind::Ack)));
    assert_eq!(ledger.receive(&frame(WELCOME, 0, 9, 0)), Err(LedgerFault::NoWindow));
    assert_eq!(ledger.receive(&frame(ERROR, 0, 0, 5)), Err(LedgerFault::Refused(5)));
}

/// Bytes of a block as the ledger numbers it.
fn bytes_of(seq: u64, content: &[u8]) -> Vec<u8> {
    let head = Frame { kind: Kind::Block, seq, length: content.len() as u64, aux: 0 };
    let mut sum = Sum::default();
    sum.add(content);
    [head.to_bytes("n").as_slice(), b"n", content, &sum.trailer(Fate::Whole)].concat()
}

/// Two pipes that can be cut after any byte, and everything that happens over several connections.
struct Transfer {
    ledger: Ledger<Vec<u8>>,
    receiver: Receiver,
    recorder: Recorder,
    acknowledged: Vec<u64>,
}

impl Transfer {
    fn new(contents: &[Vec<u8>]) -> Self {
        let mut ledger = Ledger::new(1);
        contents.iter().for_each(|content| ledger.enqueue(content.clone()));
        Self { ledger, receiver: Receiver::new(9), recorder: Recorder::default(), acknowledged: Vec::new() }
    }

    /// One connection: at most `forth` bytes arrive at the receiver and `back` at the sender before it is cut. Whether
    /// everything is acknowledged.
    fn connect(&mut self, mut forth: usize, mut back: usize, piece: usize) -> bool {
        let mut way = self.ledger.hello().to_vec();
        let mut answers = Vec::new();
        loop {
            while let Some((seq, content)) = self.ledger.next_to_send() {
                way.extend(bytes_of(seq, content));
                self.ledger.sent();
            }
            let len = way.len().min(piece).min(forth);
            forth -= len;
            let part: Vec<u8> = way.drain(..len).collect();
            let before = answers.len();
            self.receiver.feed(&part, &mut self.recorder, &mut answers).unwrap();
            let new = answers.len() - before;
            if new > back {
                answers.truncate(before + back);
            }
            back -= new.min(back);
            while answers.len() >= 32 {
                let bytes: Vec<u8> = answers.drain(..32).collect();
                let answer = Frame::parse(bytes.as_slice().try_into().unwrap(), b"").unwrap();
                if let Event::Completed { seq, .. } = self.ledger.receive(&answer).unwrap() {
                    self.acknowledged.push(seq);
                }
            }
            if self.ledger.is_empty() || (len == 0 && new == 0) {
                self.receiver.reset(&mut self.recorder);
                return self.ledger.is_empty();
            }
        }
    }

    fn check(&self, contents: &[Vec<u8>], what: &str) {
        let got: Vec<&[u8]> = self.recorder.blocks.iter().map(|(_, _, content)| content.as_slice()).collect();
        assert_eq!(got, contents.iter().map(Vec::as_slice).collect::<Vec<_>>(), "{what}");
        let expected: Vec<u64> = (1..=contents.len() as u64).collect();
        assert_eq!(self.acknowledged, expected, "{what}");
    }
}

#[test]
fn a_cut_after_every_byte_loses_and_doubles_nothing() {
    let contents = [pattern(1, 20), Vec::new(), pattern(3, 45), pattern(4, 1)];
    let total: usize = 32 + contents.iter().map(|content| 32 + 1 + content.len() + 8).sum::<usize>();
    for forth in 0..=total {
        let mut transfer = Transfer::new(&contents);
        transfer.connect(forth, usize::MAX, 64);
        assert!(transfer.connect(usize::MAX, usize::MAX, 64));
        transfer.check(&contents, &format!("forth cut at {forth}"));
    }
    for back in 0..=32 * 5 {
        let mut transfer = Transfer::new(&contents);
        transfer.connect(usize::MAX, back, 64);
        assert!(transfer.connect(usize::MAX, usize::MAX, 64));
        transfer.check(&contents, &format!("back cut at {back}"));
    }
}

#[test]
fn many_cuts_by_seed_lose_and_double_nothing() {
    for seed in 1..400 {
        let mut dice = Dice(seed * 7919);
        let contents: Vec<Vec<u8>> =
            (0..dice.below(60)).map(|n| pattern(n as u64 + 1, dice.below(300))).collect();
        let mut transfer = Transfer::new(&contents);
        let mut connections = 0;
        while !transfer.connect(32 + dice.below(2000), 32 + dice.below(600), 1 + dice.below(500)) {
            connections += 1;
            assert!(connections < 10_000, "seed {seed} does not end");
        }
        transfer.check(&contents, &format!("seed {seed}"));
    }
}

#[test]
fn a_receiver_that_is_restarted_goes_on_where_the_sender_is() {
    let contents: Vec<Vec<u8>> = (0..20).map(|n| pattern(n + 1, 50)).collect();
    for cut in 0..20 * 91 {
        let mut transfer = Transfer::new(&contents);
        let done = transfer.connect(32 + cut, 32 + cut / 3, 100);
        let delivered = transfer.recorder.blocks.len();
        let acknowledged = transfer.acknowledged.len();
        // The guest has rebooted: its memory of the stream is gone, and what it had delivered with it.
        transfer.receiver = Receiver::new(10);
        transfer.recorder.blocks.truncate(acknowledged);
        assert!(done || transfer.connect(usize::MAX, usize::MAX, 100));
        assert!(delivered >= acknowledged);
        transfer.check(&contents, &format!("cut at {cut}"));
    }
}
