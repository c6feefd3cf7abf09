//! The tasks that receive dom0's pushes, one for each channel, and their status.
//!
//! ```text
//!   System::serve_channel ─► Taking ─► block::serve ─► Inbox ─► Store, which all channels share ─► the site
//! ```

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt::Display;
use kernel::datafront::block::{Outbox, Receiver, ReceiverStats, serve};
use kernel::datafront::vchan::{self, Sizes, Stats};
use kernel::ledger::Consumer;
use kernel::pool::Mismatch;
use kernel::xen::backoff::Backoff;
use kernel::{ChannelHandler, DomU, System};
use web::https::{Receiving, Secrets};
use web::memory::Memory;
use web::options::Options;
use web::publish::{Inbox, Store, numbers};
use web::site::status::{Channel, Datafront};

/// Bytes of a read; the ring has four times as many.
const BUFFER_BYTES: usize = 16 * 1024;
/// With less memory for each channel the rings are smaller.
const SMALL_BYTES: u64 = 24 << 20;
/// Below the domain's own path; the toolstack lets the guest write there.
const CONTENT_NODE: &str = "data/content";
/// The channels and the store that they fill.
#[derive(Debug)]
pub(crate) struct Pushes {
    store: Rc<Store>,
    lanes: Vec<Rc<Lane>>,
    sizes: Sizes,
    tls: Option<Rc<tls::Server>>,
}

/// One channel.
#[derive(Debug)]
struct Lane {
    name: String,
    blocks: Rc<Cell<ReceiverStats>>,
    link: Cell<Stats>,
    connected: Cell<bool>,
    path: RefCell<Option<String>>,
    last_error: Rc<RefCell<Option<String>>>,
}

impl Pushes {
    /// Channels that are not open yet. Published content takes its memory from the ledger; secrets go to `tls`.
    pub(crate) fn new(system: &System, options: &Options, tls: Option<Rc<tls::Server>>) -> Self {
        let names = &options.channels;
        let memory = system.stats().memory_bytes;
        let content = Rc::new(Memory::new(system.ledger().open(Consumer::Content)));
        let each = memory.checked_div(wide(names.len())).unwrap_or(memory);
        let lane = |name: &String| {
            Rc::new(Lane {
                name: name.clone(),
                blocks: Rc::default(),
                link: Cell::default(),
                connected: Cell::default(),
                path: RefCell::default(),
                last_error: Rc::default(),
            })
        };
        Self {
            store: Rc::new(Store::new(content, options.store.clone())),
            lanes: names.iter().map(lane).collect(),
            tls,
            sizes: if each < SMALL_BYTES { Sizes::PUSH } else { Sizes::PUSH_LARGE },
        }
    }

    pub(crate) fn store(&self) -> Rc<Store> {
        Rc::clone(&self.store)
    }

    /// Opens every channel and serves each in a task of its own.
    pub(crate) fn serve(&self, system: &System) {
        system.spawn(tell(system.clone(), self.store()));
        for lane in &self.lanes {
            let secrets = Secrets::new(self.tls.clone(), Rc::clone(&lane.last_error));
            let mut taking = Taking::new(system, lane, self.store(), secrets);
            let (system_of_task, name, sizes) = (system.clone(), lane.name.clone(), self.sizes);
            system.spawn(async move { system_of_task.serve_channel(&name, sizes, &mut taking).await });
        }
    }

    pub(crate) fn status(&self, system: &System, outbox: Option<&Outbox>) -> Option<Datafront> {
        let channels: Vec<Channel> = self.lanes.iter().filter_map(|lane| lane.status()).collect();
        let store = self.store.status();
        let pages = system.data_pages().unwrap_or_else(|Mismatch(counts)| counts);
        let outgoing = outbox.map(Outbox::stats);
        (!channels.is_empty())
            .then(|| Datafront { channels, groups: numbers::all(&pages, &store, outgoing.as_ref()) })
    }
}

impl Lane {
    fn failed(&self, error: &dyn Display) {
        kernel::log::warn!("datafront, {}: {error}", self.name);
        *self.last_error.borrow_mut() = Some(error.to_string());
    }

    fn status(&self) -> Option<Channel> {
        let path = self.path.borrow().clone()?;
        let (blocks, link) = (self.blocks.get(), self.link.get());
        Some(Channel {
            name: self.name.clone(),
            path,
            connected: self.connected.get(),
            last_error: self.last_error.borrow().clone(),
            chain: u64::from(blocks.chain),
            groups: numbers::channel(&blocks, &link),
        })
    }
}

/// Keeps the number of published files in xenstore, so that any script of the toolstack sees a guest that has lost its content.
async fn tell(system: System, store: Rc<Store>) {
    let mut backoff = Backoff::new();
    loop {
        let files = store.status().files.to_string();
        match system.xen().store.write(CONTENT_NODE, files).await {
            Ok(()) => {
                backoff.reset();
                store.changed().await;
            }
            Err(error) => {
                let wait = backoff.failed(error.to_string());
                if wait.is_news {
                    kernel::log::warn!("{CONTENT_NODE}: {error}");
                }
                system.sleep(wait.ns).await;
            }
        }
    }
}

/// What takes the blocks of one channel. The receiver remembers the completed ones over all connections and over a suspend.
struct Taking {
    lane: Rc<Lane>,
    store: Rc<Store>,
    receiver: Receiver,
    inbox: Receiving,
    buffer: Vec<u8>,
}

impl Taking {
    fn new(system: &System, lane: &Rc<Lane>, store: Rc<Store>, secrets: Secrets) -> Self {
        let inbox = Inbox::new(Rc::clone(&store), Rc::clone(&lane.blocks))
            .with_refusal(Rc::clone(&lane.last_error))
            .with_clock({
                let system = system.clone();
                move || system.xen().machine.unix_time_ns().unwrap_or(0) / 1_000_000_000
            });
        Self {
            lane: Rc::clone(lane),
            store,
            receiver: Receiver::new(system.random_u64()),
            inbox: Receiving::new(inbox, secrets),
            buffer: vec![0; BUFFER_BYTES],
        }
    }
}

impl ChannelHandler for Taking {
    fn opened(&mut self, path: &str) {
        kernel::log::info!("dom0 pushes at {path}");
        *self.lane.path.borrow_mut() = Some(path.into());
        // In another domain nothing is written yet.
        self.store.look_again();
    }

    async fn serve(&mut self, channel: &mut vchan::Channel<'_, DomU>) {
        self.lane.connected.set(true);
        self.lane.link.set(channel.stats());
        if let Err(error) = serve(channel, &mut self.receiver, &mut self.inbox, &mut self.buffer).await {
            self.lane.failed(&error);
        }
        self.inbox.sender_gone();
    }

    fn ended(&mut self, stats: Stats) {
        self.lane.connected.set(false);
        self.lane.blocks.set(self.receiver.stats());
        self.lane.link.set(stats);
    }

    fn failed(&mut self, error: &dyn Display) {
        self.lane.failed(error);
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
