//! The tasks that receive dom0's pushes, one for each channel, and their status.
//!
//! ```text
//!   vchan::Server ─ accept ─► Channel ─► block::serve ─► Inbox ─► Store, which all channels share ─► the site
//!        ▲                                  │ ended, for any reason: the next sender
//!        └──────────────────────────────────┘
//! ```

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use kernel::datafront::block::{Outbox, Receiver, ReceiverStats, serve};
use kernel::datafront::vchan::{Server, ServerError, Sizes, Stats};
use kernel::ledger::Consumer;
use kernel::pool::Mismatch;
use kernel::xen::backoff::Backoff;
use kernel::{DomU, System};
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
            system.spawn(receive(system.clone(), Rc::clone(lane), (self.store(), secrets), self.sizes));
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
    fn failed(&self, error: &impl core::fmt::Display) {
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

/// Receives what dom0 pushes on one channel, one sender after another, as long as the guest runs. The receiver remembers the
/// completed blocks over all connections and over a suspend, after which the channel has a new path.
async fn receive(system: System, lane: Rc<Lane>, (store, secrets): (Rc<Store>, Secrets), sizes: Sizes) {
    let mut receiver = Receiver::new(system.random_u64());
    let inbox = Inbox::new(Rc::clone(&store), Rc::clone(&lane.blocks))
        .with_refusal(Rc::clone(&lane.last_error))
        .with_clock({
            let system = system.clone();
            move || system.xen().machine.unix_time_ns().unwrap_or(0) / 1_000_000_000
        });
    let mut inbox = Receiving::new(inbox, secrets);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut backoff = Backoff::new();
    loop {
        match system.data_channel(&lane.name, sizes).await {
            Ok(mut server) => {
                backoff.reset();
                *lane.path.borrow_mut() = Some(server.path().as_str().into());
                // In another domain nothing is written yet.
                store.look_again();
                serve_all(&system, &lane, &mut server, (&mut receiver, &mut inbox, &mut buffer)).await;
            }
            Err(error) => {
                let wait = backoff.failed(error.to_string());
                if wait.is_news {
                    lane.failed(&error);
                }
                system.sleep(wait.ns).await;
            }
        }
    }
}

/// Serves one sender after another until the domain has a new number.
async fn serve_all(
    system: &System,
    lane: &Lane,
    server: &mut Server<DomU>,
    (receiver, inbox, buffer): (&mut Receiver, &mut Receiving, &mut [u8]),
) {
    let sleep = async |ns| system.sleep(ns).await;
    let mut is_told = false;
    loop {
        if server.offer(&sleep, |error| lane.failed(error)).await.is_err() {
            return;
        }
        if !core::mem::replace(&mut is_told, true) {
            kernel::log::info!("dom0 pushes at {}", server.path().as_str());
        }
        match server.accept().await {
            Ok(mut channel) => {
                lane.connected.set(true);
                lane.link.set(channel.stats());
                if let Err(error) = serve(&mut channel, receiver, inbox, buffer).await {
                    lane.failed(&error);
                }
                inbox.sender_gone();
            }
            Err(ServerError::Moved) => return,
            Err(error) => lane.failed(&error),
        }
        lane.connected.set(false);
        lane.blocks.set(receiver.stats());
        lane.link.set(server.stats());
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
