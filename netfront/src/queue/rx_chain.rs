//! Received frames over several slots: extras after the first slot, then fragments, each but the last with `more_data`.
//!
//! ```text
//!   slot 0: data, EXTRA_INFO, MORE_DATA │ extra, MORE │ extra │ data, MORE_DATA │ data
//!           first piece                 │ pages return unused │ second piece    │ last piece
//! ```
//!
//! A chain is accepted or dropped as a whole, and in both cases all its pages return. The backend publishes a chain in one
//! step, so a chain that ends at `rsp_prod` with `more_data` is an error. A chain has at most as many slots as there are
//! responses: the ring's 256.

use crate::queue::current::{Current, Extent};
use crate::queue::rx::RxQueue;
use crate::queue::rx_slots::slot_of;
use crate::wire::check_rx::{MAX_FRAME, MAX_SLOTS, Refusal, extent};
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::Misbehaviour;
use crate::wire::policy::Clearing;
use pool::Piece;
use xen::abi::io_netif::{
    NetRxFlags, NetifExtra, NetifExtraFlags, NetifExtraHash, NetifGsoType, NetifRxResponse,
};
use xen::{GrantedPage, TrustedBackend};

/// What is known of a chain while it is collected.
#[derive(Debug, Default)]
struct Chain {
    slots: u32,
    bytes: usize,
    /// An extra says that the backend merged the frame from segments.
    merged: bool,
    /// The hash, if an extra has one.
    hash: Option<NetifExtraHash>,
    /// The first error. The rest of the chain is collected all the same, to be dropped with it.
    refusal: Option<Refusal>,
}

impl Chain {
    fn refuse(&mut self, refusal: impl Into<Refusal>) {
        if self.refusal.is_none() {
            self.refusal = Some(refusal.into());
        }
    }
}

impl RxQueue {
    /// Accepts a frame with several slots or with extras, whose first response this is.
    pub(super) fn accept_chain(&mut self, first: &NetifRxResponse, slot: u8) -> Result<(), Refusal> {
        let flags = NetRxFlags::from_bits_retain(first.flags);
        let mut chain = Chain::default();
        if let Some(page) = self.slots.take(slot) {
            self.collect(first, page, &mut chain);
        }
        if flags.contains(NetRxFlags::EXTRA_INFO) {
            self.collect_extras(&mut chain);
        }
        let mut more = flags.contains(NetRxFlags::MORE_DATA);
        while more {
            match self.take_piece() {
                Ok(Some((response, page))) => {
                    self.collect(&response, page, &mut chain);
                    more = NetRxFlags::from_bits_retain(response.flags).contains(NetRxFlags::MORE_DATA);
                }
                Ok(None) => {
                    chain.refuse(Misbehaviour::RxIncomplete(chain.slots));
                    break;
                }
                Err(what) => {
                    // This breaks the device, whatever else is wrong with the frame.
                    chain.refusal = Some(what.into());
                    break;
                }
            }
        }
        self.finish(flags, chain)
    }

    /// Adds the data of a response to the chain, or returns its page.
    fn collect(&mut self, response: &NetifRxResponse, page: GrantedPage, chain: &mut Chain) {
        chain.slots = chain.slots.saturating_add(1);
        match extent(response) {
            Ok((offset, len)) if self.chain.len() < MAX_SLOTS => {
                chain.bytes = chain.bytes.saturating_add(len);
                self.chain.push(Piece { page, offset, len });
            }
            Ok(_) => self.discard_page(page),
            Err(refusal) => {
                chain.refuse(refusal);
                self.discard_page(page);
            }
        }
    }

    /// Takes the extras. Their pages return unused.
    fn collect_extras(&mut self, chain: &mut Chain) {
        loop {
            let Some(bytes) = self.take_extra() else {
                chain.refuse(Misbehaviour::RxIncomplete(chain.slots));
                return;
            };
            match NetifExtra::from_bytes(bytes) {
                Ok((extra, _)) => self.validate_extra(extra, chain),
                Err(error) => chain.refuse(Misbehaviour::RxExtra(error)),
            }
            let [_, flags, ..] = bytes;
            if !NetifExtraFlags::from_bits_retain(flags).contains(NetifExtraFlags::MORE) {
                return;
            }
        }
    }

    /// Validates an extra. One that was not negotiated is an error.
    fn validate_extra(&self, extra: NetifExtra, chain: &mut Chain) {
        let gso = match extra {
            NetifExtra::Gso(gso) => gso,
            NetifExtra::Hash(hash) if self.steering.is_some_and(|steering| steering.allows(&hash)) => {
                chain.hash = Some(hash);
                return;
            }
            _ => return chain.refuse(Misbehaviour::RxExtraUnasked(extra.kind())),
        };
        let feature = match gso.kind {
            NetifGsoType::Tcpv4 => Feature::GSO_TCPV4,
            NetifGsoType::Tcpv6 => Feature::GSO_TCPV6,
            NetifGsoType::None => Feature::empty(),
        };
        if feature.is_empty() || !self.policy.features.contains(feature) {
            chain.refuse(Misbehaviour::RxExtraUnasked(extra.kind()));
        } else if gso.size == 0 {
            chain.refuse(Misbehaviour::RxGsoSize);
        }
        chain.merged = true;
    }

    /// Validates a collected chain. Makes it the current frame, or drops it.
    fn finish(&mut self, flags: NetRxFlags, mut chain: Chain) -> Result<(), Refusal> {
        let longest = if chain.merged { MAX_FRAME } else { self.policy.max_frame };
        if usize::try_from(chain.slots).is_ok_and(|slots| slots > MAX_SLOTS) {
            chain.refuse(Misbehaviour::RxSlots(chain.slots));
        } else if chain.slots > 1 && !self.policy.features.contains(Feature::SCATTER_GATHER) {
            chain.refuse(Misbehaviour::RxFragments(chain.slots));
        } else if let Err(refusal) = self.policy.check_frame(flags, chain.bytes, longest) {
            chain.refuse(refusal);
        }
        if let Some(refusal) = chain.refusal {
            self.drop_chain();
            return Err(refusal);
        }
        if chain.merged {
            self.stats.gso_packets.bump();
        }
        if self.chain.len() == 1
            && let Some(piece) = self.chain.pop()
        {
            // Into the slot that was answered last, which is an extra's: a page that is read in place is always there.
            let slot = slot_of(self.ring.rsp_cons().wrapping_sub(1));
            let number = |value: usize| u16::try_from(value).unwrap_or_default();
            let (offset, len) = (number(piece.offset), number(piece.len));
            self.slots.put(slot, piece.page);
            self.present(Extent { id: u16::from(slot), offset, flags: flags.bits(), len });
        } else {
            self.note_checksum(flags);
            self.assemble(chain.bytes, flags);
        }
        if let Some(hash) = chain.hash {
            self.note_hash(&hash);
        }
        Ok(())
    }

    /// Copies a chain into the scratch buffer, piece by piece, so that the frame is one slice. Its pages return as those
    /// of a frame of this length do.
    fn assemble(&mut self, len: usize, flags: NetRxFlags) {
        let kind = self.policy.clearing_of(len);
        let mut at = 0_usize;
        // Moved out and back: the list keeps its memory.
        let mut pieces = core::mem::take(&mut self.chain);
        for piece in pieces.drain(..) {
            let end = at.saturating_add(piece.len);
            if let Some(into) = self.scratch.get_mut(at..end) {
                copy_out(&piece, self.policy.trusted, into);
            }
            at = end;
            self.return_piece(piece, kind);
        }
        self.chain = pieces;
        self.stats.copied_packets.bump();
        self.stats.chains.bump();
        self.stats.copied_bytes.add_len(len);
        self.current = Current::Copied { len, flags };
    }

    /// Returns every page of the chain.
    fn drop_chain(&mut self) {
        while let Some(piece) = self.chain.pop() {
            self.return_piece(piece, Clearing::Small);
        }
    }

    /// Counts the hash of the current frame, and whether it is right.
    fn note_hash(&mut self, extra: &NetifExtraHash) {
        let Some(steering) = self.steering else { return };
        let mut stats = self.stats;
        steering.note(extra, self.frame(), &mut stats);
        self.stats = stats;
    }
}

/// Copies the data of a piece to private memory. A trusted backend does not write to a page that it has answered, so the
/// compiler's copy is allowed. Any other backend may write meanwhile, so its page is read by atomic loads.
fn copy_out(piece: &Piece, trusted: Option<TrustedBackend>, into: &mut [u8]) {
    match trusted.and_then(|trusted| piece.page.lend(piece.offset, piece.len, trusted)) {
        Some(bytes) if bytes.len() == into.len() => into.copy_from_slice(bytes),
        _ => piece.page.shared().read_bytes(piece.offset, into),
    }
}
