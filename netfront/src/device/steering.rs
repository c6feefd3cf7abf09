//! The queue on which a flow is sent.
//!
//! ```text
//!   flow ──hash──► queue to send on = the queue on which the backend delivers the flow's frames
//! ```

use super::NetDevice;
use crate::queue::steering::Steering;
use crate::wire::hashing::Hashing;
use xen::Machine;

impl<M: Machine> NetDevice<M> {
    /// From now on frames may come with a hash. `agreed`: the backend has confirmed it, and flows are sent by it.
    pub(super) fn set_hashing(&mut self, hashing: Hashing, agreed: bool) {
        let queues = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        for (number, queue) in (0..).zip(&mut self.queues) {
            queue.set_steering(Steering::new(hashing, number, queues));
        }
        self.hashing = agreed.then_some(hashing);
        self.features.hash = agreed;
    }

    /// The queue of a flow.
    #[inline]
    pub(super) fn queue_of(&self, flow: u32) -> usize {
        let queues = self.queues.len();
        if queues < 2 {
            return 0;
        }
        let queues = u32::try_from(queues).unwrap_or(1);
        let queue = match &self.hashing {
            Some(hashing) => hashing.queue(flow, queues),
            None => flow.checked_rem(queues).unwrap_or_default(),
        };
        usize::try_from(queue).unwrap_or_default()
    }
}
