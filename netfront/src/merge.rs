//! TCP over IPv6 in large frames, though the stack sends it in segments of the MTU.
//!
//! ```text
//!   segment, built in its page ─► continues the one before? ─ yes ─► its payload behind the others', in the strip
//!                                      │ no: what was put together goes first      ─► whole, or end of turn: one frame
//!                                      └─► long enough: begins the next                with a GSO descriptor
//! ```
//!
//! smoltcp 0.14 drops an IPv6 packet that is longer than the MTU before it asks how it is to be cut, so it is told nothing
//! of segmentation over IPv6. Its segments of a turn are merged here, as a card merges what it receives: the headers of
//! each but the first have to be what cutting the large frame would make of them. A byte is copied once more for that; a
//! segment less costs the backend, Xen and its domain thousands of instructions less.

use crate::offload::{Version, be16, finish, put, version};
use crate::strip::LONGEST;
use crate::tx::TxQueue;
use core::num::NonZeroU16;
use core::ops::Range;
use xen::abi::io_netif::NETIF_MAX_TX_SIZE;
use xen::ids::PAGE_SIZE;

/// Payload with which it is worth while to begin.
const WORTH: usize = 1000;
const IP: usize = 14;
const TCP: usize = IP + 40;
/// What differs from one segment to the next: the length of IP's payload, TCP's sequence number, flags and checksum.
const IP_LENGTH: usize = IP + 4;
const SEQUENCE: usize = TCP + 4;
const FLAGS: usize = TCP + 13;
const SAME: [Range<usize>; 4] =
    [0..IP_LENGTH, IP_LENGTH + 2..SEQUENCE, SEQUENCE + 4..FLAGS, FLAGS + 1..FLAGS + 3];
/// From the urgent pointer on, to the end of the headers.
const BEHIND_CHECKSUM: usize = TCP + 18;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// What was put together so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merging {
    /// The page of the strip where it begins.
    first: usize,
    len: usize,
    headers: usize,
    /// Payload of each segment.
    segment: NonZeroU16,
    segments: u32,
    /// The sequence number that goes on.
    next: u32,
}

/// A segment that could be merged.
#[derive(Clone, Copy, Debug)]
struct Segment {
    headers: usize,
    payload: usize,
    sequence: u32,
    /// Whoever cuts a frame leaves PSH to its last segment.
    is_last: bool,
}

/// A TCP segment over IPv6 that carries data and says nothing else.
fn parse(frame: &[u8]) -> Option<Segment> {
    let whole = usize::from(be16(frame, IP_LENGTH)?).checked_add(TCP)? == frame.len();
    let plain = version(frame)? == Version::V6 && *frame.get(IP.checked_add(6)?)? == 6;
    let headers = usize::from(frame.get(TCP.checked_add(12)?)? >> 4).checked_mul(4)?.checked_add(TCP)?;
    let payload = frame.len().checked_sub(headers).filter(|len| *len > 0)?;
    let says = *frame.get(FLAGS)?;
    let sequence = u32::from_be_bytes(*frame.get(SEQUENCE..)?.first_chunk()?);
    let fits = whole && plain && headers >= TCP.checked_add(20)? && says & !PSH == ACK;
    fits.then_some(Segment { headers, payload, sequence, is_last: says & PSH != 0 })
}

impl Merging {
    /// Whether a segment is what comes next of it.
    fn goes_on(&self, head: &[u8], frame: &[u8], segment: &Segment) -> bool {
        let same = |range: Range<usize>| head.get(range.clone()) == frame.get(range);
        segment.headers == self.headers
            && segment.sequence == self.next
            && segment.payload <= usize::from(self.segment.get())
            && SAME.into_iter().all(same)
            && same(BEHIND_CHECKSUM..self.headers)
    }

    /// Whether another whole segment has no room.
    fn is_full(&self) -> bool {
        self.len.saturating_add(usize::from(self.segment.get())) > usize::from(NETIF_MAX_TX_SIZE)
    }
}

impl TxQueue {
    /// Offers the frame of so many bytes that was built in the next id's page; whether it was taken.
    pub(crate) fn offer(&mut self, len: usize) -> bool {
        let Some(taken) = self.go_on(len) else {
            if self.merging.is_some() {
                self.let_pass(len);
            }
            return self.begin(len);
        };
        if taken {
            self.send_merged();
        }
        true
    }

    /// Puts the frame behind what there is; `None` if it does not belong there, else whether nothing more can.
    fn go_on(&mut self, len: usize) -> Option<bool> {
        let merging = self.merging.as_mut()?;
        let (_, page) = self.slots.next_page()?;
        let frame = page.bytes().get(..len)?;
        let segment = parse(frame)?;
        let (first, strip) = self.strip.as_mut()?.bytes_mut()?;
        if first != merging.first || !merging.goes_on(strip, frame, &segment) {
            return None;
        }
        let end = merging.len.checked_add(segment.payload)?;
        strip.get_mut(merging.len..end)?.copy_from_slice(frame.get(segment.headers..)?);
        if segment.is_last {
            strip.iter_mut().skip(FLAGS).take(1).for_each(|flags| *flags |= PSH);
        }
        merging.len = end;
        merging.segments = merging.segments.saturating_add(1);
        merging.next = merging.next.wrapping_add(u32::try_from(segment.payload).unwrap_or_default());
        let short = segment.payload < usize::from(merging.segment.get());
        Some(segment.is_last || short || merging.is_full())
    }

    /// Begins with the frame, if that is worth while, and there will be room for it and for what comes then.
    fn begin(&mut self, len: usize) -> bool {
        let slots = u32::try_from(LONGEST).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(2);
        let ids = usize::try_from(slots).unwrap_or(usize::MAX);
        if self.ring.free_requests() < slots || self.slots.nr_idle() < ids {
            return false;
        }
        let Some((_, page)) = self.slots.next_page() else { return false };
        let Some(frame) = page.bytes().get(..len) else { return false };
        let worth = |segment: &Segment| segment.payload >= WORTH && !segment.is_last;
        let Some(segment) = parse(frame).filter(worth) else { return false };
        let Some((first, strip)) = self.strip.as_mut().and_then(crate::strip::Strip::bytes_mut) else {
            return false;
        };
        let (Some(to), Some(size)) =
            (strip.get_mut(..len), u16::try_from(segment.payload).ok().and_then(NonZeroU16::new))
        else {
            return false;
        };
        to.copy_from_slice(frame);
        let next = segment.sequence.wrapping_add(u32::from(size.get()));
        let Segment { headers, .. } = segment;
        self.merging = Some(Merging { first, len, headers, segment: size, segments: 1, next });
        true
    }

    /// Sends what was put together before a frame that does not belong to it. The frame waits outside: sending takes the
    /// id, and the page, that are next. Both were seen to when it began.
    fn let_pass(&mut self, len: usize) {
        let mut frame = [0; PAGE_SIZE];
        let built = self.slots.next_page().and_then(|(_, page)| page.bytes().get(..len));
        if let (Some(built), Some(frame)) = (built, frame.get_mut(..len)) {
            frame.copy_from_slice(built);
        }
        self.send_merged();
        let pool = &mut self.pool;
        self.slots.park(|| pool.take());
        self.credit = 1;
        let page = self.slots.next_page().and_then(|(_, page)| page.bytes_mut().get_mut(..len));
        if let (Some(page), Some(frame)) = (page, frame.get(..len)) {
            page.copy_from_slice(frame);
        }
    }

    /// Queues what was put together, if there is anything.
    pub(crate) fn send_merged(&mut self) {
        let Some(Merging { first, len, segment, segments, .. }) = self.merging.take() else { return };
        let place = self.strip.as_mut().and_then(crate::strip::Strip::bytes_mut);
        let Some((_, frame)) = place.and_then(|(at, all)| Some((at, all.get_mut(..len)?))) else { return };
        let payload = u16::try_from(len.saturating_sub(TCP)).unwrap_or_default();
        put(frame, IP_LENGTH, payload);
        let flags = finish(self.features, frame);
        self.queue_large(first, len, flags, (segments > 1).then_some((segment, Version::V6)));
        let merged = if segments > 1 { u64::from(segments) } else { 0 };
        self.stats.merged = self.stats.merged.wrapping_add(merged);
    }
}
