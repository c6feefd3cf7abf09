//! The control page of a channel, in both roles, with a peer that writes anything into it at any time: no panic, no
//! wait that does not end, and the next channel works.
//!
//! ```text
//!   | role | op … |     0 at v: a byte of the page    1 at w: an aligned word    2: an event    3 n: write    4: read
//!   5: leaves, comes back    else: nothing, the guest runs
//! ```

#![no_main]

#[path = "../../../datafront/tests/support/mod.rs"]
#[allow(dead_code)]
mod support;

use datafront::vchan::{ChannelError, Client, Order, Path, Server, Sizes};
use embedded_io_async::{Read, Write};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Waker};
use support::Bench;
use support::server::{Host, PATH, SERVER};

/// Operations that one input may have.
const MOST: usize = 100;

/// Returns received bytes, until the channel ends.
async fn echo(channel: &mut (impl Read<Error = ChannelError> + Write<Error = ChannelError>)) {
    let mut buffer = [0; 700];
    while let Ok(len @ 1..) = channel.read(&mut buffer).await {
        if channel.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

fn sizes(input: &mut Input<'_>) -> [u16; 2] {
    [[12, 12], [10, 11], [13, 12], [11, 10]][usize::from(input.byte() % 4)]
}

/// The operations of the other side, in either role.
trait Peer: Sized {
    fn poke_byte(&self, at: usize, value: u8);
    fn poke_word(&self, at: usize, value: u32);
    fn ring(&self);
    fn put(&mut self, bytes: &[u8]) -> usize;
    fn take(&mut self) -> Vec<u8>;
}

impl Peer for support::client::Client {
    fn poke_byte(&self, at: usize, value: u8) {
        self.control.store::<u8>(at, value);
    }
    fn poke_word(&self, at: usize, value: u32) {
        self.control.store::<u32>(at, value);
    }
    fn ring(&self) {
        self.notify();
    }
    fn put(&mut self, bytes: &[u8]) -> usize {
        self.write(bytes)
    }
    fn take(&mut self) -> Vec<u8> {
        self.read(4096)
    }
}

impl Peer for support::server::Server {
    fn poke_byte(&self, at: usize, value: u8) {
        self.shared().store::<u8>(at, value, SeqCst);
    }
    fn poke_word(&self, at: usize, value: u32) {
        self.shared().store::<u32>(at, value, SeqCst);
    }
    fn ring(&self) {
        self.notify();
    }
    fn put(&mut self, bytes: &[u8]) -> usize {
        self.write(bytes)
    }
    fn take(&mut self) -> Vec<u8> {
        self.read(4096)
    }
}

/// The guest's task and its machine.
struct Run<'a> {
    bench: &'a Bench,
    task: Pin<&'a mut dyn Future<Output = ()>>,
}

impl Run<'_> {
    fn iterate(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(self.task.as_mut().poll(&mut context).is_pending(), "it serves for ever");
            xen_sim::iterate(&self.bench.xen);
            self.bench.sim.run();
        }
    }
}

/// The operations of one channel. Correct ones stop at the first fault: the peer's own code is not under test.
fn abuse(input: &mut Input<'_>, peer: &mut impl Peer, mut honest: bool, run: &mut Run<'_>) {
    for _ in 0..MOST {
        match input.byte() {
            0 => {
                honest = false;
                let (at, value) = (usize::from(input.byte() % 64), input.byte());
                peer.poke_byte(at, value);
            }
            1 => {
                honest = false;
                let (at, value) = (usize::from(input.byte() % 16) * 4, input.word());
                peer.poke_word(at, value);
            }
            2 => peer.ring(),
            3 if honest => {
                let bytes = vec![7; usize::from(input.byte())];
                peer.put(&bytes);
            }
            4 if honest => assert!(peer.take().iter().all(|byte| *byte == 7), "a byte that was not sent"),
            5 => return,
            _ => run.iterate(),
        }
        if input.is_empty() {
            return;
        }
    }
}

/// A correct channel works: sent bytes come back.
fn heals(peer: &mut impl Peer, run: &mut Run<'_>) {
    let (mut sent, mut back) = (0, Vec::new());
    for _ in 0..50 {
        sent += peer.put(&b"after all that"[sent..]);
        run.iterate();
        back.extend(peer.take());
        if back == b"after all that" {
            return;
        }
    }
    panic!("the next channel does not work: {back:?}");
}

/// When the server last showed a channel. The reference and the port may be those of the one before.
fn shown(bench: &Bench) -> Option<u64> {
    bench
        .sim
        .store()
        .generation(&format!("/local/domain/{}/data/vchan/0/push/ring-ref", bench.sim.guest().id()))
}

fn connect(bench: &Bench, run: &mut Run<'_>, former: Option<u64>) -> support::client::Client {
    for _ in 0..50 {
        run.iterate();
        let shown = shown(bench);
        if shown != former
            && let Some(client) = support::client::Client::connect(bench)
        {
            return client;
        }
    }
    panic!("the server does not come back");
}

fn our_server(input: &mut Input<'_>) {
    let bench = Bench::new();
    let [left, right] = sizes(input).map(|order| Order::new(order).unwrap());
    let mut server: Server<_> = bench.server(Sizes::new(left, right).unwrap(), input.word());
    let task = async move {
        loop {
            // A client that broke a rule before it came is followed by the next; other errors there are none here.
            let Ok(mut channel) = server.accept().await else { panic!("accept") };
            echo(&mut channel).await;
        }
    };
    let mut run = Run { bench: &bench, task: pin!(task) };
    let mut former = None;
    for _ in 0..4 {
        let mut client = connect(&bench, &mut run, former);
        former = shown(&bench);
        if input.is_empty() {
            heals(&mut client, &mut run);
        } else {
            abuse(input, &mut client, true, &mut run);
        }
        client.leave();
    }
}

fn our_client(input: &mut Input<'_>) {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let orders = sizes(input);
    let client = Client::new(&bench.xen, Path::new(PATH).unwrap(), SERVER);
    let task = async move {
        loop {
            if let Ok(mut connection) = client.connect().await {
                echo(&mut connection).await;
            }
        }
    };
    let mut run = Run { bench: &bench, task: pin!(task) };
    for _ in 0..4 {
        let mut server = host.server(orders, input.word());
        let bad_from_the_start = input.byte() & 1 == 1;
        if bad_from_the_start {
            server.poke_word(usize::from(input.byte() % 16) * 4, input.word());
        }
        host.show(&bench, &server);
        run.iterate();
        if input.is_empty() && !bad_from_the_start {
            heals(&mut server, &mut run);
        } else {
            abuse(input, &mut server, !bad_from_the_start, &mut run);
        }
        server.leave();
        run.iterate();
        assert_eq!(bench.sim.guest().foreign_pages(), 0, "a server that has left is not mapped");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    if input.byte() & 1 == 0 { our_server(&mut input) } else { our_client(&mut input) }
});
