//! Blocks from a guest to dom0, over a real channel in the simulated Xen: whoever dies, every block is there once and in
//! order; and what a malicious receiver can do.

#![allow(
    clippy::await_holding_refcell_ref,
    clippy::too_many_lines,
    reason = "one task at a time: the other side runs in steps of its own"
)]

mod support;

use datafront::block::wire::{Form, Malformed};
use datafront::block::{LedgerFault, Outbox, OutgoingBlock, Receiver, SendError, WhenFull, send};
use datafront::vchan::{Channel, ChannelError, Misbehaviour, Order, Server, Sizes};
use embedded_io_async::{ErrorType, Read, Write};
use ledger::{Consumer, Ledger};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use support::client::{Client, RIGHT_CONS, RIGHT_PROD};
use support::frames::{ACK, BLOCK, ERROR, HELLO, Recorder, STOP, WELCOME, head};
use support::{Bench, Dice, pattern};
use xen_sim::Guest;

const STREAM: u64 = 77;
/// Far more than the steps of any transfer here.
const MOST: usize = 20_000;
/// Looks in vain before a receiver tries another connection.
const IDLE_LIMIT: usize = 40;
/// Rounds between two connections, unless it died.
const PAUSE: usize = 3;
/// Rounds of the guest between two frames of a malicious receiver.
const ROUNDS: usize = 8;

fn outbox(limit: usize, when_full: WhenFull) -> Outbox {
    let ledger = Ledger::new(16 << 20);
    Outbox::new(STREAM, limit, when_full, &ledger.open(Consumer::Outgoing))
}

fn out(name: &str, bytes: Vec<u8>) -> OutgoingBlock {
    OutgoingBlock { name: name.into(), form: Form::Append, bytes, records: 1 }
}

fn contents() -> Vec<Vec<u8>> {
    [20, 0, 300, 1, 2500, 45].into_iter().zip(1..).map(|(len, seed)| pattern(seed, len)).collect()
}

fn small_rings() -> Sizes {
    Sizes::new(Order::new(10).unwrap(), Order::new(11).unwrap()).unwrap()
}

/// When dom0's program dies, and whether its state on disk is gone then.
#[derive(Clone, Copy, Debug)]
struct Crash {
    at: usize,
    forgets: bool,
}

/// dom0's end: a receiver over the test's own client.
struct Puller {
    client: Option<Client>,
    receiver: Receiver,
    recorder: Recorder,
    /// What receivers had that were forgotten.
    before: Vec<Vec<Vec<u8>>>,
    answers: Vec<u8>,
    steps: usize,
    crash: Option<Crash>,
    piece: usize,
    /// HELLO has come on this connection; looks in vain for it.
    is_greeted: bool,
    idle: usize,
    /// Rounds before it connects again, so that the guest notices that it has left.
    pause: usize,
}

impl Puller {
    fn new(crash: Option<Crash>) -> Self {
        Self {
            client: None,
            receiver: Receiver::new(1),
            recorder: Recorder::default(),
            before: Vec::new(),
            answers: Vec::new(),
            steps: 0,
            crash,
            piece: 150,
            is_greeted: false,
            idle: 0,
            pause: 0,
        }
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.recorder.blocks.iter().map(|(_, _, content)| content.clone()).collect()
    }

    fn leave(&mut self) {
        if let Some(client) = self.client.take() {
            client.leave();
        }
        self.receiver.reset(&mut self.recorder);
        self.answers.clear();
    }

    /// One step; whether there was one to take.
    fn step(&mut self, bench: &Bench) -> bool {
        if let Some(crash) = self.crash.filter(|crash| crash.at == self.steps) {
            self.crash = None;
            self.leave();
            if crash.forgets {
                self.before.push(self.contents());
                self.receiver = Receiver::new(2);
                self.recorder = Recorder::default();
            }
            return true;
        }
        let Some(client) = &mut self.client else {
            if let Some(less) = self.pause.checked_sub(1) {
                self.pause = less;
                return true;
            }
            self.client = Client::connect(bench);
            (self.is_greeted, self.idle) = (false, 0);
            self.steps += 1;
            return true;
        };
        // On the connection of a dead one nobody says HELLO.
        if client.server_live() != 1 || (!self.is_greeted && self.idle > IDLE_LIMIT) {
            self.pause = PAUSE;
            self.leave();
            return true;
        }
        let written = client.write(&self.answers);
        self.answers.drain(..written);
        let got = client.read(self.piece);
        if !got.is_empty() {
            let fed = self.receiver.feed(&got, &mut self.recorder, &mut self.answers);
            if fed.is_err() {
                // The ERROR frame is on its way.
                client.write(&self.answers);
                self.pause = PAUSE;
                self.leave();
            }
        }
        self.is_greeted |= !self.answers.is_empty();
        let moved = written > 0 || !got.is_empty();
        self.idle = if moved { 0 } else { self.idle + 1 };
        self.steps += usize::from(moved);
        assert!(self.steps < MOST, "it does not end");
        moved || !self.is_greeted
    }
}

/// The guest's end of a channel, which dies before a call of a number.
struct Mortal<'a> {
    channel: Channel<'a, Guest>,
    calls: &'a Cell<usize>,
    last: usize,
}

impl Mortal<'_> {
    fn live(&self) -> Result<(), ChannelError> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.last { Err(ChannelError::Suspended) } else { Ok(()) }
    }
}

impl ErrorType for Mortal<'_> {
    type Error = ChannelError;
}

impl Read for Mortal<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        self.live()?;
        self.channel.read(into).await
    }
}

impl Write for Mortal<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        self.live()?;
        self.channel.write(&from[..from.len().min(90)]).await
    }

    async fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}

/// Sends on one connection after the other until dom0 has everything. After the death of the guest's side another server is
/// opened, as after a suspend; the outbox is in memory, and stays.
fn transfer(outbox: &Outbox, puller: &RefCell<Puller>, guest_dies: usize) -> (usize, usize) {
    let bench = Bench::new();
    let calls = Cell::new(0);
    let mut is_over = false;
    while !is_over {
        let mut server: Server<Guest> = bench.server(small_rings(), 0);
        let service = async {
            loop {
                let channel = server.accept().await.unwrap();
                let mut mortal = Mortal { channel, calls: &calls, last: guest_dies };
                if send(&mut mortal, outbox).await == Err(SendError::Stream(ChannelError::Suspended)) {
                    return;
                }
            }
        };
        let mut service = pin!(service);
        let until = poll_fn(|cx| {
            let is_dead = service.as_mut().poll(cx).map(|()| false);
            if outbox.is_empty() { Poll::Ready(true) } else { is_dead }
        });
        is_over = bench.run(until, || puller.borrow_mut().step(&bench));
        puller.borrow_mut().leave();
    }
    (puller.borrow().steps, calls.get())
}

fn filled() -> Outbox {
    let outbox = outbox(100_000, WhenFull::DropOldest);
    contents().into_iter().for_each(|bytes| outbox.put(out("log", bytes)));
    outbox
}

fn check(puller: &Puller, outbox: &Outbox, what: &str) {
    assert_eq!(puller.contents(), contents(), "{what}");
    let stats = outbox.stats();
    assert_eq!((stats.blocks, stats.bytes), (0, 0), "{what}: its memory is given back");
    assert_eq!((stats.counts.accepted.get(), stats.counts.dropped.get()), (6, 0), "{what}");
    assert!(puller.recorder.blocks.iter().all(|(_, name, _)| name == "log"));
}

#[test]
fn blocks_arrive_once_and_in_order() {
    let (outbox, puller) = (filled(), RefCell::new(Puller::new(None)));
    let (steps, calls) = transfer(&outbox, &puller, usize::MAX);
    assert!(steps > 25 && calls > 40, "{steps} {calls}");
    check(&puller.borrow(), &outbox, "nobody dies");
    assert_eq!(outbox.stats().counts.faults.get(), 0);
}

#[test]
fn the_receiver_dies_at_every_step() {
    let (steps, _) = transfer(&filled(), &RefCell::new(Puller::new(None)), usize::MAX);
    for at in 0..steps {
        let (outbox, puller) = (filled(), RefCell::new(Puller::new(Some(Crash { at, forgets: false }))));
        transfer(&outbox, &puller, usize::MAX);
        check(&puller.borrow(), &outbox, &format!("dies at {at}"));
    }
}

#[test]
fn a_receiver_that_forgets_gets_what_is_not_acknowledged() {
    let (steps, _) = transfer(&filled(), &RefCell::new(Puller::new(None)), usize::MAX);
    for at in 0..steps {
        let (outbox, puller) = (filled(), RefCell::new(Puller::new(Some(Crash { at, forgets: true }))));
        transfer(&outbox, &puller, usize::MAX);
        let puller = puller.borrow();
        let (all, first, rest) = (contents(), &puller.before[0], puller.contents());
        assert!(all.starts_with(first) && all.ends_with(&rest), "dies at {at}");
        // What the first one had and could not acknowledge comes again, and nothing is missing.
        assert!(first.len() + rest.len() >= all.len(), "dies at {at}");
        assert_eq!(outbox.stats().counts.accepted.get(), 6, "dies at {at}");
    }
}

#[test]
fn the_guest_s_side_dies_at_every_call() {
    let (_, calls) = transfer(&filled(), &RefCell::new(Puller::new(None)), usize::MAX);
    for at in 1..calls {
        let (outbox, puller) = (filled(), RefCell::new(Puller::new(None)));
        transfer(&outbox, &puller, at);
        check(&puller.borrow(), &outbox, &format!("dies at call {at}"));
    }
}

#[test]
fn both_die_by_seed() {
    let (steps, calls) = transfer(&filled(), &RefCell::new(Puller::new(None)), usize::MAX);
    let mut dice = Dice(5);
    for _ in 0..300 {
        let (at, call) = (dice.below(steps), 1 + dice.below(calls));
        let (outbox, puller) = (filled(), RefCell::new(Puller::new(Some(Crash { at, forgets: false }))));
        transfer(&outbox, &puller, call);
        check(&puller.borrow(), &outbox, &format!("{at} {call}"));
    }
}

#[test]
fn a_block_that_is_put_while_dom0_waits_is_sent() {
    let (bench, outbox) = (Bench::new(), outbox(10_000, WhenFull::DropOldest));
    let mut puller = Puller::new(None);
    let mut server = bench.server(small_rings(), 0);
    let service = async {
        let mut channel = server.accept().await.unwrap();
        let _ = send(&mut channel, &outbox).await;
    };
    let mut service = pin!(service);
    let until = poll_fn(|cx| {
        let ended = service.as_mut().poll(cx);
        if outbox.stats().counts.accepted.get() == 3 { Poll::Ready(()) } else { ended }
    });
    let (mut put, mut still) = (0, 0);
    bench.run(until, || {
        let moved = puller.step(&bench);
        still = if moved { 0 } else { still + 1 };
        // Only when nothing moves any more, and no event is on its way, comes the next one.
        if still == 3 && put == puller.recorder.blocks.len() {
            outbox.put(out("log", vec![7; 10]));
            put += 1;
            return true;
        }
        moved
    });
    assert!(put >= 3 && puller.recorder.blocks.len() == 3, "{put}");
}

#[test]
fn without_a_receiver_the_oldest_are_dropped_and_counted() {
    let outbox = outbox(10_000, WhenFull::DropOldest);
    for n in 0..100_u8 {
        outbox.put(out("log", vec![n; 1000]));
        assert!(outbox.stats().bytes <= 10_000 && outbox.has_room(1000));
    }
    let stats = outbox.stats();
    let (dropped, waiting) = (stats.counts.dropped.get(), stats.blocks as u64);
    assert!((6..=9).contains(&waiting) && dropped + waiting == 100, "{stats:?}");
    assert_eq!(stats.counts.dropped_records.get(), dropped);
    let puller = RefCell::new(Puller::new(None));
    transfer(&outbox, &puller, usize::MAX);
    let got: Vec<u8> = puller.borrow().contents().iter().map(|content| content[0]).collect();
    assert_eq!(got, (dropped as u8..100).collect::<Vec<_>>(), "the newest, in order, without a hole");
    assert_eq!((outbox.stats().bytes, outbox.stats().counts.accepted_records.get()), (0, waiting));
}

#[test]
fn a_block_larger_than_half_of_the_memory_is_dropped_alone() {
    let outbox = outbox(10_000, WhenFull::DropOldest);
    outbox.put(out("log", vec![1; 1000]));
    outbox.put(out("log", vec![2; 6000]));
    outbox.put(out(&"x".repeat(256), vec![3; 10]));
    let stats = outbox.stats();
    assert_eq!((stats.blocks, stats.counts.dropped.get()), (1, 2), "{stats:?}");
}

/// Whether a task was woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn an_outbox_that_waits_drops_nothing_that_waits_for_room() {
    let outbox = outbox(10_000, WhenFull::Wait);
    let mut put = 0;
    while outbox.has_room(1000) {
        // A buffer with room to grow takes no more than its bytes.
        let mut bytes = Vec::with_capacity(4000);
        bytes.resize(1000, put);
        outbox.put(out("log", bytes));
        put += 1;
    }
    assert_eq!(outbox.stats().counts.dropped.get(), 0, "what has room is not dropped");
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(pin!(outbox.room(1000)).poll(&mut Context::from_waker(&waker)).is_pending());
    let before = outbox.stats();
    outbox.put(out("log", vec![99; 1000]));
    assert_eq!(outbox.stats().counts.dropped.get(), before.counts.dropped.get() + 1);
    assert_eq!(outbox.stats().blocks, before.blocks, "those that are there stay");
    // Whoever waits is woken by the first acknowledgement.
    let bench = Bench::new();
    let puller = RefCell::new(Puller::new(None));
    let mut server = bench.server(small_rings(), 0);
    let service = async {
        let mut channel = server.accept().await.unwrap();
        let _ = send(&mut channel, &outbox).await;
    };
    let (mut service, mut room) = (pin!(service), pin!(outbox.room(1000)));
    let until = poll_fn(|cx| {
        let _ = service.as_mut().poll(cx);
        room.as_mut().poll(cx)
    });
    bench.run(until, || puller.borrow_mut().step(&bench));
    assert!(woken.0.load(Ordering::SeqCst), "whoever waits for room is woken");
    assert!(outbox.has_room(1000) && outbox.stats().counts.accepted.get() > 0);
}

#[test]
fn of_a_state_only_the_newest_waits() {
    let outbox = outbox(10_000, WhenFull::DropOldest);
    for n in 0..50_u8 {
        outbox.put_latest(out("counters", vec![n; 100]));
        outbox.put(out("log", vec![n; 10]));
    }
    let stats = outbox.stats();
    assert_eq!((stats.counts.replaced.get(), stats.blocks), (49, 51 - stats.counts.dropped.get() as usize));
    let puller = RefCell::new(Puller::new(None));
    transfer(&outbox, &puller, usize::MAX);
    let puller = puller.borrow();
    let counters: Vec<u8> =
        puller.recorder.blocks.iter().filter(|one| one.1 == "counters").map(|one| one.2[0]).collect();
    assert_eq!(counters, [49]);
}

#[test]
fn the_ledger_s_word_is_the_last() {
    let ledger = Ledger::new(256 * 1000);
    let account = ledger.open(Consumer::Outgoing);
    let outbox = Outbox::new(STREAM, usize::MAX, WhenFull::DropOldest, &account);
    for _ in 0..1000 {
        outbox.put(out("log", vec![1; 1000]));
        assert!(account.used() <= account.limit());
    }
    assert_eq!(outbox.stats().bytes, account.used());
    assert!(outbox.stats().counts.dropped.get() > 900);
    // Others have taken what is common: less than the limit is left.
    let outbox = {
        drop(outbox);
        let _content = ledger.open(Consumer::Content).reserve(160 * 1000).unwrap();
        let tcp = ledger.open(Consumer::Tcp);
        let _tcp = tcp.reserve(tcp.available()).unwrap();
        let outbox = Outbox::new(STREAM, usize::MAX, WhenFull::Wait, &account);
        let before = account.available();
        assert!(before < account.limit() && outbox.has_room(12_000));
        (0..100).for_each(|_| outbox.put(out("log", vec![1; 1000])));
        assert!(outbox.stats().bytes == account.used() && account.used() <= before && !outbox.has_room(1000));
        outbox
    };
    drop(outbox);
    assert_eq!(account.used(), 0);
}

/// A connection on which dom0 says these frames, one by one, after HELLO has come; how the guest ends it.
fn told(outbox: &Outbox, words: &[Vec<u8>]) -> Result<(), SendError<ChannelError>> {
    hostile(outbox, words, |_| {})
}

/// As [`told`], with something that dom0 does after its words.
fn hostile(outbox: &Outbox, words: &[Vec<u8>], act: impl Fn(&Client)) -> Result<(), SendError<ChannelError>> {
    let bench = Bench::new();
    let mut server = bench.server(Sizes::PULL, 0);
    let service = async {
        let mut channel = server.accept().await.unwrap();
        send(&mut channel, outbox).await
    };
    let mut client: Option<Client> = None;
    let (mut words, mut rounds, mut has_left) = (words.iter(), 0, false);
    let mut saying: Vec<u8> = Vec::new();
    let result = bench.run(service, || {
        let Some(theirs) = &mut client else {
            client = if has_left { None } else { Client::connect(&bench) };
            return !has_left;
        };
        if theirs.peek_len() < 32 {
            return true;
        }
        let written = theirs.write(&saying);
        saying.drain(..written);
        rounds += 1;
        if !saying.is_empty() || rounds % ROUNDS > 0 {
            return true;
        }
        match words.next() {
            Some(word) => saying.extend(word),
            None if rounds < 1_000_000 => {
                act(theirs);
                theirs.notify();
                // It leaves, if it is not ended by that.
                rounds = 1_000_000 - ROUNDS;
            }
            None => {
                has_left = true;
                if let Some(theirs) = client.take() {
                    theirs.leave();
                }
            }
        }
        true
    });
    drop(client);
    result
}

fn welcome(completed: u64, window: u32) -> Vec<u8> {
    head(WELCOME, completed, 9, window, b"")
}

fn ack(seq: u64) -> Vec<u8> {
    head(ACK, seq, 0, 0, b"")
}

/// After whatever a malicious receiver said, an honest one gets everything that is left.
fn still_works(outbox: &Outbox, left: usize) {
    let puller = RefCell::new(Puller::new(None));
    transfer(outbox, &puller, usize::MAX);
    let (all, got) = (contents(), puller.borrow().contents());
    assert!(all.ends_with(&got) && got.len() == left, "{} of {left}", got.len());
    assert_eq!(outbox.stats().bytes, 0);
}

#[test]
fn d37_acknowledgements_of_what_was_not_sent() {
    let lies = [
        (vec![welcome(0, 16), ack(u64::MAX)], LedgerFault::AckOfUnsent(u64::MAX), 6),
        (vec![welcome(0, 1), ack(2)], LedgerFault::AckOfUnsent(2), 6),
        (vec![welcome(0, 16), ack(0)], LedgerFault::AckOutOfOrder(0), 6),
        (vec![ack(1)], LedgerFault::OutOfTurn(datafront::block::wire::Kind::Ack), 6),
        (vec![welcome(0, 0)], LedgerFault::NoWindow, 6),
        (vec![head(HELLO, 0, 1, 0, b"")], LedgerFault::OutOfTurn(datafront::block::wire::Kind::Hello), 6),
        (vec![head(ERROR, 0, 0, 1, b"")], LedgerFault::Refused(1), 6),
    ];
    for (words, fault, left) in lies {
        let outbox = filled();
        assert_eq!(told(&outbox, &words), Err(SendError::Receiver(fault)));
        assert_eq!(outbox.stats().counts.faults.get(), 1);
        still_works(&outbox, left);
    }
    // A block that is larger than the ring, before its end.
    let outbox = outbox(1 << 20, WhenFull::DropOldest);
    outbox.put(out("log", vec![1; 200_000]));
    outbox.put(out("log", vec![2; 10]));
    let fault = LedgerFault::AckOfUnsent(1);
    assert_eq!(told(&outbox, &[welcome(0, 16), ack(1)]), Err(SendError::Receiver(fault)));
    let puller = RefCell::new(Puller { piece: 5000, ..Puller::new(None) });
    transfer(&outbox, &puller, usize::MAX);
    assert_eq!(puller.borrow().contents(), [[2; 10]], "the one that it has acknowledged is its own loss");
}

#[test]
fn d38_a_welcome_from_another_time_starts_a_new_stream() {
    // Ahead: nothing was sent yet, so nothing is believed to be there.
    let outbox = filled();
    for _ in 0..3 {
        assert_eq!(told(&outbox, &[welcome(9, 16)]), Err(SendError::Receiver(LedgerFault::AckOfUnsent(9))));
    }
    assert_eq!(
        told(&outbox, &[welcome(u64::MAX, 16)]),
        Err(SendError::Receiver(LedgerFault::AckOfUnsent(u64::MAX)))
    );
    still_works(&outbox, 6);
    // Behind: what it had acknowledged is not sent again, what it had not is.
    let outbox = filled();
    assert_eq!(told(&outbox, &[welcome(0, 16), ack(1), ack(2)]), Ok(()));
    let lost = LedgerFault::Lost { completed: 0, acknowledged: 2 };
    assert_eq!(told(&outbox, &[welcome(0, 16)]), Err(SendError::Receiver(lost)));
    assert_eq!(
        told(&outbox, &[head(ERROR, 0, 0, 5, b"")]),
        Err(SendError::Receiver(LedgerFault::Refused(5)))
    );
    still_works(&outbox, 4);
}

#[test]
fn a_receiver_that_is_behind_or_ahead_gets_what_is_left() {
    // Behind: two receivers take turns, and each has forgotten what the other one had.
    let outbox = filled();
    let both = [RefCell::new(Puller::new(None)), RefCell::new(Puller::new(None))];
    let mut took = Vec::new();
    for (turn, more) in [(0, 2), (1, 2), (0, 2)] {
        let accepted = outbox.stats().counts.accepted.get();
        let before = both[turn].borrow().contents().len();
        let bench = Bench::new();
        let mut server: Server<Guest> = bench.server(small_rings(), 0);
        let service = async {
            loop {
                let mut channel = server.accept().await.unwrap();
                let _ = send(&mut channel, &outbox).await;
            }
        };
        let mut service = pin!(service);
        let until = poll_fn(|cx| {
            let _: Poll<()> = service.as_mut().poll(cx);
            let now = outbox.stats().counts.accepted.get();
            if now >= accepted + more { Poll::Ready(()) } else { Poll::Pending }
        });
        bench.run(until, || both[turn].borrow_mut().step(&bench));
        both[turn].borrow_mut().leave();
        took.extend(both[turn].borrow().contents()[before..].to_vec());
    }
    // One that was left had taken more than it could acknowledge; none is missing.
    let mut left = contents();
    left.retain(|content| !took.contains(content));
    assert!(left.is_empty() && outbox.is_empty(), "{} are missing", left.len());
    assert!(outbox.stats().counts.faults.get() > 0, "a gap was found");
    // Ahead: this guest was restored to an earlier state.
    let (outbox, mut puller) = (filled(), Puller::new(None));
    let later: Vec<u8> = (1..=9).flat_map(|seq| support::frames::block(seq, "log", b"later")).collect();
    let hello = support::frames::hello(STREAM, 1);
    puller.receiver.feed(&[hello, later].concat(), &mut puller.recorder, &mut Vec::new()).unwrap();
    puller.receiver.reset(&mut puller.recorder);
    let puller = RefCell::new(puller);
    transfer(&outbox, &puller, usize::MAX);
    assert_eq!(puller.borrow().contents()[9..], contents());
}

#[test]
fn d39_bytes_that_are_no_frame() {
    for words in [vec![0; 64], vec![255; 64], head(BLOCK, 1, 5, 0, b"name"), head(9, 0, 0, 0, b"")] {
        let outbox = filled();
        let result = told(&outbox, &[words]);
        assert!(
            matches!(
                result,
                Err(SendError::NoFrame(Malformed::Magic | Malformed::Kind(9) | Malformed::Check))
            ),
            "{result:?}"
        );
        still_works(&outbox, 6);
    }
}

/// A receiver that says STOP whenever it is asked.
struct Endless {
    reads: usize,
}

impl ErrorType for Endless {
    type Error = ChannelError;
}

impl Read for Endless {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        self.reads += 1;
        assert!(self.reads < 10_000, "nobody else has a turn");
        // HELLO and the first block go out meanwhile.
        if (2..10).contains(&self.reads) {
            return std::future::pending().await;
        }
        let frame = if self.reads == 1 { welcome(0, 16) } else { head(STOP, 1, 0, 0, b"") };
        into[..32].copy_from_slice(&frame);
        Ok(32)
    }
}

impl Write for Endless {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        Ok(from.len())
    }

    async fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}

#[test]
fn d40_stop_for_ever_costs_other_tasks_nothing() {
    let outbox = filled();
    let mut endless = Endless { reads: 0 };
    {
        let mut sending = pin!(send(&mut endless, &outbox));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(sending.as_mut().poll(&mut context).is_pending());
        }
    }
    assert!(endless.reads > 100, "{}", endless.reads);
    still_works(&outbox, 6);
    // One that is not under way ends it.
    let outbox = filled();
    let result = told(&outbox, &[welcome(0, 1), head(STOP, 9, 0, 0, b"")]);
    assert_eq!(result, Err(SendError::Receiver(LedgerFault::AckOfUnsent(9))));
}

#[test]
fn d41_indexes_that_cannot_be() {
    let outbox = filled();
    // More bytes taken than were written; more bytes written than the ring has.
    let taken = hostile(&outbox, &[welcome(0, 16)], |client| {
        let prod = client.control.load::<u32>(RIGHT_PROD);
        client.control.store::<u32>(RIGHT_CONS, prod.wrapping_add(1));
    });
    // Everything is written by then, and a block more shows it.
    assert!(matches!(
        taken,
        Err(SendError::Stream(ChannelError::Misbehaved(Misbehaviour::WriteIndex { .. }))) | Ok(())
    ));
    let given = hostile(&outbox, &[welcome(0, 16)], |client| client.control.store::<u32>(4, 1 << 20));
    assert!(
        matches!(given, Err(SendError::Stream(ChannelError::Misbehaved(Misbehaviour::ReadIndex { .. })))),
        "{given:?}"
    );
    still_works(&outbox, 6);
}

#[test]
fn d42_a_window_without_end_takes_no_more_than_half_of_the_memory() {
    let outbox = outbox(10_000, WhenFull::DropOldest);
    for n in 0..9_u8 {
        outbox.put(out("log", vec![n; 900]));
    }
    assert_eq!(told(&outbox, &[welcome(0, u32::MAX)]), Ok(()));
    // Those that were sent stay, and the others make room.
    for n in 9..60_u8 {
        outbox.put(out("log", vec![n; 900]));
    }
    assert!(outbox.stats().bytes <= 10_000);
    let puller = RefCell::new(Puller::new(None));
    transfer(&outbox, &puller, usize::MAX);
    let got: Vec<u8> = puller.borrow().contents().iter().map(|content| content[0]).collect();
    let sent = got.iter().position(|n| *n > 30).unwrap();
    assert!((1..=5).contains(&sent) && got[..sent] == (0..sent as u8).collect::<Vec<_>>(), "{got:?}");
    assert_eq!(got.last(), Some(&59));
}

#[test]
fn d43_a_receiver_that_never_reads_holds_only_the_outbox() {
    let outbox = outbox(200_000, WhenFull::DropOldest);
    for n in 0..255_u8 {
        outbox.put(out("log", vec![n; 9000]));
    }
    assert_eq!(told(&outbox, &[welcome(0, u32::MAX)]), Ok(()));
    assert!(outbox.stats().bytes <= 200_000 && !outbox.is_connected());
    assert!(outbox.stats().counts.dropped.get() > 200);
}
