//! Sending frames that are longer than a page, or that the backend is to segment.
//!
//! ```text
//!   the frame in the contiguous buffer   | headers, data …                | data …          | data |
//!   slots of the ring                    size of all, more_data, extra │ GSO │ 4096, more_data │ rest
//! ```
//!
//! All headers are in the first slot: the stack's headers are far shorter than a page (CVE-2022-3643). The GSO extra takes
//! a slot, has no page, and is answered by `NETIF_RSP_NULL`.

use crate::queue::tx::TxQueue;
use crate::wire::check_tx::check_tx_chain;
use crate::wire::feature::Feature;
use crate::wire::offload::{Version, finish, tcp};
use core::num::NonZeroU16;
use pool::contiguous::{ContiguousBuffer, MAX_FRAME_PAGES};
use xen::abi::io_netif::{
    NETIF_MAX_TX_SIZE, NetTxFlags, NetifExtra, NetifExtraFlags, NetifExtraGso, NetifGsoType, NetifTxRequest,
};
use xen::ids::PAGE_SIZE;
use zerocopy::FromBytes;

/// The segment size of a frame, and its IP version. The size is the requested one, limited by what fits a frame of
/// `max_frame` bytes: the requested one may come from the peer alone. `None`: the frame is not TCP, or is not segmented.
fn segmentation(
    frame: &[u8],
    segment: Option<NonZeroU16>,
    max_frame: usize,
) -> Option<(NonZeroU16, Version)> {
    if segment.is_none() && frame.len() <= max_frame {
        return None;
    }
    let (version, start) = tcp(frame)?;
    let header = usize::from(frame.get(start.checked_add(12)?)? >> 4).checked_mul(4)?;
    let most = max_frame.checked_sub(start)?.checked_sub(header)?;
    let most = NonZeroU16::new(u16::try_from(most).unwrap_or(u16::MAX))?;
    Some((segment.map_or(most, |size| size.min(most)), version))
}

/// The requests of a frame. Unused ones are at the end.
type Requests = [NetifTxRequest; MAX_FRAME_PAGES];

impl TxQueue {
    /// As [`TxQueue::send`], through the contiguous buffer.
    pub(super) fn send_large<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let segments = self.features.intersects(Feature::GSO_TCPV4 | Feature::GSO_TCPV6);
        let longest = if segments { usize::from(NETIF_MAX_TX_SIZE) } else { self.max_frame };
        let room = len <= longest && self.has_room();
        let place = self.contiguous.as_mut().filter(|_| room).and_then(ContiguousBuffer::bytes_mut);
        let Some((first, frame)) = place.and_then(|(first, all)| Some((first, all.get_mut(..len)?))) else {
            return self.build_and_drop(len, build);
        };
        let result = build(frame);
        let gso = segmentation(frame, segment, self.flow_max_frame)
            .filter(|(_, version)| self.features.contains(version.gso()));
        if gso.is_none() && len > self.max_frame {
            self.stats.refused.bump();
            return result;
        }
        let flags = finish(self.features, frame);
        self.queue_large(first, len, flags, gso);
        result
    }

    /// Writes the requests for a frame that lies in the contiguous buffer from page `first` on, and its GSO extra.
    fn queue_large(
        &mut self,
        first: usize,
        len: usize,
        flags: NetTxFlags,
        segment: Option<(NonZeroU16, Version)>,
    ) {
        let count = len.div_ceil(PAGE_SIZE);
        let extra = segment.map(|(size, version)| {
            let kind = match version {
                Version::V4 => NetifGsoType::Tcpv4,
                Version::V6 => NetifGsoType::Tcpv6,
            };
            NetifExtra::Gso(NetifExtraGso { size: size.get(), kind, features: 0 })
        });
        let mut requests = Requests::default();
        let Some(used) = requests.get_mut(..count) else { return self.stats.refused.bump() };
        self.describe(used, first, len, flags, extra.is_some());
        let valid = check_tx_chain(used, extra.as_slice());
        debug_assert!(valid.is_ok(), "{valid:?}");
        // A GSO extra without a blank checksum: the frame is not TCP, which no stack asks to segment.
        let odd = extra.is_some() && !flags.contains(NetTxFlags::CSUM_BLANK);
        if valid.is_err() || odd {
            return self.stats.refused.bump();
        }
        for (at, request) in used.iter_mut().enumerate() {
            self.write_part(request, first.saturating_add(at), at == 0);
            if let (0, Some(extra)) = (at, extra) {
                self.write_extra(extra);
            }
        }
        self.stats.chains.add(u64::from(count > 1));
        self.stats.gso_packets.add(u64::from(extra.is_some()));
        self.note_sent(len, flags);
    }

    /// Fills in the requests, except their ids.
    fn describe(
        &self,
        requests: &mut [NetifTxRequest],
        first: usize,
        len: usize,
        flags: NetTxFlags,
        extra: bool,
    ) {
        let last = requests.len().saturating_sub(1);
        let mut left = len;
        for (at, request) in requests.iter_mut().enumerate() {
            let own = left.min(PAGE_SIZE);
            left = left.saturating_sub(own);
            let mut flags = if at == 0 { flags } else { NetTxFlags::empty() };
            flags.set(NetTxFlags::MORE_DATA, at < last);
            flags.set(NetTxFlags::EXTRA_INFO, at == 0 && extra);
            let gref = self.contiguous.as_ref().and_then(|buffer| buffer.gref(first.saturating_add(at)));
            // The first request has the size of the whole frame.
            let size = u16::try_from(if at == 0 { len } else { own }).unwrap_or_default();
            *request = NetifTxRequest {
                gref: gref.map(|gref| gref.0).unwrap_or_default(),
                offset: 0,
                flags: flags.bits(),
                id: 0,
                size,
            };
        }
    }

    /// Writes one request. The caller has checked that the ring has room.
    fn write_part(&mut self, request: &mut NetifTxRequest, page: usize, first: bool) {
        let (Some(id), Some(buffer), Ok(number)) =
            (self.claim(), self.contiguous.as_mut(), u8::try_from(page))
        else {
            return;
        };
        request.id = u16::from(id);
        if self.ring.write_request(request).is_none() {
            return self.slots.unclaim(id);
        }
        buffer.take(page);
        self.slots.queue_contiguous(id, self.written, number, first);
        self.written = self.written.wrapping_add(1);
    }

    /// Writes an extra.
    pub(super) fn write_extra(&mut self, extra: NetifExtra) {
        let mut slot = [0; size_of::<NetifTxRequest>()];
        if let Some(bytes) = slot.first_chunk_mut() {
            *bytes = extra.to_bytes(NetifExtraFlags::empty());
        }
        let Ok(request) = NetifTxRequest::read_from_bytes(&slot) else { return };
        self.reset_credit();
        if self.ring.write_request(&request).is_some() {
            self.extras = self.extras.saturating_add(1);
        }
    }
}
