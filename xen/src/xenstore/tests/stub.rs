//! A xenstored for tests: own code for ring and messages, so that it does not share the client's mistakes.

use crate::ids::EvtchnPort;
use crate::memory::shared::Shared;
use crate::tests::{STARTS, TestXen, context, page};
use crate::xenstore::XenStore;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::pin::pin;
use core::sync::atomic::Ordering::SeqCst;
use core::task::Poll;

const REQ_CONS: usize = 2048;
const REQ_PROD: usize = 2052;
const RSP_CONS: usize = 2056;
const RSP_PROD: usize = 2060;

/// A message, as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Msg {
    pub(crate) kind: u32,
    pub(crate) req_id: u32,
    pub(crate) tx_id: u32,
    pub(crate) payload: Vec<u8>,
}

impl Msg {
    pub(crate) fn new(kind: u32, req_id: u32, tx_id: u32, payload: &[u8]) -> Self {
        Self { kind, req_id, tx_id, payload: payload.to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let words = [self.kind, self.req_id, self.tx_id, self.payload.len() as u32];
        words.iter().flat_map(|word| word.to_le_bytes()).chain(self.payload.iter().copied()).collect()
    }

    /// The payload's strings.
    fn strings(&self) -> Vec<String> {
        self.payload.split(|byte| *byte == 0).map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }
}

type Nodes = BTreeMap<String, Vec<u8>>;
type Tamper = Box<dyn FnMut(&Msg, Msg) -> Vec<Msg>>;
type Write = (String, Option<Vec<u8>>);

pub(crate) struct Stub {
    pub(crate) page: Shared<'static>,
    pub(crate) nodes: Nodes,
    /// Path and token.
    pub(crate) watches: Vec<(String, String)>,
    /// Open transactions: the store at the start with their changes, and those changes.
    pub(crate) transactions: BTreeMap<u32, (Nodes, Vec<Write>)>,
    last_transaction: u32,
    /// Every request so far.
    pub(crate) seen: Vec<Msg>,
    /// Refuses this many commits with `EAGAIN`.
    pub(crate) conflicts: u32,
    /// Refuses requests of this type with this error.
    pub(crate) refuse: BTreeMap<u32, &'static str>,
    /// Takes requests in and answers none.
    pub(crate) silent: bool,
    /// Makes other answers of an answer.
    pub(crate) tamper: Option<Tamper>,
    /// Bytes that are moved in a step, each way.
    pub(crate) pace: usize,
    input: Vec<u8>,
    pub(crate) output: VecDeque<u8>,
}

impl Stub {
    pub(crate) fn new(page: Shared<'static>) -> Self {
        Self {
            page,
            nodes: BTreeMap::new(),
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            seen: Vec::new(),
            conflicts: 0,
            refuse: BTreeMap::new(),
            silent: false,
            tamper: None,
            pace: usize::MAX,
            input: Vec::new(),
            output: VecDeque::new(),
        }
    }

    pub(crate) fn load(&self, offset: usize) -> u32 {
        self.page.load(offset, SeqCst)
    }

    pub(crate) fn store(&self, offset: usize, value: u32) {
        self.page.store(offset, value, SeqCst);
    }

    /// One iteration of the daemon.
    pub(crate) fn step(&mut self) {
        for _ in 0..self.pace {
            let cons = self.load(REQ_CONS);
            if cons == self.load(REQ_PROD) {
                break;
            }
            self.input.push(self.page.load((cons % 1024) as usize, SeqCst));
            self.store(REQ_CONS, cons.wrapping_add(1));
        }
        while let Some(request) = self.next_request() {
            self.seen.push(request.clone());
            if !self.silent {
                self.answer(&request);
            }
        }
        for _ in 0..self.pace {
            let prod = self.load(RSP_PROD);
            if prod.wrapping_sub(self.load(RSP_CONS)) >= 1024 {
                break;
            }
            let Some(byte) = self.output.pop_front() else { break };
            self.page.store(1024 + (prod % 1024) as usize, byte, SeqCst);
            self.store(RSP_PROD, prod.wrapping_add(1));
        }
    }

    fn next_request(&mut self) -> Option<Msg> {
        let word = |at: usize| Some(u32::from_le_bytes(self.input.get(at..at + 4)?.try_into().ok()?));
        let (kind, req_id, tx_id, len) = (word(0)?, word(4)?, word(8)?, word(12)? as usize);
        assert!(len <= 4096, "the client sent {len} bytes of payload");
        let payload = self.input.get(16..16 + len)?.to_vec();
        self.input.drain(..16 + len);
        Some(Msg { kind, req_id, tx_id, payload })
    }

    pub(crate) fn send(&mut self, message: &Msg) {
        self.output.extend(message.bytes());
    }

    pub(crate) fn fire(&mut self, changed: &str) {
        for (path, token) in self.watches.clone() {
            if changed == path
                || changed.starts_with(&(path.clone() + "/"))
                || path.starts_with(&(changed.to_string() + "/"))
            {
                let shown = if changed.len() < path.len() { &path } else { changed };
                let payload = [shown.as_bytes(), b"\0", token.as_bytes(), b"\0"].concat();
                self.send(&Msg::new(15, 0, 0, &payload));
            }
        }
    }

    /// Sets a node from outside.
    pub(crate) fn set(&mut self, path: &str, value: &str) {
        self.nodes.insert(path.into(), value.as_bytes().to_vec());
        self.fire(path);
    }

    /// Removes a node and those below it, from outside.
    pub(crate) fn delete(&mut self, path: &str) {
        self.nodes.retain(|node, _| node != path && !node.starts_with(&(path.to_string() + "/")));
        self.fire(path);
    }

    fn answer(&mut self, request: &Msg) {
        let outcome = match self.refuse.get(&request.kind) {
            Some(error) => Err(*error),
            None => self.perform(request),
        };
        let (kind, payload) = match outcome {
            Ok(payload) => (request.kind, payload),
            Err(error) => (16, [error.as_bytes(), b"\0"].concat()),
        };
        let reply = Msg { kind, payload, ..request.clone() };
        let replies = match &mut self.tamper {
            Some(tamper) => tamper(request, reply),
            None => [reply].into(),
        };
        for reply in &replies {
            self.send(reply);
        }
        if request.kind == 4 && kind == 4 {
            let strings = request.strings();
            let payload = [strings[0].as_bytes(), b"\0", strings[1].as_bytes(), b"\0"].concat();
            self.send(&Msg::new(15, 0, 0, &payload));
        }
    }

    fn perform(&mut self, request: &Msg) -> Result<Vec<u8>, &'static str> {
        let strings = request.strings();
        let path = strings[0].clone();
        let ok = || Ok(b"OK\0".to_vec());
        if request.tx_id != 0 && !self.transactions.contains_key(&request.tx_id) {
            return Err("ENOENT");
        }
        match request.kind {
            4 => {
                let watch = (path, strings[1].clone());
                if self.watches.contains(&watch) {
                    return Err("EEXIST");
                }
                self.watches.push(watch);
                ok()
            }
            5 => {
                let before = self.watches.len();
                self.watches.retain(|watch| *watch != (path.clone(), strings[1].clone()));
                if self.watches.len() < before { ok() } else { Err("ENOENT") }
            }
            6 => {
                self.last_transaction += 1;
                self.transactions.insert(self.last_transaction, (self.nodes.clone(), Vec::new()));
                Ok((self.last_transaction.to_string() + "\0").into_bytes())
            }
            7 => self.end(request.tx_id, &path),
            10 => Ok(("/local/domain/".to_string() + &path + "\0").into_bytes()),
            14 => ok(),
            21 => {
                self.watches.clear();
                self.transactions.clear();
                ok()
            }
            _ => self.node(request, &path),
        }
    }

    fn end(&mut self, tx_id: u32, verdict: &str) -> Result<Vec<u8>, &'static str> {
        let (_, writes) = self.transactions.remove(&tx_id).ok_or("ENOENT")?;
        if verdict == "T" {
            if self.conflicts > 0 {
                self.conflicts -= 1;
                return Err("EAGAIN");
            }
            for (path, value) in writes {
                match value {
                    Some(value) => drop(self.nodes.insert(path.clone(), value)),
                    None => drop(self.nodes.remove(&path)),
                }
                self.fire(&path);
            }
        }
        Ok(b"OK\0".to_vec())
    }

    fn node(&mut self, request: &Msg, path: &str) -> Result<Vec<u8>, &'static str> {
        let nodes = match self.transactions.get(&request.tx_id) {
            Some((nodes, _)) => nodes,
            None => &self.nodes,
        };
        let write = match request.kind {
            1 => {
                let below = path.to_string() + "/";
                let mut names = Vec::new();
                for node in nodes.keys().filter_map(|node| node.strip_prefix(&below)) {
                    let name = node.split('/').next().unwrap_or_default();
                    if !names.ends_with(&[name]) {
                        names.push(name);
                    }
                }
                if names.is_empty() && !nodes.contains_key(path) {
                    return Err("ENOENT");
                }
                return Ok(names.iter().flat_map(|name| name.bytes().chain([0])).collect());
            }
            2 => return nodes.get(path).cloned().ok_or("ENOENT"),
            11 => Some(request.payload[path.len() + 1..].to_vec()),
            12 => Some(nodes.get(path).cloned().unwrap_or_default()),
            13 => None,
            _ => return Err("ENOSYS"),
        };
        match self.transactions.get_mut(&request.tx_id) {
            Some((nodes, writes)) => {
                writes.push((path.into(), write.clone()));
                match write {
                    Some(value) => drop(nodes.insert(path.into(), value)),
                    None => drop(nodes.remove(path)),
                }
            }
            None => match write {
                Some(value) => {
                    self.nodes.insert(path.into(), value);
                    self.fire(path);
                }
                None => self.delete(path),
            },
        }
        Ok(b"OK\0".to_vec())
    }
}

/// A client, its daemon, and the Xen between them.
pub(crate) struct World {
    pub(crate) xen: TestXen,
    pub(crate) stub: Stub,
    pub(crate) store: XenStore,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    /// One whose indexes all start at a number.
    pub(crate) fn starting_at(start: u32) -> Self {
        let page = page();
        for index in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
            page.store(index, start, SeqCst);
        }
        let store = XenStore::new(page, EvtchnPort(1));
        Self { xen: TestXen::default(), stub: Stub::new(page), store }
    }

    /// Runs a test in worlds of every start.
    pub(crate) fn each(test: impl Fn(Self)) {
        for start in STARTS {
            test(Self::starting_at(start));
        }
    }

    /// One iteration of both sides. Checks that there is at most one notification.
    pub(crate) fn iterate(&mut self) {
        let before = self.xen.notifications.get();
        self.store.pump(&self.xen);
        assert!(self.xen.notifications.get() <= before + 1, "more than one notification in a pump");
        self.stub.step();
    }

    /// Iterates until nothing changes any more.
    pub(crate) fn run_until_idle(&mut self) {
        let mut quiet = 0;
        for _ in 0..100_000 {
            let progress = self.store.pump(&self.xen);
            self.stub.step();
            quiet = if progress { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
        }
        panic!("it does not become idle");
    }

    /// Runs a future to its end.
    pub(crate) fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.try_run(future).unwrap_or_else(|| panic!("the future does not end"))
    }

    /// Runs a future to its end; `None` if it has none.
    pub(crate) fn try_run<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        for _ in 0..20_000 {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context()) {
                return Some(value);
            }
            self.iterate();
        }
        None
    }

    /// Polls a future a number of times, with iterations in between, and drops it.
    pub(crate) fn start_and_drop<T>(&mut self, future: impl Future<Output = T>, iterations: usize) {
        let mut future = pin!(future);
        assert!(future.as_mut().poll(&mut context()).is_pending());
        for _ in 0..iterations {
            self.iterate();
        }
    }
}
