//! A test of iperf3, from its cookie to its results.

use crate::streams::{self, Count};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use alloc::{boxed::Box, vec};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use embedded_io_async::{Read as _, Write as _};
use futures_util::future::{Either, join_all, select};
use iperf::datagram::welcome;
use iperf::session::{
    COOKIE_LEN, Cookie, PARAMS_MAX, Params, RESULTS_MAX, STREAMS_MAX, State, StreamResult, UNIMPLEMENTED,
    results, stream_id,
};
use kernel::System;
use kernel::net::{IpEndpoint, NetError, TcpStream, UdpSocket};
use kernel::xen::signal::Signal;

/// The time for a client's answer.
const ANSWER_NS: u64 = 10_000_000_000;

/// Why a test failed.
#[derive(Debug)]
enum Fault {
    Net(NetError),
    Refused(&'static str),
    Silent,
    TooLong,
    Memory,
    TooLarge(usize),
    Protocol,
}

impl From<NetError> for Fault {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Net(error) => write!(f, "{error}"),
            Self::Refused(why) => f.write_str(why),
            Self::Silent => f.write_str("the client was silent for 10 s"),
            Self::TooLong => f.write_str("the client did not end it in time"),
            Self::Memory => f.write_str("no memory for what the client sends"),
            Self::TooLarge(most) => write!(f, "the client sends more than {most} bytes of JSON"),
            Self::Protocol => f.write_str("the client does not follow iperf3's protocol"),
        }
    }
}

/// The server: one test at a time.
pub(crate) struct Server {
    system: System,
    socket: UdpSocket,
    /// The running test.
    cookie: Cell<Option<Cookie>>,
    /// Its connections that are not in use yet.
    arrived: RefCell<VecDeque<TcpStream>>,
    news: Signal,
}

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

impl Server {
    pub(crate) fn new(system: &System, socket: UdpSocket) -> Self {
        let system = system.clone();
        let (cookie, arrived) = (Cell::new(None), RefCell::default());
        Self { system, socket, cookie, arrived, news: Signal::new() }
    }

    /// Reads a connection's cookie and gives it to its test.
    pub(crate) async fn connection(&self, mut stream: TcpStream) {
        let mut cookie = [0; COOKIE_LEN];
        let Ok(()) = self.answered(exactly(&mut stream, &mut cookie)).await else { return };
        match self.cookie.get() {
            Some(known) if known == cookie => {
                let mut arrived = self.arrived.borrow_mut();
                // More than a test can have: this one closes by being dropped.
                if arrived.len() < usize::try_from(STREAMS_MAX).unwrap_or(usize::MAX) {
                    arrived.push_back(stream);
                    self.news.set();
                }
            }
            Some(_) => _ = say(&mut stream, State::AccessDenied).await,
            None => {
                self.cookie.set(Some(cookie));
                let peer = stream.peer();
                if let Err(fault) = self.test(&mut stream).await {
                    kernel::log::warn!("iperf3: test of {peer}: {fault}");
                }
                self.arrived.borrow_mut().clear();
                self.cookie.set(None);
            }
        }
    }

    async fn test(&self, control: &mut TcpStream) -> Result<(), Fault> {
        say(control, State::ParamExchange).await?;
        let params = match Params::parse(&self.params(control).await?) {
            Ok(params) => params,
            Err(why) => {
                say(control, State::ServerError).await?;
                let numbers = [UNIMPLEMENTED.to_be_bytes(), [0; 4]];
                control.write_all(numbers.as_flattened()).await?;
                return Err(Fault::Refused(why));
            }
        };
        let counts: Vec<Rc<Count>> = (0..params.parallel).map(|_| Rc::default()).collect();
        say(control, State::CreateStreams).await?;
        let running = self.answered(self.streams(&params, &counts)).await?;
        say(control, State::TestStart).await?;
        say(control, State::TestRunning).await?;
        let started = self.system.now();
        let limit = params.limit_seconds().saturating_mul(1_000_000_000);
        self.system
            .timeout(limit, self.until_the_end(control, running))
            .await
            .unwrap_or(Err(Fault::TooLong))?;
        let ns = self.system.now().since(started);
        let ours = results(&report(&params, &counts, ns)).ok_or(Fault::Memory)?;
        say(control, State::ExchangeResults).await?;
        self.skip_results(control).await?;
        control.write_all(&ours).await?;
        say(control, State::DisplayResults).await?;
        let bytes: u64 = counts.iter().map(|count| count.bytes.get()).sum();
        let received: u64 = counts.iter().map(|count| count.tally.borrow().bytes).sum();
        let (bytes, ms) = (bytes.max(received), ns / 1_000_000);
        kernel::log::info!("iperf3: {bytes} bytes in {ms} ms with {}", control.peer());
        // IPERF_DONE or the end of the connection: both end the session.
        let _ = self.answered(exactly(control, &mut [0])).await;
        Ok(())
    }

    /// Runs the streams until the client ends the test.
    async fn until_the_end(&self, control: &mut TcpStream, running: Vec<Running<'_>>) -> Result<(), Fault> {
        let mut word = [0];
        let running = join_all(running);
        let outcome = match select(Box::pin(exactly(control, &mut word)), running).await {
            Either::Left((said, _)) => said,
            // All streams have ended, so the end of the test follows.
            Either::Right((_, word)) => self.answered(word).await,
        };
        outcome?;
        if word[0] == State::TestEnd.byte() { Ok(()) } else { Err(Fault::Protocol) }
    }

    /// A future for each stream; waits until the client has opened all of them.
    async fn streams<'a>(
        &'a self,
        params: &'a Params,
        counts: &'a [Rc<Count>],
    ) -> Result<Vec<Running<'a>>, Fault> {
        let mut running: Vec<Running<'a>> = Vec::new();
        if params.udp {
            let peers = self.greetings(params).await?;
            if !params.reverse {
                return Ok(vec![Box::pin(self.receive(params, peers, counts))]);
            }
            for (peer, count) in peers.into_iter().zip(counts) {
                let stream = streams::datagrams(&self.system, params, &self.socket, peer, Rc::clone(count));
                running.push(Box::pin(stream));
            }
            return Ok(running);
        }
        for count in counts {
            let stream = self.next_stream().await;
            let count = Rc::clone(count);
            running.push(if params.reverse {
                Box::pin(streams::source(stream, count))
            } else {
                Box::pin(streams::sink(stream, count))
            });
        }
        Ok(running)
    }

    async fn next_stream(&self) -> TcpStream {
        loop {
            let next = self.arrived.borrow_mut().pop_front();
            if let Some(stream) = next {
                return stream;
            }
            self.news.wait().await;
        }
    }

    /// Answers the greeting of each stream of datagrams; the addresses of their senders.
    async fn greetings(&self, params: &Params) -> Result<Vec<IpEndpoint>, Fault> {
        let mut peers = Vec::new();
        while u32::try_from(peers.len()).is_ok_and(|len| len < params.parallel) {
            let datagram = self.socket.recv_owned().await?;
            let peer = datagram.from();
            // A late datagram of a former test is no greeting.
            let Some(answer) = welcome(datagram.payload()) else { continue };
            self.socket.send_to(&answer, peer).await?;
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        Ok(peers)
    }

    /// Counts the datagrams of all streams.
    async fn receive(&self, params: &Params, peers: Vec<IpEndpoint>, counts: &[Rc<Count>]) {
        while let Ok(datagram) = self.socket.recv_owned().await {
            let count =
                peers.iter().position(|known| *known == datagram.from()).and_then(|at| counts.get(at));
            if let Some(count) = count {
                streams::datagram(&self.system, params, datagram.payload(), count);
            }
        }
    }

    async fn params(&self, control: &mut TcpStream) -> Result<Vec<u8>, Fault> {
        let len = self.length(control, PARAMS_MAX).await?;
        let mut text = streams::zeros(len).ok_or(Fault::Memory)?;
        self.answered(exactly(control, &mut text)).await?;
        Ok(text)
    }

    async fn skip_results(&self, control: &mut TcpStream) -> Result<(), Fault> {
        let mut rest = self.length(control, RESULTS_MAX).await?;
        let mut buffer = [0; 256];
        while rest > 0 {
            let piece = buffer.get_mut(..rest.min(256)).unwrap_or_default();
            self.answered(exactly(control, piece)).await?;
            rest = rest.saturating_sub(piece.len());
        }
        Ok(())
    }

    /// The length of the JSON text that follows.
    async fn length(&self, control: &mut TcpStream, most: usize) -> Result<usize, Fault> {
        let mut len = [0; 4];
        self.answered(exactly(control, &mut len)).await?;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if len > most { Err(Fault::TooLarge(most)) } else { Ok(len) }
    }

    async fn answered<T>(&self, future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.system.timeout(ANSWER_NS, future).await.unwrap_or(Err(Fault::Silent))
    }
}

async fn say(control: &mut TcpStream, state: State) -> Result<(), Fault> {
    Ok(control.write_all(&[state.byte()]).await?)
}

/// Fills the buffer.
async fn exactly(stream: &mut TcpStream, mut room: &mut [u8]) -> Result<(), Fault> {
    while !room.is_empty() {
        match stream.read(room).await? {
            0 => return Err(Fault::Protocol),
            len => room = core::mem::take(&mut room).get_mut(len..).unwrap_or_default(),
        }
    }
    Ok(())
}

#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "nanoseconds of a test are far below 2^53"
)]
fn report(params: &Params, counts: &[Rc<Count>], ns: u64) -> Vec<StreamResult> {
    let one = |(place, count): (u32, &Rc<Count>)| {
        let tally = *count.tally.borrow();
        let received = params.udp && !params.reverse;
        StreamResult {
            id: stream_id(place),
            bytes: if received { tally.bytes } else { count.bytes.get() },
            retransmits: -1,
            jitter: tally.jitter / 1e6,
            errors: tally.lost,
            packets: if received { tally.highest } else { count.packets.get() },
            start_time: 0.0,
            end_time: ns as f64 / 1e9,
        }
    };
    (0..).zip(counts).map(one).collect()
}
