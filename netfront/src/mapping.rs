//! Pages that the backend keeps mapped, as the device has them: what it is to be told next, and what has become of it.
//!
//! ```text
//!   Begin: room for so many of a queue      Next ─► a batch to map, or to unmap      Done: so it is from now on
//!   a pool has grown ─► to be mapped        a pool shrinks ─► unmapped first, then the grant ends
//!   End: everything is to be unmapped, for the vif is about to leave
//! ```
//!
//! Nothing of this is believed: whether a page is still in use is for Xen to say when its grant is to end. So a backend
//! that lies about it costs pages in quarantine, like any that does not let go.

use crate::device::NetDevice;
use crate::mailbox::{Notice, Reply};
use crate::queue::Queue;
use alloc::vec::Vec;
use xen::abi::io_netif::{NetifGref, NetifGrefFlags};
use xen::ids::PAGE_SIZE;
use xen::{Gref, Machine, Xen};

/// Entries that fit into the page of a list.
pub(crate) const MOST: usize = PAGE_SIZE / size_of::<NetifGref>();

/// What the life of the vif does about mappings; queues by number.
#[derive(Debug)]
pub(crate) enum Step {
    /// The backend has room for so many pages of a queue.
    Begin(u32, usize),
    /// What is to be told next?
    Next(u32),
    /// It was told, and has agreed, or not.
    Done(u32, Batch, bool),
    /// Everything is to be unmapped.
    End,
    /// Nothing can be told any more.
    GiveUp,
}

/// Pages to be mapped, or to be unmapped.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Mapped.
    pub(crate) add: bool,
    rx: Vec<Gref>,
    tx: Vec<Gref>,
}

impl Batch {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.rx.len().saturating_add(self.tx.len())
    }

    /// As the list has them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = NetifGref> + '_ {
        let of = |flags: NetifGrefFlags| {
            move |gref: &Gref| NetifGref { gref: gref.0, flags: flags.bits(), status: 0 }
        };
        let rx = self.rx.iter().map(of(NetifGrefFlags::empty()));
        rx.chain(self.tx.iter().map(of(NetifGrefFlags::READONLY)))
    }
}

/// How a queue's pages are mapped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mapping {
    /// So many at most.
    room: usize,
    /// Everything is to be unmapped.
    ending: bool,
}

impl Queue {
    /// Pages that the backend keeps mapped.
    pub(crate) fn mapped(&self) -> usize {
        let strip = self.tx.strip.as_ref().map_or(0, |strip| strip.books.mapped());
        self.rx.pool.books.mapped().saturating_add(self.tx.pool.books.mapped()).saturating_add(strip)
    }

    /// How many more to receive into can be mapped, and how many to send from: where there is not room for all, each
    /// gets half.
    fn to_map(&self) -> (usize, usize) {
        let (rx, tx) = (&self.rx.pool.books, &self.tx.pool.books);
        let strip =
            self.tx.strip.as_ref().map_or((0, 0), |strip| (strip.books.pages(), strip.books.mapped()));
        let room = self.mapping.room;
        let tx_pages = tx.pages().saturating_add(strip.0);
        let for_tx = tx_pages.min(room.saturating_sub(rx.pages()).max(room / 2));
        let for_rx = rx.pages().min(room.saturating_sub(for_tx));
        let left = room.saturating_sub(self.mapped());
        let more_rx = for_rx.saturating_sub(rx.mapped()).min(left);
        let mapped_tx = tx.mapped().saturating_add(strip.1);
        (more_rx, for_tx.saturating_sub(mapped_tx).min(left.saturating_sub(more_rx)))
    }

    /// Whether there is anything to be told.
    fn is_due(&self) -> bool {
        self.rx.pool.has_retiring() || self.tx.pool.has_retiring() || self.to_map() != (0, 0)
    }

    /// What is to be told next.
    fn next_batch(&self) -> Option<Batch> {
        let (rx_pool, tx_pool) = (&self.rx.pool, &self.tx.pool);
        let rx = rx_pool.retiring(MOST);
        let tx = tx_pool.retiring(MOST.saturating_sub(rx.len()));
        let mut batch = Batch { add: false, rx, tx };
        if batch.len() == 0 && self.mapping.ending {
            batch.rx = rx_pool.books.all_mapped(MOST);
            batch.tx = tx_pool.books.all_mapped(MOST.saturating_sub(batch.rx.len()));
            let left = MOST.saturating_sub(batch.len());
            batch.tx.extend(self.tx.strip.iter().flat_map(|strip| strip.books.all_mapped(left)));
        } else if batch.len() == 0 {
            let (rx, tx) = self.to_map();
            batch.add = true;
            batch.rx = rx_pool.books.not_mapped(rx.min(MOST));
            let tx = tx.min(MOST.saturating_sub(batch.rx.len()));
            batch.tx = tx_pool.books.not_mapped(tx);
            let left = tx.saturating_sub(batch.tx.len());
            batch.tx.extend(self.tx.strip.iter().flat_map(|strip| strip.books.not_mapped(left)));
        }
        (batch.len() > 0).then_some(batch)
    }

    /// What has become of a batch.
    fn was_told<M: Machine>(&mut self, xen: &Xen<M>, batch: &Batch, agreed: bool) {
        if batch.add && !agreed {
            // All of it, or nothing. Not so many again.
            self.mapping.room = self.mapped();
            return;
        }
        if !batch.add {
            self.rx.pool.retire(xen, &batch.rx);
            self.tx.pool.retire(xen, &batch.tx);
        }
        self.rx.pool.books.mark(&batch.rx, batch.add);
        self.tx.pool.books.mark(&batch.tx, batch.add);
        if let Some(strip) = &mut self.tx.strip {
            strip.books.mark(&batch.tx, batch.add);
        }
    }

    fn set_can_retire(&mut self, can: bool) {
        self.rx.pool.set_can_retire(can);
        self.tx.pool.set_can_retire(can);
    }
}

impl<M: Machine> NetDevice<M> {
    /// Does what the life of the vif asks for.
    pub(crate) fn map_pages(&mut self, step: Step) -> Reply {
        match step {
            Step::Begin(number, room) => {
                if let Some(queue) = nth(&mut self.queues, number) {
                    queue.mapping = Mapping { room, ending: false };
                    queue.set_can_retire(true);
                }
            }
            Step::Next(number) => {
                return Reply::Batch(nth(&mut self.queues, number).and_then(|queue| queue.next_batch()));
            }
            Step::Done(number, batch, agreed) => {
                if let Some(queue) = nth(&mut self.queues, number) {
                    queue.was_told(&self.xen, &batch, agreed);
                }
            }
            Step::End => {
                self.queues.iter_mut().for_each(|queue| queue.mapping = Mapping { room: 0, ending: true })
            }
            Step::GiveUp => {
                for queue in &mut self.queues {
                    queue.mapping = Mapping::default();
                    queue.rx.pool.keep_retiring();
                    queue.tx.pool.keep_retiring();
                }
            }
        }
        Reply::Done
    }

    /// Has the life of the vif tell the backend about pages that came or are to go, if there are any.
    pub(crate) fn look_after_mappings(&self) {
        if self.link_up && self.queues.iter().any(Queue::is_due) {
            self.mailbox.tell(Notice::Mappings);
        }
    }
}

fn nth(queues: &mut [Queue], number: u32) -> Option<&mut Queue> {
    queues.get_mut(usize::try_from(number).ok()?)
}
