//! Sending what is longer than a page, or is to be cut into segments by the backend.
//!
//! ```text
//!   the stack's frame in the strip   | headers, data … | data …        | data |
//!   slots                 size of all, more_data, extra │ GSO │ 4096, more_data │ rest
//! ```
//!
//! All headers are in the first slot, since the stack's are far shorter than a page (CVE-2022-3643). A descriptor
//! takes a slot, has no page, and is answered by `NETIF_RSP_NULL`.

use crate::feature::Feature;
use crate::offload::{Version, finish, tcp};
use crate::polite::check_tx_chain;
use crate::strip::LONGEST;
use crate::tx::TxQueue;
use core::num::NonZeroU16;
use xen::abi::io_netif::{
    NETIF_MAX_TX_SIZE, NetTxFlags, NetifExtra, NetifExtraFlags, NetifExtraGso, NetifGsoType, NetifTxRequest,
};
use xen::ids::PAGE_SIZE;
use zerocopy::FromBytes;

/// How the backend is to cut a frame: into segments of the size that was asked for, or, as that may be the peer's word alone,
/// of what fits a frame of `max_frame` bytes. `None`: it is no TCP, or need not be cut.
fn cut(frame: &[u8], segment: Option<NonZeroU16>, max_frame: usize) -> Option<(NonZeroU16, Version)> {
    if segment.is_none() && frame.len() <= max_frame {
        return None;
    }
    let (version, start) = tcp(frame)?;
    let header = usize::from(frame.get(start.checked_add(12)?)? >> 4).checked_mul(4)?;
    let most = max_frame.checked_sub(start)?.checked_sub(header)?;
    let most = NonZeroU16::new(u16::try_from(most).unwrap_or(u16::MAX))?;
    Some((segment.map_or(most, |size| size.min(most)), version))
}

/// The requests of a frame; unused ones at the end.
type Requests = [NetifTxRequest; LONGEST];

impl TxQueue {
    /// As [`TxQueue::send`], by way of the strip.
    pub(crate) fn send_large<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        build: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let cuts = self.features.intersects(Feature::GSO_TCPV4 | Feature::GSO_TCPV6);
        let longest = if cuts { usize::from(NETIF_MAX_TX_SIZE) } else { self.max_frame };
        let room = len <= longest && self.has_room();
        let place = self.strip.as_mut().filter(|_| room).and_then(crate::strip::Strip::bytes_mut);
        let Some((first, frame)) = place.and_then(|(first, all)| Some((first, all.get_mut(..len)?))) else {
            return self.build_nowhere(len, build);
        };
        let result = build(frame);
        let kind =
            cut(frame, segment, self.longest).filter(|(_, version)| self.features.contains(version.gso()));
        if kind.is_none() && len > self.max_frame {
            self.note_refused();
            return result;
        }
        let flags = finish(self.features, frame);
        self.queue_large(first, len, flags, kind);
        result
    }

    /// Writes the requests for a frame that lies in the strip from page `first` on, and its descriptor.
    pub(crate) fn queue_large(
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
        let Some(used) = requests.get_mut(..count) else { return self.note_refused() };
        self.describe(used, first, len, flags, extra.is_some());
        let polite = check_tx_chain(used, extra.as_slice());
        debug_assert!(polite.is_ok(), "{polite:?}");
        // A descriptor without a blank checksum: a frame that is not TCP, which no stack asks to be cut.
        let odd = extra.is_some() && !flags.contains(NetTxFlags::CSUM_BLANK);
        if polite.is_err() || odd {
            return self.note_refused();
        }
        for (at, request) in used.iter_mut().enumerate() {
            self.write_part(request, first.saturating_add(at), at == 0);
            if let (0, Some(extra)) = (at, extra) {
                self.write_extra(extra);
            }
        }
        let chained = u64::from(count > 1);
        self.stats.chains = self.stats.chains.wrapping_add(chained);
        self.stats.gso_packets = self.stats.gso_packets.wrapping_add(u64::from(extra.is_some()));
        self.note_sent(len, flags);
    }

    /// Fills in what can be said of the requests before they have ids.
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
            let gref = self.strip.as_ref().and_then(|strip| strip.gref(first.saturating_add(at)));
            // The first says how long the whole is.
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

    /// Writes one request, whose place in the ring was seen to.
    fn write_part(&mut self, request: &mut NetifTxRequest, page: usize, first: bool) {
        let (Some(id), Some(strip), Ok(place)) = (self.claim(), self.strip.as_mut(), u8::try_from(page))
        else {
            return;
        };
        request.id = u16::from(id);
        if self.ring.write_request(request).is_none() {
            return self.slots.unclaim(id);
        }
        strip.take(page);
        self.slots.queue_strip(id, self.written, place, first);
        self.written = self.written.wrapping_add(1);
    }

    pub(crate) fn write_extra(&mut self, extra: NetifExtra) {
        let mut slot = [0; size_of::<NetifTxRequest>()];
        if let Some(bytes) = slot.first_chunk_mut() {
            *bytes = extra.to_bytes(NetifExtraFlags::empty());
        }
        let Ok(request) = NetifTxRequest::read_from_bytes(&slot) else { return };
        self.credit = 0;
        if self.ring.write_request(&request).is_some() {
            self.extras = self.extras.saturating_add(1);
        }
    }

    const fn note_refused(&mut self) {
        self.stats.refused = self.stats.refused.wrapping_add(1);
    }
}
