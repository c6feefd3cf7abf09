//! Frames over several slots: extras after the first, then fragments, each but the last with `more_data`.
//!
//! ```text
//!   slot 0: data, EXTRA_INFO, MORE_DATA │ extra, MORE │ extra │ data, MORE_DATA │ data
//!           first piece                 │ pages come back unused │ second piece │ last piece
//! ```
//!
//! A chain is collected whole or dropped whole, and in both cases every page behind it comes back. The backend
//! publishes a chain in one step, so a chain that ends at `rsp_prod` with a promise of more is a broken one. A chain
//! cannot be longer than the responses of one look, which are at most the ring's 256.

use crate::config::Clearing;
use crate::feature::Feature;
use crate::judge::{LONGEST_FRAME, MAX_SLOTS, Refusal, extent};
use crate::misbehaviour::Misbehaviour;
use crate::rx::{Current, Extent, RxPage, RxQueue, add};
use crate::slots::slot_of;
use xen::TrustedBackend;
use xen::abi::io_netif::{
    NetRxFlags, NetifExtra, NetifExtraFlags, NetifExtraHash, NetifGsoType, NetifRxResponse,
};

/// Data in a page.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The page.
    pub(crate) page: RxPage,
    /// Where the data begins, in bytes.
    pub(crate) offset: usize,
    /// How much there is, in bytes.
    pub(crate) len: usize,
}

/// What is known of a chain while it is collected.
#[derive(Debug, Default)]
struct Sum {
    slots: u32,
    bytes: usize,
    /// An extra says that it was merged from segments.
    merged: bool,
    /// An extra tells its hash.
    hash: Option<NetifExtraHash>,
    /// The first thing that was wrong. The rest of the chain is collected nevertheless, to be dropped with it.
    refusal: Option<Refusal>,
}

impl Sum {
    fn refuse(&mut self, refusal: impl Into<Refusal>) {
        if self.refusal.is_none() {
            self.refusal = Some(refusal.into());
        }
    }
}

impl RxQueue {
    /// Takes in a frame of several slots, or with extras, whose first response is this one.
    pub(crate) fn accept_chain(&mut self, first: &NetifRxResponse, slot: u8) -> Result<(), Refusal> {
        let flags = NetRxFlags::from_bits_retain(first.flags);
        let mut sum = Sum::default();
        if let Some(page) = self.slots.take(slot) {
            self.collect(first, page, &mut sum);
        }
        if flags.contains(NetRxFlags::EXTRA_INFO) {
            self.collect_extras(&mut sum);
        }
        let mut more = flags.contains(NetRxFlags::MORE_DATA);
        while more {
            match self.take_piece() {
                Ok(Some((response, page))) => {
                    self.collect(&response, page, &mut sum);
                    more = NetRxFlags::from_bits_retain(response.flags).contains(NetRxFlags::MORE_DATA);
                }
                Ok(None) => {
                    sum.refuse(Misbehaviour::RxIncomplete(sum.slots));
                    break;
                }
                Err(what) => {
                    // This breaks the device, whatever else was wrong with the frame.
                    sum.refusal = Some(what.into());
                    break;
                }
            }
        }
        self.finish(flags, sum)
    }

    /// Adds one response's data to the chain, or puts its page back.
    fn collect(&mut self, response: &NetifRxResponse, page: RxPage, sum: &mut Sum) {
        sum.slots = sum.slots.saturating_add(1);
        match extent(response) {
            Ok((offset, len)) if self.chain.len() < MAX_SLOTS => {
                sum.bytes = sum.bytes.saturating_add(len);
                self.chain.push(Piece { page, offset, len });
            }
            Ok(_) => self.discard_page(page),
            Err(refusal) => {
                sum.refuse(refusal);
                self.discard_page(page);
            }
        }
    }

    /// Takes the extras; their pages come back unused.
    fn collect_extras(&mut self, sum: &mut Sum) {
        loop {
            let Some(bytes) = self.take_extra() else {
                sum.refuse(Misbehaviour::RxIncomplete(sum.slots));
                return;
            };
            match NetifExtra::from_bytes(bytes) {
                Ok((extra, _)) => self.judge_extra(extra, sum),
                Err(error) => sum.refuse(Misbehaviour::RxExtra(error)),
            }
            let [_, flags, ..] = bytes;
            if !NetifExtraFlags::from_bits_retain(flags).contains(NetifExtraFlags::MORE) {
                return;
            }
        }
    }

    /// An extra that was not negotiated spoils its frame.
    fn judge_extra(&self, extra: NetifExtra, sum: &mut Sum) {
        let gso = match extra {
            NetifExtra::Gso(gso) => gso,
            NetifExtra::Hash(hash)
                if self.steering.is_some_and(|steering| steering.hashing.allows(&hash)) =>
            {
                sum.hash = Some(hash);
                return;
            }
            _ => return sum.refuse(Misbehaviour::RxExtraUnasked(extra.kind())),
        };
        let feature = match gso.kind {
            NetifGsoType::Tcpv4 => Feature::GSO_TCPV4,
            NetifGsoType::Tcpv6 => Feature::GSO_TCPV6,
            NetifGsoType::None => Feature::empty(),
        };
        if feature.is_empty() || !self.policy.features.contains(feature) {
            sum.refuse(Misbehaviour::RxExtraUnasked(extra.kind()));
        } else if gso.size == 0 {
            sum.refuse(Misbehaviour::RxGsoSize);
        }
        sum.merged = true;
    }

    /// Judges a collected chain: presents it as one frame, or drops it.
    fn finish(&mut self, flags: NetRxFlags, mut sum: Sum) -> Result<(), Refusal> {
        let longest = if sum.merged { LONGEST_FRAME } else { self.policy.max_frame };
        if usize::try_from(sum.slots).is_ok_and(|slots| slots > MAX_SLOTS) {
            sum.refuse(Misbehaviour::RxSlots(sum.slots));
        } else if sum.slots > 1 && !self.policy.features.contains(Feature::SCATTER_GATHER) {
            sum.refuse(Misbehaviour::RxFragments(sum.slots));
        } else if let Err(refusal) = self.policy.check_frame(flags, sum.bytes, longest) {
            sum.refuse(refusal);
        }
        if let Some(refusal) = sum.refusal {
            self.drop_chain();
            return Err(refusal);
        }
        if sum.merged {
            self.stats.gso_packets = self.stats.gso_packets.wrapping_add(1);
        }
        if self.chain.len() == 1
            && let Some(piece) = self.chain.pop()
        {
            // Into the slot that was answered last, an extra's: what is lent is always there.
            let slot = slot_of(self.ring.rsp_cons().wrapping_sub(1));
            let number = |value: usize| u16::try_from(value).unwrap_or_default();
            let extent = Extent { slot, offset: number(piece.offset), len: number(piece.len) };
            self.slots.put(slot, piece.page);
            self.present(flags, extent);
        } else {
            self.note_checksum(flags);
            self.gather(sum.bytes);
        }
        if let Some(hash) = sum.hash {
            self.note_hash(&hash);
        }
        Ok(())
    }

    /// Copies a chain into the scratch buffer, one piece after the other, so that the frame is one slice. Its pages go
    /// back as lent ones do: without being cleared, if the frame is one that could be lent.
    fn gather(&mut self, len: usize) {
        let kind = self.policy.kind(len);
        let mut at = 0_usize;
        // Out and in again: the list keeps its memory.
        let mut chain = core::mem::take(&mut self.chain);
        for piece in chain.drain(..) {
            let end = at.saturating_add(piece.len);
            if let Some(into) = self.scratch.get_mut(at..end) {
                copy_out(&piece, self.policy.trusted, into);
            }
            at = end;
            self.return_piece(piece, kind);
        }
        self.chain = chain;
        self.stats.copied_packets = self.stats.copied_packets.wrapping_add(1);
        self.stats.chains = self.stats.chains.wrapping_add(1);
        add(&mut self.stats.copied_bytes, len);
        self.current = Current::Copied { len };
    }

    /// Puts every page of the chain back.
    fn drop_chain(&mut self) {
        while let Some(piece) = self.chain.pop() {
            self.return_piece(piece, Clearing::Small);
        }
    }
}

/// Copies the data of a piece to private memory. What a trusted backend has answered it leaves alone, so that the copy
/// may be the compiler's; any other may write while we read, and is read by atomic loads.
fn copy_out(piece: &Piece, trusted: Option<TrustedBackend>, into: &mut [u8]) {
    match trusted.and_then(|trusted| piece.page.lend(piece.offset, piece.len, trusted)) {
        Some(bytes) if bytes.len() == into.len() => into.copy_from_slice(bytes),
        _ => piece.page.shared().read_bytes(piece.offset, into),
    }
}
