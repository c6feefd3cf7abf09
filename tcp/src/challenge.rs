//! Challenge ACKs (RFC 5961): the answer to segments that may be forged.
//!
//! ```text
//!   RST in the window, SYN, ACK of nothing ─► <SEQ=SND.NXT><ACK=RCV.NXT>     a real peer answers it; a forger cannot see it
//! ```
//!
//! Each connection sends a few a second (§7). The limiter of `Env` limits the sum over all connections. Its limit is far
//! above that of one connection, so that it does not reveal sequence numbers of another connection (CVE-2016-5696).

use crate::env::Env;
use crate::tcb::{Bits, Tcb};
use crate::time::{Micros, SECOND};

impl<P> Tcb<P> {
    /// Asks for an acknowledgment, if the limits allow it.
    #[cold]
    pub(crate) fn challenge(&mut self, now: Micros, env: &mut Env<P>) {
        let second = u16::try_from(now.wrapping_div(SECOND) & 0xffff).unwrap_or_default();
        if second != self.challenge_second {
            self.challenge_second = second;
            self.challenge_count = 0;
        }
        if self.challenge_count >= env.config.challenge_acks || !env.challenge_acks.take(now) {
            env.counters.challenge_acks_limited = env.counters.challenge_acks_limited.wrapping_add(1);
            return;
        }
        self.challenge_count = self.challenge_count.saturating_add(1);
        env.counters.challenge_acks = env.counters.challenge_acks.wrapping_add(1);
        self.bits.insert(Bits::ACK_NOW);
    }
}
