//! Sending frames that are longer than a page, or that the backend is to segment.
//!
//! ```text
//!   the frame in the contiguous buffer   | headers, data …                | data …          | data |
//!   slots of the ring                    size of all, more_data, extra │ GSO │ 4096, more_data │ rest
//! ```
//!
//! Where the contiguous buffer has no room, because the backend keeps some of its pages, the frame is built in private
//! memory and copied to pages of the pool: one copy more, and the same slots.
//!
//! All headers are in the first slot: the stack's headers are far shorter than a page (CVE-2022-3643). The GSO extra takes
//! a slot, has no page, and is answered by `NETIF_RSP_NULL`.

use crate::queue::counters::TxStats;
use crate::queue::tx::TxQueue;
use crate::wire::check_tx::check_tx_chain;
use crate::wire::feature::Feature;
use crate::wire::offload::{finish, finish_partial, gso_of, tcp};
use core::num::NonZeroU16;
use nic::{IpVersion, PartialTcp};
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
) -> Option<(NonZeroU16, IpVersion)> {
    if segment.is_none() && frame.len() <= max_frame {
        return None;
    }
    let (version, start) = tcp(frame)?;
    let header = usize::from(frame.get(start.checked_add(12)?)? >> 4).checked_mul(4)?;
    let most = max_frame.checked_sub(start)?.checked_sub(header)?;
    let most = NonZeroU16::new(u16::try_from(most).unwrap_or(u16::MAX))?;
    Some((segment.map_or(most, |size| size.min(most)), version))
}

/// Completes the checksum of a long frame. Returns the flags of its request and its segmentation; `None`, and the frame is
/// counted as refused, if it is too long for a frame that is not segmented.
fn finish_large(
    stats: &mut TxStats,
    limits: &Limits,
    frame: &mut [u8],
    segment: Option<NonZeroU16>,
    partial: Option<PartialTcp>,
) -> Option<(NetTxFlags, Option<(NonZeroU16, IpVersion)>)> {
    let gso = segmentation(frame, segment, limits.flow_max_frame)
        .filter(|(_, version)| limits.features.contains(gso_of(*version)));
    if gso.is_none() && frame.len() > limits.max_frame {
        stats.refused.bump();
        return None;
    }
    let flags = match partial {
        Some(partial) => finish_partial(limits.features, frame, partial),
        None => finish(limits.features, frame),
    };
    Some((flags, gso))
}

/// Fills in the requests of a frame, except ids and grant references.
fn describe(requests: &mut [NetifTxRequest], len: usize, flags: NetTxFlags, extra: bool) {
    let last = requests.len().saturating_sub(1);
    let mut left = len;
    for (at, request) in requests.iter_mut().enumerate() {
        let own = left.min(PAGE_SIZE);
        left = left.saturating_sub(own);
        let mut flags = if at == 0 { flags } else { NetTxFlags::empty() };
        flags.set(NetTxFlags::MORE_DATA, at < last);
        flags.set(NetTxFlags::EXTRA_INFO, at == 0 && extra);
        // The first request has the size of the whole frame.
        let size = u16::try_from(if at == 0 { len } else { own }).unwrap_or_default();
        *request = NetifTxRequest { gref: 0, offset: 0, flags: flags.bits(), id: 0, size };
    }
}

/// What decides about the segments of a frame; see [`TxQueue`].
struct Limits {
    features: Feature,
    max_frame: usize,
    flow_max_frame: usize,
}

/// Where a long frame is.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// In the contiguous buffer, from this page on.
    Contiguous(usize),
    /// In private memory, from where it is copied to pages of the pool.
    Scattered(&'a [u8]),
}

/// The requests of a frame. Unused ones are at the end.
type Requests = [NetifTxRequest; MAX_FRAME_PAGES];

impl TxQueue {
    /// As [`TxQueue::send`], through the contiguous buffer, or through scattered pages if that has no room.
    pub(super) fn send_large<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        partial: Option<PartialTcp>,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let segments = self.features.intersects(Feature::GSO_TCPV4 | Feature::GSO_TCPV6);
        let longest = if segments { usize::from(NETIF_MAX_TX_SIZE) } else { self.max_frame };
        if len > longest || !self.has_reserve() {
            return self.build_and_drop(len, build);
        }
        let limits = self.limits();
        if let Some((first, frame)) = self.contiguous.as_mut().and_then(ContiguousBuffer::bytes_mut) {
            let Some(frame) = frame.get_mut(..len) else { return self.build_and_drop(len, build) };
            let result = build(frame);
            if let Some((flags, gso)) = finish_large(&mut self.stats, &limits, frame, segment, partial) {
                self.queue_large(Place::Contiguous(first), len, flags, gso);
            }
            return result;
        }
        let mut scratch = core::mem::take(&mut self.scratch);
        let result = match scratch.get_mut(..len) {
            Some(frame) => {
                let result = build(frame);
                if let Some((flags, gso)) = finish_large(&mut self.stats, &limits, frame, segment, partial) {
                    self.queue_large(Place::Scattered(frame), len, flags, gso);
                }
                result
            }
            None => self.build_and_drop(len, build),
        };
        self.scratch = scratch;
        result
    }

    /// What decides about the segments of a frame.
    const fn limits(&self) -> Limits {
        Limits { features: self.features, max_frame: self.max_frame, flow_max_frame: self.flow_max_frame }
    }

    /// Writes the requests for a frame, and its GSO extra. There is room for the longest frame.
    fn queue_large(
        &mut self,
        place: Place<'_>,
        len: usize,
        flags: NetTxFlags,
        segment: Option<(NonZeroU16, IpVersion)>,
    ) {
        let count = len.div_ceil(PAGE_SIZE);
        let extra = segment.map(|(size, version)| {
            let kind = match version {
                IpVersion::V4 => NetifGsoType::Tcpv4,
                IpVersion::V6 => NetifGsoType::Tcpv6,
            };
            NetifExtra::Gso(NetifExtraGso { size: size.get(), kind, features: 0 })
        });
        let mut requests = Requests::default();
        let Some(used) = requests.get_mut(..count) else { return self.stats.refused.bump() };
        describe(used, len, flags, extra.is_some());
        let valid = check_tx_chain(used, extra.as_slice());
        debug_assert!(valid.is_ok(), "{valid:?}");
        // A GSO extra without a blank checksum: the frame is not TCP, which no stack asks to segment.
        let odd = extra.is_some() && !flags.contains(NetTxFlags::CSUM_BLANK);
        if valid.is_err() || odd {
            return self.stats.refused.bump();
        }
        for (at, request) in used.iter_mut().enumerate() {
            match place {
                Place::Contiguous(first) => self.write_part(request, first.saturating_add(at), at == 0),
                Place::Scattered(frame) => {
                    let part = frame.chunks(PAGE_SIZE).nth(at).unwrap_or_default();
                    self.write_scattered(request, part, at == 0);
                }
            }
            if let (0, Some(extra)) = (at, extra) {
                self.write_extra(extra);
            }
        }
        self.stats.chains.add(u64::from(count > 1));
        self.stats.gso_packets.add(u64::from(extra.is_some()));
        self.note_sent(len, flags);
    }

    /// Copies a part of a frame to a page of the pool and writes its request. The caller has checked that there is room.
    fn write_scattered(&mut self, request: &mut NetifTxRequest, part: &[u8], first: bool) {
        self.reset_credit();
        let pool = &mut self.pool;
        if !self.slots.park(|| pool.take()) {
            return;
        }
        let Some((id, page)) = self.slots.next_page() else { return };
        if let Some(into) = page.bytes_mut().get_mut(..part.len()) {
            into.copy_from_slice(part);
        }
        (request.id, request.gref) = (u16::from(id), page.gref().0);
        if self.ring.write_request(request).is_some() {
            self.slots.queue_next(id, self.written, first);
            self.written = self.written.wrapping_add(1);
        }
    }

    /// Writes the request for a page of the contiguous buffer. The caller has checked that there is room.
    fn write_part(&mut self, request: &mut NetifTxRequest, page: usize, first: bool) {
        let (Some(id), Some(buffer), Ok(number)) =
            (self.claim(), self.contiguous.as_mut(), u8::try_from(page))
        else {
            return;
        };
        request.id = u16::from(id);
        request.gref = buffer.gref(page).map(|gref| gref.0).unwrap_or_default();
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
