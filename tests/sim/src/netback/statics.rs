//! Pages that stay mapped: what `io/netif.h` of Xen says of messages 8 to 10; no netback of Linux's has them.
//!
//! ```text
//!   ADD: a list of references ─► all mapped, or none      DEL: each unmapped, its status in the list
//!   a frame in a page that is mapped is read or written in place: no grant operation
//! ```

use super::Inner;
use crate::peer::MappedPage;
use std::collections::BTreeMap;
use xen::Gref;
use xen::abi::io_netif::{NetifCtrlRequest, NetifGref};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// By their references.
pub(crate) type Statics = BTreeMap<u32, MappedPage>;

/// Entries in a page.
const MOST: u32 = 512;
const BYTES: usize = size_of::<NetifGref>();

const OK: u32 = 0;
const INVALID: u32 = 2;
const OVERFLOW: u32 = 3;

impl Inner {
    /// Does what a request about mappings says: status and data.
    pub(super) fn obey_gref(&mut self, request: &NetifCtrlRequest) -> (u32, u32) {
        let [queue, table, count] = request.data;
        let size = self.config.gref_mapping.unwrap_or(0);
        if queue as usize >= self.queues.len() {
            return (INVALID, 0);
        }
        if request.kind == 8 {
            return (OK, size);
        }
        if count > MOST {
            return (OVERFLOW, 0);
        }
        let Ok(bytes) = self.peer.copy_from(self.guest, Gref(table), 0, count as usize * BYTES) else {
            return (INVALID, 0);
        };
        let mut list: Vec<NetifGref> =
            bytes.chunks(BYTES).map(|entry| NetifGref::read_from_bytes(entry).expect("whole")).collect();
        if request.kind == 9 {
            return (self.add(&list, size), 0);
        }
        let mut gone = 0;
        for entry in &mut list {
            let page = self.statics.remove(&entry.gref);
            let known = page.is_some();
            if self.faults.keep_mapped {
                self.kept.extend(page);
            }
            gone += u32::from(known);
            entry.status = if known { 0 } else { 2 };
        }
        match self.peer.copy_to(self.guest, Gref(table), 0, list.as_bytes()) {
            Ok(()) => (OK, gone),
            Err(_) => (INVALID, gone),
        }
    }

    /// Maps all of a list, or nothing of it.
    fn add(&mut self, list: &[NetifGref], size: u32) -> u32 {
        let most = size as usize * self.queues.len();
        if self.statics.len() + list.len() > most {
            return OVERFLOW;
        }
        let mut new = Statics::new();
        for entry in list {
            if entry.flags > 1 || self.statics.contains_key(&entry.gref) {
                return INVALID;
            }
            let Ok(page) = self.peer.map(self.guest, Gref(entry.gref), entry.flags == 0) else {
                return INVALID;
            };
            new.insert(entry.gref, page);
        }
        self.statics.append(&mut new);
        OK
    }
}
