//! Changes since the last iteration: lost time, another link, another backend.

use nic::Nic;
use smoltcp::time::{Duration, Instant};

use crate::base::time;
use crate::turn::state::State;

/// An iteration that begins this much later than it was due: the guest was paused, or its host was busy.
const STANDSTILL: Duration = Duration::from_secs(1);

impl State {
    /// Moves the timeouts of connections by the time in which the guest did not run. Without that, an hour of pause
    /// ends every connection that waits for an acknowledgement.
    pub(super) fn standstill(&mut self) -> Duration {
        let now = self.now;
        let Some(due) = self.due.take().filter(|due| time::after(*due, STANDSTILL) <= now) else {
            return Duration::ZERO;
        };
        self.counters.standstills.bump();
        Duration::from(time::until(due, now))
    }

    /// A link that came up may lead to another backend with other capabilities, in another network.
    pub(super) fn follow_link<N: Nic>(&mut self, nic: &mut N) {
        self.link_up = nic.link_up();
        let generation = nic.link_generation();
        if generation != self.link_generation {
            self.follow_backend(nic, generation);
        }
    }

    #[inline(never)]
    fn follow_backend<N: Nic>(&mut self, nic: &mut N, generation: u32) {
        self.link_generation = generation;
        self.rebuild_interface(nic);
        self.new_link_addresses();
    }

    /// The first half of an iteration. `true`: there is more to take.
    pub(crate) fn run_receive<N: Nic>(&mut self, nic: &mut N, now: Instant) -> bool {
        self.counters.iterations.bump();
        self.now = now;
        let paused = self.standstill();
        self.tcp.begin(now, paused);
        nic.reap();
        self.follow_link(nic);
        let received = self.receive(nic);
        let timers = self.fire_timers();
        received || timers
    }

    /// The second half of an iteration: when the next one is due, and whether there is more to send.
    pub(crate) fn run_send<N: Nic>(&mut self, nic: &mut N) -> (Option<Instant>, bool) {
        nic.steer(0);
        self.run_v4(nic);
        self.run_ip6(nic);
        self.run_half_open(nic);
        let sending = self.transmit(nic);
        self.tcp.refresh_touched(&mut self.counters);
        self.ask_neighbours(nic);
        self.release();
        self.drain_taps(nic);
        nic.flush();
        let v4 = self.v4.next(self.link_up);
        let others = [self.ip6.due, self.neighbours.next()].into_iter().flatten().filter(|_| self.link_up);
        let kept = [self.reassembly.next(), self.neighbours.expires()];
        let timers = [self.tcp.next(), self.udp_due].into_iter().chain(kept).flatten();
        let due = timers.chain(v4).chain(others).min();
        self.due = due.filter(|at| *at > self.now);
        (due, sending)
    }
}
