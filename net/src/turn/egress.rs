//! The sending half of a turn: deadlines mark connections and sockets as dirty, and dirty ones send in turn until the
//! budget or the slots run out.
//!
//! None sends more than a burst before the next one is served. Without a free slot nothing is sent until one returns:
//! time alone frees none.

use nic::Nic;

use crate::turn::state::State;

impl State {
    /// Handles deadlines that are over. `true`: there are more.
    pub(super) fn fire_timers(&mut self) -> bool {
        if self.udp_due.take_if(|at| *at <= self.now).is_some() {
            self.counters.timers_fired.bump();
            for id in core::mem::take(&mut self.waiting_udp) {
                self.mark_udp(id);
            }
        }
        if self.reassembly.expire(self.now) | self.neighbours.expire(self.now) {
            self.counters.timers_fired.bump();
        }
        self.tcp.fire_timers(&mut self.counters)
    }

    /// Sends everything due. `true`: there is more, and slots for it.
    pub(super) fn transmit<N: Nic>(&mut self, nic: &mut N) -> bool {
        let mut budget = self.limits.tx_budget.max(1);
        while budget > 0 {
            if !self.link_up || nic.tx_exhausted() {
                if self.has_dirty() {
                    self.counters.tx_exhausted.bump();
                }
                return false;
            }
            let connection = self.tcp.take_dirty();
            let socket = self.dirty_udp.pop_front();
            if connection.is_none() && socket.is_none() {
                return false;
            }
            for sent in
                [connection.map(|id| self.transmit_tcp(nic, id)), socket.map(|id| self.transmit_udp(nic, id))]
            {
                let Some(sent) = sent else { continue };
                self.counters.socket_visits.bump();
                // One that sends nothing costs something too.
                budget = budget.saturating_sub(sent.max(1));
            }
        }
        let more = self.has_dirty() && !nic.tx_exhausted();
        if more {
            self.counters.tx_budget_hits.bump();
        }
        more
    }

    fn has_dirty(&self) -> bool {
        self.tcp.has_dirty() || !self.dirty_udp.is_empty()
    }

    /// Releases the neighbour entries of connections that are gone.
    pub(super) fn release(&mut self) {
        for pin in self.tcp.take_released() {
            self.neighbours.unpin(pin, self.now);
        }
    }
}
