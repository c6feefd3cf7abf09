//! The sending half of a turn: deadlines make connections and sockets dirty, and dirty ones send in turn until the budget
//! or the slots run out.
//!
//! None sends more than a burst before the next one has its turn. Without a free slot nobody is asked until one comes
//! back: time alone frees none.

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
        self.tcp.fire_timers(&mut self.counters)
    }

    /// Sends what is due. `true`: there is more, and slots for it.
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

    /// Gives back what connections that are gone have held.
    pub(super) fn release(&mut self) {
        for pin in self.tcp.take_released() {
            self.neighbours.unpin(pin);
        }
    }
}
