//! The pages of a queue that the backend keeps mapped: which ones it is to map or unmap next.
//!
//! ```text
//!   next_batch ─► Batch {add or delete, grefs of rx, grefs of tx} ─► the backend is told ─► complete_batch
//! ```
//!
//! What the backend says is not believed: whether a page is still in use is Xen's answer when its grant is to end. A
//! backend that does not unmap a page costs a quarantined page.

use super::Queue;
use alloc::vec::Vec;
use pool::contiguous::ContiguousBuffer;
use xen::abi::io_netif::{NetifGref, NetifGrefFlags};
use xen::ids::PAGE_SIZE;
use xen::{Gref, Machine, Xen};

/// Entries of a list: as many as fit into a page.
pub(crate) const MAX_ENTRIES: usize = PAGE_SIZE / size_of::<NetifGref>();

/// Pages to be mapped, or to be unmapped.
#[derive(Debug)]
pub(crate) struct Batch {
    add: bool,
    rx: Vec<Gref>,
    tx: Vec<Gref>,
}

impl Batch {
    /// Whether the pages are to be mapped.
    pub(crate) const fn is_add(&self) -> bool {
        self.add
    }

    /// The number of pages.
    pub(crate) const fn len(&self) -> usize {
        self.rx.len().saturating_add(self.tx.len())
    }

    /// The entries of the list.
    pub(crate) fn entries(&self) -> impl Iterator<Item = NetifGref> + '_ {
        let of = |flags: NetifGrefFlags| {
            move |gref: &Gref| NetifGref { gref: gref.0, flags: flags.bits(), status: 0 }
        };
        let rx = self.rx.iter().map(of(NetifGrefFlags::empty()));
        rx.chain(self.tx.iter().map(of(NetifGrefFlags::READONLY)))
    }
}

/// How many pages of a queue can be mapped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mapping {
    /// The number of pages for which the backend has room.
    room: usize,
    /// All pages are to be unmapped.
    ending: bool,
}

impl Queue {
    /// The number of pages that the backend keeps mapped.
    pub(crate) fn mapped(&self) -> usize {
        let contiguous = self.tx.contiguous.as_ref().map_or(0, |buffer| buffer.grefs().mapped());
        self.rx.pool.grefs().mapped().saturating_add(self.tx.pool.grefs().mapped()).saturating_add(contiguous)
    }

    /// The numbers of rx and tx pages that can still be mapped. Where there is not room for all, each direction gets half.
    fn to_map(&self) -> (usize, usize) {
        let (rx, tx) = (self.rx.pool.grefs(), self.tx.pool.grefs());
        let contiguous = self.tx.contiguous.as_ref().map(ContiguousBuffer::grefs);
        let (pages, mapped) = contiguous.map_or((0, 0), |grefs| (grefs.pages(), grefs.mapped()));
        let room = self.mapping.room;
        let tx_pages = tx.pages().saturating_add(pages);
        let for_tx = tx_pages.min(room.saturating_sub(rx.pages()).max(room / 2));
        let for_rx = rx.pages().min(room.saturating_sub(for_tx));
        let left = room.saturating_sub(self.mapped());
        let more_rx = for_rx.saturating_sub(rx.mapped()).min(left);
        let mapped_tx = tx.mapped().saturating_add(mapped);
        (more_rx, for_tx.saturating_sub(mapped_tx).min(left.saturating_sub(more_rx)))
    }

    /// Whether the backend is to be told of a page.
    pub(crate) fn has_batch(&self) -> bool {
        self.rx.pool.has_retiring() || self.tx.pool.has_retiring() || self.to_map() != (0, 0)
    }

    /// The next pages of which the backend is to be told.
    pub(crate) fn next_batch(&self) -> Option<Batch> {
        let (rx_pool, tx_pool) = (&self.rx.pool, &self.tx.pool);
        let rx = rx_pool.retiring(MAX_ENTRIES);
        let tx = tx_pool.retiring(MAX_ENTRIES.saturating_sub(rx.len()));
        let mut batch = Batch { add: false, rx, tx };
        let contiguous = self.tx.contiguous.iter().map(ContiguousBuffer::grefs);
        if batch.len() == 0 && self.mapping.ending {
            batch.rx = rx_pool.grefs().list_mapped(MAX_ENTRIES);
            batch.tx = tx_pool.grefs().list_mapped(MAX_ENTRIES.saturating_sub(batch.rx.len()));
            let left = MAX_ENTRIES.saturating_sub(batch.len());
            batch.tx.extend(contiguous.flat_map(|grefs| grefs.list_mapped(left)));
        } else if batch.len() == 0 {
            let (rx, tx) = self.to_map();
            batch.add = true;
            batch.rx = rx_pool.grefs().list_unmapped(rx.min(MAX_ENTRIES));
            let tx = tx.min(MAX_ENTRIES.saturating_sub(batch.rx.len()));
            batch.tx = tx_pool.grefs().list_unmapped(tx);
            let left = tx.saturating_sub(batch.tx.len());
            batch.tx.extend(contiguous.flat_map(|grefs| grefs.list_unmapped(left)));
        }
        (batch.len() > 0).then_some(batch)
    }

    /// The backend was told of a batch; whether it agreed.
    pub(crate) fn complete_batch<M: Machine>(&mut self, xen: &Xen<M>, batch: &Batch, agreed: bool) {
        if batch.add && !agreed {
            // The backend maps all pages of a batch or none. Do not ask for more again.
            self.mapping.room = self.mapped();
            return;
        }
        if !batch.add {
            self.rx.pool.retire(xen, &batch.rx);
            self.tx.pool.retire(xen, &batch.tx);
        }
        self.rx.pool.mark_mapped(&batch.rx, batch.add);
        self.tx.pool.mark_mapped(&batch.tx, batch.add);
        if let Some(contiguous) = &mut self.tx.contiguous {
            contiguous.mark_mapped(&batch.tx, batch.add);
        }
    }

    /// The backend has room for `room` pages, and can be asked to unmap pages.
    pub(crate) const fn begin_mapping(&mut self, room: usize) {
        self.mapping = Mapping { room, ending: false };
        self.rx.pool.set_can_retire(true);
        self.tx.pool.set_can_retire(true);
    }

    /// All pages are to be unmapped.
    pub(crate) const fn end_mapping(&mut self) {
        self.mapping = Mapping { room: 0, ending: true };
    }

    /// The backend cannot be asked any more.
    pub(crate) fn abandon_mapping(&mut self) {
        self.mapping = Mapping::default();
        self.rx.pool.keep_retiring();
        self.tx.pool.keep_retiring();
    }
}
