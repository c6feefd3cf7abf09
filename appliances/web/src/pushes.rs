//! The task that takes what dom0 pushes, and what there is to tell of it.
//!
//! ```text
//!   vchan::Server ─ accept ─► Channel ─► block::serve ─► Inbox ─► Shelf ─► the site
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
use kernel::{DomU, System};
use web::publish::{Inbox, Shelf};
use web::site::status::{Counts, Datafront};

/// The last part of the channel's path.
const PORT: &str = "push";
/// Read at once; the ring has four times as much.
const BUFFER_BYTES: usize = 16 * 1024;
/// A guest with less memory has smaller rings.
const SMALL_BYTES: u64 = 24 << 20;
/// After a failure to set the channel up.
const PAUSE_NS: u64 = 1_000_000_000;

/// What dom0 has pushed so far.
#[derive(Debug)]
pub(crate) struct Pushes {
    shelf: Rc<Shelf>,
    blocks: Rc<Cell<ReceiverStats>>,
    channel: Cell<Stats>,
    connected: Cell<bool>,
    path: RefCell<Option<String>>,
    last_error: RefCell<Option<String>>,
}

impl Pushes {
    /// Nothing yet. What is published may take a quarter of the guest's memory: half of that memory is heap.
    pub(crate) fn new(system: &System) -> Self {
        let budget = usize::try_from(system.stats().memory_bytes / 4).unwrap_or(usize::MAX);
        Self {
            shelf: Rc::new(Shelf::new(budget)),
            blocks: Rc::default(),
            channel: Cell::default(),
            connected: Cell::default(),
            path: RefCell::default(),
            last_error: RefCell::default(),
        }
    }

    pub(crate) fn shelf(&self) -> Rc<Shelf> {
        Rc::clone(&self.shelf)
    }

    fn failed(&self, error: &impl core::fmt::Display) {
        kernel::log::warn!("datafront: {error}");
        *self.last_error.borrow_mut() = Some(error.to_string());
    }

    pub(crate) fn status(&self) -> Option<Datafront> {
        let path = self.path.borrow().clone()?;
        let (blocks, channel, shelf) = (self.blocks.get(), self.channel.get(), self.shelf.status());
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Some(Datafront {
            path,
            connected: self.connected.get(),
            channel: Counts(Vec::from([
                ("clients", channel.clients),
                ("read_bytes", channel.read_bytes),
                ("written_bytes", channel.written_bytes),
                ("events", channel.events),
                ("broken", channel.broken),
                ("retired", wide(channel.retired)),
            ])),
            blocks: Counts(Vec::from([
                ("accepted", blocks.accepted),
                ("refused", blocks.refused),
                ("bytes", blocks.bytes),
                ("duplicates", blocks.duplicates),
                ("cut_off", blocks.cut_off),
                ("faults", blocks.faults),
            ])),
            last_seq: blocks.last_seq,
            chain: u64::from(blocks.chain),
            last_error: self.last_error.borrow().clone(),
            published: Counts(Vec::from([
                ("edition", shelf.edition),
                ("files", wide(shelf.files)),
                ("bytes", wide(shelf.bytes)),
                ("budget_bytes", wide(shelf.budget_bytes)),
            ])),
        })
    }
}

/// Takes what dom0 pushes, one sender after another, for as long as the guest runs. What senders have completed is known
/// over all of their connections, and over a suspend, after which the channel is opened at its new path.
pub(crate) async fn receive(system: System, pushes: Rc<Pushes>) {
    let mut receiver = Receiver::new(system.random_u64());
    let mut inbox = Inbox::new(pushes.shelf(), Rc::clone(&pushes.blocks));
    let mut buffer = vec![0; BUFFER_BYTES];
    let is_small = system.stats().memory_bytes < SMALL_BYTES;
    let sizes = if is_small { Sizes::PUSH } else { Sizes::PUSH_LARGE };
    loop {
        match system.data_channel(PORT, sizes).await {
            Ok(mut server) => {
                kernel::log::info!("dom0 pushes at {}", server.path().as_str());
                *pushes.path.borrow_mut() = Some(server.path().as_str().into());
                serve_all(&system, &pushes, &mut server, (&mut receiver, &mut inbox, &mut buffer)).await;
            }
            Err(error) => {
                pushes.failed(&error);
                system.sleep(PAUSE_NS).await;
            }
        }
    }
}

/// Serves one sender after another until the domain has moved.
async fn serve_all(
    system: &System,
    pushes: &Pushes,
    server: &mut Server<DomU>,
    (receiver, inbox, buffer): (&mut Receiver, &mut Inbox, &mut [u8]),
) {
    loop {
        match server.accept().await {
            Ok(mut channel) => {
                pushes.connected.set(true);
                if let Err(error) = serve(&mut channel, receiver, inbox, buffer).await {
                    pushes.failed(&error);
                }
            }
            Err(ServerError::Moved) => return,
            Err(error) => {
                pushes.failed(&error);
                system.sleep(PAUSE_NS).await;
            }
        }
        pushes.connected.set(false);
        pushes.blocks.set(receiver.stats());
        pushes.channel.set(server.stats());
    }
}
