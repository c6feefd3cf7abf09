//! The tasks that take what dom0 pushes, one a channel, and what there is to tell of them.
//!
//! ```text
//!   vchan::Server ─ accept ─► Channel ─► block::serve ─► Inbox ─► Store, which all channels share ─► the site
//!        ▲                                  │ ended, for whatever reason: the next sender
//!        └──────────────────────────────────┘
//! ```

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use kernel::datafront::block::{Receiver, ReceiverStats, serve};
use kernel::datafront::vchan::{Server, ServerError, Sizes, Stats};
use kernel::pool::Mismatch;
use kernel::{DomU, System};
use web::publish::{Inbox, Store, groups};
use web::site::status::{Channel, Datafront};

/// Read at once; the ring has four times as much.
const BUFFER_BYTES: usize = 16 * 1024;
/// A guest that has less memory for each channel has smaller rings.
const SMALL_BYTES: u64 = 24 << 20;
/// After a failure to set a channel up.
const PAUSE_NS: u64 = 1_000_000_000;

/// What dom0 has pushed so far.
#[derive(Debug)]
pub(crate) struct Pushes {
    store: Rc<Store>,
    lanes: Vec<Rc<Lane>>,
    sizes: Sizes,
}

/// One channel.
#[derive(Debug)]
struct Lane {
    name: String,
    blocks: Rc<Cell<ReceiverStats>>,
    link: Cell<Stats>,
    connected: Cell<bool>,
    path: RefCell<Option<String>>,
    last_error: RefCell<Option<String>>,
}

impl Pushes {
    /// Nothing yet, on channels of these names. What is published may take a quarter of the guest's memory: half of that
    /// memory is heap.
    pub(crate) fn new(system: &System, names: &[String]) -> Self {
        let memory = system.stats().memory_bytes;
        let budget = usize::try_from(memory / 4).unwrap_or(usize::MAX);
        let each = memory.checked_div(wide(names.len())).unwrap_or(memory);
        let lane = |name: &String| {
            Rc::new(Lane {
                name: name.clone(),
                blocks: Rc::default(),
                link: Cell::default(),
                connected: Cell::default(),
                path: RefCell::default(),
                last_error: RefCell::default(),
            })
        };
        Self {
            store: Rc::new(Store::new(budget)),
            lanes: names.iter().map(lane).collect(),
            sizes: if each < SMALL_BYTES { Sizes::PUSH } else { Sizes::PUSH_LARGE },
        }
    }

    pub(crate) fn store(&self) -> Rc<Store> {
        Rc::clone(&self.store)
    }

    /// Opens every channel, and serves each in a task of its own.
    pub(crate) fn serve(&self, system: &System) {
        for lane in &self.lanes {
            system.spawn(receive(system.clone(), Rc::clone(lane), self.store(), self.sizes));
        }
    }

    pub(crate) fn status(&self, system: &System) -> Option<Datafront> {
        let channels: Vec<Channel> = self.lanes.iter().filter_map(|lane| lane.status()).collect();
        let store = self.store.status();
        let pages = system.data_pages().unwrap_or_else(|Mismatch(counts)| counts);
        (!channels.is_empty()).then(|| Datafront { channels, groups: groups::all(&pages, &store) })
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
            groups: groups::channel(&blocks, &link),
        })
    }
}

/// Takes what dom0 pushes on one channel, one sender after another, for as long as the guest runs. What senders have
/// completed is known over all of their connections, and over a suspend, after which the channel is opened at its new path.
async fn receive(system: System, lane: Rc<Lane>, store: Rc<Store>, sizes: Sizes) {
    let mut receiver = Receiver::new(system.random_u64());
    let mut inbox = Inbox::new(store, Rc::clone(&lane.blocks));
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match system.data_channel(&lane.name, sizes).await {
            Ok(mut server) => {
                kernel::log::info!("dom0 pushes at {}", server.path().as_str());
                *lane.path.borrow_mut() = Some(server.path().as_str().into());
                serve_all(&system, &lane, &mut server, (&mut receiver, &mut inbox, &mut buffer)).await;
            }
            Err(error) => {
                lane.failed(&error);
                system.sleep(PAUSE_NS).await;
            }
        }
    }
}

/// Serves one sender after another until the domain has moved.
async fn serve_all(
    system: &System,
    lane: &Lane,
    server: &mut Server<DomU>,
    (receiver, inbox, buffer): (&mut Receiver, &mut Inbox, &mut [u8]),
) {
    loop {
        match server.accept().await {
            Ok(mut channel) => {
                lane.connected.set(true);
                lane.link.set(channel.stats());
                if let Err(error) = serve(&mut channel, receiver, inbox, buffer).await {
                    lane.failed(&error);
                }
            }
            Err(ServerError::Moved) => return,
            Err(error) => {
                lane.failed(&error);
                system.sleep(PAUSE_NS).await;
            }
        }
        lane.connected.set(false);
        lane.blocks.set(receiver.stats());
        lane.link.set(server.stats());
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
