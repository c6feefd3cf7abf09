//! Either side dies at every step of a transfer, over a real channel in the simulated Xen: every block once, in order.
//!
//! A step of the sender is a connection, a piece written, or an answer read; one of the guest is a read or a write of
//! its stream, so that it also dies between a block that was finished and its acknowledgement, and within that. Who
//! dies may return with their state (the connection died) or without (the guest was restarted).

#![allow(
    clippy::await_holding_refcell_ref,
    reason = "one task at a time: the other side runs in steps of its own"
)]

mod support;

use datafront::block::wire::Frame;
use datafront::block::{Event, Ledger, Receiver, serve};
use datafront::vchan::{Channel, ChannelError, Order, Server, Sizes};
use embedded_io_async::{ErrorType, Read, Write};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use support::client::Client;
use support::frames::{Recorder, block};
use support::{Bench, pattern};
use xen_sim::Guest;

const STREAM: u64 = 5;
/// Bytes that the sender writes in a step, and that the guest reads and writes.
const PIECE: usize = 150;
const GUEST_READS: usize = 400;
const GUEST_WRITES: usize = 20;
/// Looks in vain before a sender tries another connection.
const IDLE_LIMIT: usize = 1;
/// Steps of a transfer, far more than any takes.
const MOST: usize = 5000;

/// How a sender dies, besides before a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    /// Between two steps.
    Between,
    /// Bytes are in the ring, and nobody knows.
    BeforeIndex,
    /// The index is written, and no event sent.
    BeforeEvent,
}

#[derive(Clone, Copy, Debug)]
struct Crash {
    at: usize,
    /// What it knew is gone.
    forgets: bool,
    death: Death,
}

/// dom0's end: a ledger over the test's own client.
struct Sender<'c> {
    contents: &'c [Vec<u8>],
    client: Option<Client>,
    ledger: Ledger<usize>,
    is_new: bool,
    out: Vec<u8>,
    heard: Vec<u8>,
    acknowledged: Vec<u64>,
    is_welcome: bool,
    /// Looks in vain, one after the other.
    idle: usize,
    steps: usize,
    crash: Option<Crash>,
}

impl<'c> Sender<'c> {
    fn new(contents: &'c [Vec<u8>], crash: Option<Crash>) -> Self {
        Self {
            contents,
            client: None,
            ledger: Ledger::new(STREAM),
            is_new: true,
            out: Vec::new(),
            heard: Vec::new(),
            acknowledged: Vec::new(),
            is_welcome: false,
            idle: 0,
            steps: 0,
            crash,
        }
    }

    fn is_done(&self) -> bool {
        !self.is_new && self.ledger.is_empty()
    }

    /// One step; whether there was one to take.
    fn step(&mut self, bench: &Bench) -> bool {
        if let Some(crash) = self.crash.filter(|crash| crash.at == self.steps) {
            self.crash = None;
            self.die(crash);
            return true;
        }
        let stepped = self.act(bench);
        self.steps += usize::from(stepped);
        assert!(self.steps < MOST, "it does not end");
        stepped
    }

    fn die(&mut self, crash: Crash) {
        if let Some(mut client) = self.client.take() {
            if crash.death != Death::Between {
                client.write_silently(
                    &self.out[..self.out.len().min(PIECE)],
                    crash.death == Death::BeforeEvent,
                );
            }
            client.leave();
        }
        if crash.forgets {
            (self.ledger, self.is_new) = (Ledger::new(STREAM), true);
        }
    }

    fn act(&mut self, bench: &Bench) -> bool {
        let Some(client) = &mut self.client else {
            self.client = Client::connect(bench);
            (self.out, self.heard) = (self.ledger.hello().to_vec(), Vec::new());
            (self.is_welcome, self.idle) = (false, 0);
            // The guest has to notice first that the last one is gone.
            return true;
        };
        // The next sender on the connection of a dead one gets no answer if its HELLO was taken for bytes of a block.
        if client.server_live() != 1 || (!self.is_welcome && self.idle > IDLE_LIMIT) {
            self.client.take().unwrap().leave();
            return true;
        }
        while let (true, Some((seq, at))) = (self.out.is_empty(), self.ledger.next_to_send()) {
            self.out = block(seq, "n", &self.contents[*at]);
            self.ledger.sent();
        }
        let len = client.write(&self.out[..self.out.len().min(PIECE)]);
        self.out.drain(..len);
        if len > 0 {
            self.idle = 0;
            return true;
        }
        let got = client.read(32 - self.heard.len());
        self.heard.extend(&got);
        if let Ok(frame) = self.heard.as_slice().try_into() {
            self.hear(&Frame::parse(frame, b"").unwrap());
        }
        self.idle = if got.is_empty() { self.idle + 1 } else { 0 };
        !got.is_empty()
    }

    fn hear(&mut self, frame: &Frame) {
        self.heard.clear();
        match self.ledger.receive(frame) {
            Ok(Event::Completed { seq, .. }) => self.acknowledged.push(seq),
            Ok(Event::Welcome { completed, .. }) => {
                self.is_welcome = true;
                if std::mem::take(&mut self.is_new) {
                    self.acknowledged = (1..=completed).collect();
                    (completed as usize..self.contents.len()).for_each(|at| self.ledger.enqueue(at));
                }
            }
            Ok(Event::Stop { seq }) => panic!("block {seq} is stopped, and none is refused"),
            // An answer to the dead one, or that HELLO came second.
            Err(_) if !self.is_welcome => self.client.take().unwrap().leave(),
            Err(fault) => panic!("{fault}"),
        }
    }
}

/// The guest's end of a channel, which dies before a call of a number.
struct Mortal<'a> {
    channel: Channel<'a, Guest>,
    /// Calls so far, over all connections; the one before which it dies; whether it has.
    calls: &'a Cell<usize>,
    last: usize,
    is_dead: &'a Cell<bool>,
}

impl Mortal<'_> {
    async fn live(&self) {
        if self.calls.get() == self.last {
            self.is_dead.set(true);
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Pending::<()>
            })
            .await;
        }
        self.calls.set(self.calls.get() + 1);
    }
}

impl ErrorType for Mortal<'_> {
    type Error = ChannelError;
}

impl Read for Mortal<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        self.live().await;
        self.channel.read(into).await
    }
}

impl Write for Mortal<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        self.live().await;
        self.channel.write(&from[..from.len().min(GUEST_WRITES)]).await
    }

    async fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}

/// What outlives a connection.
struct Taker {
    receiver: Receiver,
    recorder: Recorder,
}

impl Taker {
    fn new(instance: u64) -> Self {
        Self { receiver: Receiver::new(instance), recorder: Recorder::default() }
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.recorder.blocks.iter().map(|(_, _, content)| content.clone()).collect()
    }
}

/// Serves one sender after the other until the guest dies, or `is_over`.
fn serve_until(
    bench: &Bench,
    taker: &RefCell<Taker>,
    calls: &Cell<usize>,
    last: usize,
    sender: &RefCell<Sender<'_>>,
) {
    let sizes = Sizes::new(Order::new(10).unwrap(), Order::new(11).unwrap()).unwrap();
    let mut server: Server<Guest> = bench.server(sizes, 0);
    let (is_dead, is_over) = (Cell::new(false), Cell::new(false));
    let service = async {
        loop {
            let channel = server.accept().await.unwrap();
            let mut mortal = Mortal { channel, calls, last, is_dead: &is_dead };
            let mut taker = taker.borrow_mut();
            let Taker { receiver, recorder } = &mut *taker;
            let _ = serve(&mut mortal, receiver, recorder, &mut [0; GUEST_READS]).await;
            if is_over.get() {
                return pending::<()>().await;
            }
        }
    };
    let mut service = pin!(service);
    let until = poll_fn(|cx| {
        if is_dead.get() || is_over.get() {
            return Poll::Ready(());
        }
        service.as_mut().poll(cx)
    });
    bench.run(until, || {
        let mut sender = sender.borrow_mut();
        if sender.is_done() {
            is_over.set(true);
            if let Some(client) = sender.client.take() {
                client.leave();
            }
            return true;
        }
        sender.step(bench)
    });
}

fn contents() -> Vec<Vec<u8>> {
    [20, 0, 300, 1, 2500, 45].into_iter().zip(1..).map(|(len, seed)| pattern(seed, len)).collect()
}

/// A transfer in which the sender dies at its step, the guest at its call. Steps and calls that it took.
fn transfer(sender_dies: Option<Crash>, guest_dies: Option<(usize, bool)>) -> (usize, usize) {
    let what = format!("{sender_dies:?} {guest_dies:?}");
    let (bench, contents) = (Bench::new(), contents());
    let sender = RefCell::new(Sender::new(&contents, sender_dies));
    let (taker, calls) = (RefCell::new(Taker::new(9)), Cell::new(0));
    serve_until(&bench, &taker, &calls, guest_dies.map_or(usize::MAX, |(call, _)| call), &sender);
    let mut lost = 0;
    if let (false, Some((_, forgets))) = (sender.borrow().is_done(), guest_dies)
        && forgets
    {
        // What it had got is gone with it; the sender sends again what was not acknowledged.
        lost = sender.borrow().acknowledged.len();
        let got = taker.replace(Taker::new(10)).contents();
        assert!(got.len() >= lost && contents.starts_with(&got), "{what}");
    }
    if !sender.borrow().is_done() {
        serve_until(&bench, &taker, &calls, usize::MAX, &sender);
    }
    assert_eq!(taker.borrow().contents(), contents[lost..], "{what}");
    let sender = sender.into_inner();
    assert_eq!(sender.acknowledged, (1..=contents.len() as u64).collect::<Vec<_>>(), "{what}");
    if guest_dies.is_none() {
        let pages = bench.pool.account().unwrap();
        assert_eq!((pages.in_use, pages.quarantined), (0, 0), "{what}: everything is given back");
        assert_eq!(bench.sim.guest().granted().len(), pages.free, "{what}");
    }
    (sender.steps, calls.get())
}

#[test]
fn the_sender_dies_at_every_step() {
    let (steps, _) = transfer(None, None);
    assert!(steps > 40, "{steps}");
    for at in 0..steps {
        for forgets in [false, true] {
            for death in [Death::Between, Death::BeforeIndex, Death::BeforeEvent] {
                transfer(Some(Crash { at, forgets, death }), None);
            }
        }
    }
}

#[test]
fn the_guest_dies_at_every_step() {
    let (_, calls) = transfer(None, None);
    assert!(calls > 20, "{calls}");
    for at in 0..calls {
        for forgets in [false, true] {
            transfer(None, Some((at, forgets)));
        }
    }
}

#[test]
fn both_die_at_every_pair_of_steps() {
    let (steps, calls) = transfer(None, None);
    println!("{steps} steps of the sender, {calls} calls of the guest");
    for at in 0..steps {
        for call in 0..calls {
            let crash = Crash { at, forgets: (at + call) % 2 == 0, death: Death::Between };
            transfer(Some(crash), Some((call, false)));
        }
    }
}
