//! The guest receives: packets are copied into the pages that it posted, in the order in which it posted them.
//!
//! ```text
//!   packet ─► enough requests? ─ no ─► req_event = req_prod + 1, and wait for the event
//!                │ yes
//!                └─► data | extras | data … one slot each, 4096 bytes a page ─► rsp ring
//! ```
//!
//! After `xenvif_rx_action` of Linux 6.1, `drivers/net/xen-netback/rx.c`.

use super::POISON;
use super::faults::RxSlot;
use super::packet::Packet;
use super::queue::{Context, Queue};
use super::rules::Violation as Rule;
use xen::Gref;
use xen::abi::io_netif::{NetRxFlags, NetifRxRequest, NetifRxResponse};
use xen::ids::PAGE_SIZE;

/// A page that the guest has posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The request's id.
    pub id: u16,
    /// The page.
    pub gref: Gref,
}

impl Queue {
    /// Looks at the requests that are new since the last look, and poisons their pages.
    pub(crate) fn see_rx_requests(&mut self, cx: &mut Context<'_>) -> bool {
        if self.rx.unconsumed().is_none() {
            let detail = format!("req_prod {}, rsp_prod {}", self.rx.req_prod(), self.rx.rsp_prod());
            cx.broken(Rule::RxRingOverrun, &detail);
            return false;
        }
        while let Some(request) = self.rx.get_request::<NetifRxRequest>() {
            cx.stats.rx_requests += 1;
            self.check_posted(cx, &request);
            self.posted.push_back(Posted { id: request.id, gref: Gref(request.gref) });
        }
        true
    }

    fn check_posted(&self, cx: &mut Context<'_>, request: &NetifRxRequest) {
        if request.pad != 0 {
            cx.broken(Rule::RxPad, &format!("{request:?}"));
        }
        if self.posted.iter().any(|posted| posted.id == request.id) {
            cx.broken(Rule::RxIdInFlight, &format!("{request:?}"));
        }
        if self.posted.iter().any(|posted| posted.gref.0 == request.gref) {
            cx.broken(Rule::RxPageTwice, &format!("{request:?}"));
        }
        let gref = Gref(request.gref);
        if cx.config.check_cleared {
            let bytes = cx.peer.copy_from(cx.guest, gref, 0, PAGE_SIZE).unwrap_or_default();
            if !bytes.iter().all(|byte| *byte == 0 || *byte == POISON) {
                cx.broken(Rule::NotCleared, &format!("{request:?}"));
            }
        }
        if cx.config.poison && cx.peer.copy_to(cx.guest, gref, 0, &[POISON; PAGE_SIZE]).is_err() {
            cx.broken(Rule::RxGrant, &format!("{request:?}"));
        }
    }

    /// Gives the guest as many of the waiting packets as its requests allow.
    pub(crate) fn run_rx(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        let mut part = self.rx_due.part(cx.faults.rx_pace, self.to_guest.len(), cx.now, cx.wake);
        while !cx.faults.hold_rx && part > 0 {
            part -= 1;
            let Some(packet) = self.to_guest.front() else { break };
            let needed = slots_needed(packet) + usize::from(cx.hashing.toeplitz);
            if self.posted.len() < needed {
                self.rx.ask_for_more();
                self.see_rx_requests(cx);
                if self.posted.len() < needed {
                    self.rx_waits = true;
                    cx.stats.rx_short += u64::from(worked || cx.stats.rx_short == 0);
                    break;
                }
            }
            if let Some(packet) = self.to_guest.pop_front() {
                self.give(cx, packet);
                worked = true;
            }
        }
        if worked {
            let wanted =
                self.rx.push(|index| cx.faults.rx_rsp_prod.as_mut().map_or(index, |bend| bend(index)));
            cx.notify(self.rx_port, wanted);
        }
        worked
    }

    /// Copies one packet into posted pages and writes its responses.
    fn give(&mut self, cx: &mut Context<'_>, mut packet: Packet) {
        if !cx.flags.csum_offload {
            packet.finish_checksum();
        }
        let mut slots = Vec::new();
        let hash = cx.hashing.of(&packet.data).filter(|_| cx.hashing.toeplitz && cx.hashing.flags != 0);
        let room = PAGE_SIZE - usize::from(cx.faults.rx_offset);
        let chunks: Vec<&[u8]> = packet.data.chunks(room).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let mut flags = NetRxFlags::empty();
            flags.set(NetRxFlags::MORE_DATA, index + 1 < chunks.len());
            if index == 0 {
                flags.set(NetRxFlags::CSUM_BLANK, packet.csum_blank);
                flags.set(NetRxFlags::DATA_VALIDATED, packet.csum_blank || packet.data_validated);
                flags.set(NetRxFlags::EXTRA_INFO, packet.gso.is_some() || hash.is_some());
            }
            let (id, offset) = (self.fill_page(cx, chunk), cx.faults.rx_offset);
            slots.push(RxSlot::Response(NetifRxResponse {
                id,
                offset,
                flags: flags.bits(),
                status: chunk.len() as i16,
            }));
            if let (0, Some(gso)) = (index, packet.gso) {
                // The extra takes a request with its page, which goes back unused.
                self.fill_page(cx, &[]);
                let size = gso.size.to_le_bytes();
                let more = u8::from(hash.is_some());
                slots.push(RxSlot::Extra([1, more, size[0], size[1], gso.kind, 0, 0, 0]));
            }
            if let (0, Some((kind, value))) = (index, hash) {
                self.fill_page(cx, &[]);
                let value = value.to_le_bytes();
                slots.push(RxSlot::Extra([4, 0, kind, 1, value[0], value[1], value[2], value[3]]));
            }
        }
        cx.stats.rx_frames += 1;
        cx.stats.rx_bytes += packet.data.len() as u64;
        self.rx.acknowledge(slots.len());
        if let Some(fault) = &mut cx.faults.rx_responses {
            fault(&mut slots);
        }
        for slot in &slots {
            cx.stats.rx_responses += 1;
            match slot {
                RxSlot::Response(response) => self.rx.put_response(response),
                RxSlot::Extra(bytes) => self.rx.put_response(bytes),
            }
        }
    }

    /// Takes the next posted page and copies into it; the id of its request.
    fn fill_page(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> u16 {
        let posted = self.posted.pop_front().expect("slots were counted");
        let (peer, guest, gref) = (cx.peer, cx.guest, posted.gref);
        if cx.config.poison {
            let before = peer.copy_from(guest, gref, 0, PAGE_SIZE).unwrap_or_default();
            if before != [POISON; PAGE_SIZE] {
                cx.broken(Rule::WroteToPostedPage, &format!("{posted:?}"));
            }
        }
        if !bytes.is_empty() {
            if let Some(page) = cx.statics.get(&gref.0).filter(|page| page.is_writable()) {
                page.write(usize::from(cx.faults.rx_offset), bytes);
                return self.posted_used(cx, posted);
            }
            cx.stats.grant_copies += 1;
            if let Err(status) = peer.copy_to(guest, gref, usize::from(cx.faults.rx_offset), bytes) {
                cx.broken(Rule::RxGrant, &format!("{posted:?}: {status}"));
            }
        }
        self.posted_used(cx, posted)
    }

    /// A page that has its data: kept mapped, if it is to be.
    fn posted_used(&mut self, cx: &Context<'_>, posted: Posted) -> u16 {
        if cx.faults.keep_mapped {
            self.kept.extend(cx.peer.map(cx.guest, posted.gref, true));
        }
        posted.id
    }
}

/// Requests that netback needs before it delivers a packet: `xenvif_update_needed_slots`.
pub(crate) fn slots_needed(packet: &Packet) -> usize {
    packet.data.len().div_ceil(PAGE_SIZE) + usize::from(packet.gso.is_some())
}
