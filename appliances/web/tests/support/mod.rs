//! A client in memory: what it sends in which pieces and when, and what it got.

#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod fake;
pub(crate) mod tar;

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use kernel::net::Bytes;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use web::http::{Limits, Next, Port, Server, Site};
use web::memory::Memory;
use web::publish::{Store, StoreOptions};
use web::site::{Source, StatusSite};

/// What a client does next.
pub(crate) enum Does {
    /// Sends bytes.
    Sends(Vec<u8>),
    /// Sends nothing for this number of seconds.
    Waits(u64),
    /// Closes its direction. Without this, it stays and sends no more.
    Closes,
}

#[derive(Default)]
struct Line {
    script: VecDeque<Does>,
    got: Vec<u8>,
    writes: Vec<usize>,
    /// Bytes that the client still takes.
    takes: usize,
}

struct Stream(Rc<RefCell<Line>>);

/// No client's fault is needed.
#[derive(Debug)]
pub(crate) struct ErrorKind;

impl web::http::Stream for Stream {
    type Chunk = Vec<u8>;
    type Error = ErrorKind;

    async fn recv(&mut self) -> Result<Option<Vec<u8>>, ErrorKind> {
        poll_fn(|_| {
            let mut line = self.0.borrow_mut();
            match line.script.front() {
                Some(Does::Sends(_)) => {
                    let Some(Does::Sends(bytes)) = line.script.pop_front() else { unreachable!() };
                    Poll::Ready(Ok(Some(bytes)))
                }
                Some(Does::Closes) => Poll::Ready(Ok(None)),
                Some(Does::Waits(_)) | None => Poll::Pending,
            }
        })
        .await
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), ErrorKind> {
        let mut rest = bytes;
        poll_fn(|_| {
            let mut line = self.0.borrow_mut();
            let taken = rest.split_to(rest.len().min(line.takes));
            line.takes -= taken.len();
            line.got.extend_from_slice(&taken);
            line.writes.push(taken.len());
            if rest.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    fn park(self) {}
}

/// What became of a connection.
pub(crate) struct Outcome {
    pub(crate) got: Vec<u8>,
    /// Sizes of the writes.
    pub(crate) writes: Vec<usize>,
    /// Whether the server still serves it.
    pub(crate) open: bool,
}

impl Outcome {
    /// The replies, to requests of these methods; panics if they are not exactly that.
    pub(crate) fn replies(&self, methods: &[&str]) -> Vec<Answer> {
        let mut rest = self.got.as_slice();
        let replies = methods.iter().map(|method| take_reply(&mut rest, method)).collect();
        assert!(rest.is_empty(), "more than was asked for: {}", String::from_utf8_lossy(rest));
        replies
    }

    /// The reply to the only request.
    pub(crate) fn reply(&self) -> Answer {
        self.replies(&["GET"]).remove(0)
    }
}

/// A reply as a client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn take_reply(rest: &mut &[u8], method: &str) -> Answer {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut lines);
    let head = match parsed.parse(rest).unwrap() {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => panic!("no whole reply in {:?}", String::from_utf8_lossy(rest)),
    };
    let mut headers = HashMap::new();
    for line in parsed.headers.iter() {
        let value = String::from_utf8(line.value.to_vec()).unwrap();
        assert!(headers.insert(line.name.to_lowercase(), value).is_none(), "{} stands twice", line.name);
    }
    let length: usize = headers["content-length"].parse().unwrap();
    let end = head + if method == "HEAD" { 0 } else { length };
    let body = String::from_utf8(rest[head..end].to_vec()).unwrap();
    let code = parsed.code.unwrap();
    *rest = &rest[end..];
    Answer { code, headers, body }
}

/// What the wall clock says, always.
const DATE: u64 = 784_111_777;

thread_local! {
    /// Seconds, for all servers of a test.
    static NOW: Cell<u64> = const { Cell::new(1000) };
}

/// A server of the fake guest's site.
pub(crate) fn server() -> Server<StatusSite<fake::Fake>> {
    let server = Server::new(site(fake::Fake(42)), Limits::default());
    tell_time(&server);
    server
}

/// Sets the time of a new server.
pub(crate) fn tell_time<S: Site>(server: &Server<S>) {
    server.tick(NOW.get(), DATE);
}

/// Runs a connection as far as it goes. The client takes everything.
pub(crate) fn run<S: Site>(server: &Server<S>, script: Vec<Does>) -> Outcome {
    run_taking(server, script, usize::MAX)
}

/// A site without published files.
pub(crate) fn site<S: Source>(guest: S) -> StatusSite<S> {
    site_of(guest, store_of(0))
}

/// A site with the files of a store.
pub(crate) fn site_of<S: Source>(guest: S, store: Rc<Store>) -> StatusSite<S> {
    StatusSite::new(guest, store, Rc::new(Memory::limited(1 << 20)))
}

/// An empty store with a limit in bytes.
pub(crate) fn store_of(most: usize) -> Rc<Store> {
    store_with(most, StoreOptions::default())
}

/// The same with the operator's choices.
pub(crate) fn store_with(most: usize, options: StoreOptions) -> Rc<Store> {
    Rc::new(Store::new(Rc::new(Memory::limited(most)), options))
}

/// A client's end that is served by hand.
pub(crate) fn connect(script: Vec<Does>, takes: usize) -> impl web::http::Stream<Error = ErrorKind> {
    Stream(Rc::new(RefCell::new(Line { script: script.into(), takes, ..Line::default() })))
}

/// Runs a connection with a client that takes this number of bytes and then no more.
pub(crate) fn run_taking<S: Site>(server: &Server<S>, script: Vec<Does>, takes: usize) -> Outcome {
    run_at(server, script, takes, Port::Public)
}

/// A second passes, if that is what the client does next. `None`: it does something else, or nothing any more.
fn wait<S: Site>(server: &Server<S>, line: &mut Line) -> Option<()> {
    let Some(Does::Waits(left)) = line.script.front_mut() else { return None };
    if *left == 0 {
        line.script.pop_front();
        return Some(());
    }
    *left -= 1;
    NOW.set(NOW.get() + 1);
    server.tick(NOW.get(), DATE);
    Some(())
}

/// Runs a connection at a port: it is served while there is something to read, and parked in between.
pub(crate) fn run_at<S: Site>(server: &Server<S>, script: Vec<Does>, takes: usize, port: Port) -> Outcome {
    let line = Rc::new(RefCell::new(Line { script: script.into(), takes, ..Line::default() }));
    let mut stream = Stream(Rc::clone(&line));
    let mut cx = Context::from_waker(Waker::noop());
    server.begins(true);
    let open = 'connection: loop {
        let mut serving = pin!(server.serve(&mut stream, port));
        let next = loop {
            match serving.as_mut().poll(&mut cx) {
                Poll::Ready(next) => break next.unwrap(),
                // Not read, because sending waits: nothing will move any more.
                Poll::Pending if wait(server, &mut line.borrow_mut()).is_none() => break 'connection true,
                Poll::Pending => {}
            }
        };
        if next == Next::End {
            break false;
        }
        let mut line = line.borrow_mut();
        // The stack ends connections that are parked for a minute.
        let mut seconds = 0;
        while wait(server, &mut line).is_some() {
            seconds += 1;
        }
        if seconds > 60 {
            break false;
        }
        if line.script.is_empty() {
            break true;
        }
    };
    let line = line.borrow();
    Outcome { got: line.got.clone(), writes: line.writes.clone(), open }
}

/// One piece, then nothing.
pub(crate) fn ask(bytes: &str) -> Outcome {
    run(&server(), vec![Does::Sends(bytes.as_bytes().to_vec())])
}

/// Numbers that look random and are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }
}
