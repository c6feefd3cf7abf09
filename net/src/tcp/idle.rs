//! Parked connections that stay idle for too long.
//!
//! ```text
//!   park ─► deadline: now + TcpOptions::idle ─► no request   ─┬─ all acknowledged ─────────────► FIN
//!                                                             ├─ the peer has read enough ─────► another period
//!                                                             └─ the peer reads too slowly ────► RST
//! ```
//!
//! The connection's one timer has the earlier of this deadline and the engine's. Keep-alive segments of the peer do not
//! move the deadline.

use core::time::Duration;

use smoltcp::time::Instant;

use crate::base::counters::Counters;
use crate::tcp::conn::{Conn, Owner, Rest};
use crate::tcp::shard::{End, Shard};

/// Bytes a second that the peer must take of the queued bytes.
const LEAST_RATE: u64 = 4096;

/// The shortest period for the rate, in seconds: losses can stop a connection for as long.
const LEAST_PERIOD: u64 = 30;

impl Conn {
    /// Begins a period.
    pub(super) fn begin_rest(&mut self, at: Instant) {
        let queued = self.tcb.send_queued();
        let end = self.options.idle.map_or(0, |idle| {
            let period = Duration::as_secs(&idle).max(if queued > 0 { LEAST_PERIOD } else { 1 });
            u32::try_from(seconds(at).saturating_add(period)).unwrap_or(u32::MAX)
        });
        self.rest = Rest { end, queued };
    }

    /// The end of the period in milliseconds. `None`: it has no end, or the connection is not parked.
    pub(super) fn rest_ends(&self) -> Option<u64> {
        let end = Some(self.rest.end).filter(|end| *end > 0 && self.owner == Owner::Parked)?;
        Some(tcp::wheel::coarse(u64::from(end).saturating_mul(1000)))
    }

    /// Whether the peer has taken enough bytes in the period.
    fn takes_enough(&self) -> bool {
        let queued = self.tcb.send_queued();
        let idle = self.options.idle.map_or(0, |idle| idle.as_secs()).max(LEAST_PERIOD);
        let least = idle.saturating_mul(LEAST_RATE).min(u64::from(self.rest.queued));
        queued > 0 && u64::from(self.rest.queued.saturating_sub(queued)) >= least
    }
}

impl Shard {
    /// Ends a parked connection if its period is over. Returns whether it is.
    pub(super) fn end_rest(&mut self, id: u32, counters: &mut Counters) -> bool {
        let at = self.at;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        if conn.rest_ends().is_none() || seconds(at) < u64::from(conn.rest.end) {
            return false;
        }
        if conn.takes_enough() {
            conn.begin_rest(at);
            return false;
        }
        let end = if conn.tcb.send_queued() == 0 { End::Close } else { End::Abort };
        counters.idle_closed.bump();
        self.orphan(id, end, counters);
        true
    }
}

fn seconds(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0) / 1_000_000
}
