//! SACK blocks, in both directions (RFC 2018, RFC 2883, RFC 6675).
//!
//! ```text
//!   in:  blocks ─► checked against SND.UNA..SND.NXT ─► scoreboard;  a block below is a duplicate (D-SACK)
//!   out: [D-SACK] newest run, other runs                             ─► at most three beside timestamps
//! ```

use crate::ack::News;
use crate::env::Env;
use crate::segment::{SackBlocks, Segment};
use crate::tcb::{Bits, Tcb};

impl<P> Tcb<P> {
    /// Takes the SACK blocks of an acknowledgment: at most four.
    pub(crate) fn take_sack(&mut self, segment: &Segment, news: &mut News, env: &mut Env<P>) {
        let max = usize::from(env.config.max_records);
        let (una, nxt) = (self.snd_una, self.snd_nxt);
        let blocks = segment.sack.as_slice();
        let Some(active) = &mut self.active else { return };
        let before = news.delivered.octets;
        for (index, (start, end)) in blocks.iter().copied().enumerate() {
            if !start.lt(end) || end.gt(nxt) {
                env.counters.sack_invalid = env.counters.sack_invalid.wrapping_add(1);
                continue;
            }
            // RFC 2883 §4: the first block is a duplicate if it lies below the ACK or within the second.
            let inside = index == 0 && blocks.get(1).is_some_and(|(from, to)| start.ge(*from) && end.le(*to));
            if start.lt(una) || inside {
                if index == 0 && start.ge(una.sub(self.max_snd_wnd)) {
                    news.duplicate = true;
                    if let Some(undo) = &mut active.undo {
                        undo.octets = undo.octets.saturating_sub(end.since(start));
                    }
                }
                continue;
            }
            active.board.sack(start, end, max, &mut news.delivered);
        }
        news.sacked = news.delivered.octets != before;
    }

    /// The SACK option of an acknowledgment.
    #[inline]
    pub(crate) fn sack_blocks(&mut self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if !self.bits.contains(Bits::SACK) {
            return blocks;
        }
        let next = self.rcv_nxt;
        if let Some(active) = &mut self.active {
            if let Some((start, end)) = active.duplicate.take() {
                blocks.push(start, end);
            }
            active.reassembly.blocks(next, &mut blocks);
        }
        if self.bits.contains(Bits::TIMESTAMPS) {
            blocks.truncate(3);
        }
        blocks
    }
}
