//! The steps about pages that the backend keeps mapped, as the device runs them.
//!
//! ```text
//!   Begin: room for pages of a queue      Next ─► a batch to map or to unmap      Done: the backend was told
//!   a pool grows ─► map                   a pool shrinks ─► unmap, then the grant ends
//!   End: all pages are to be unmapped, because the vif is about to close
//! ```

use super::NetDevice;
use super::mailbox::{Notice, Reply, Step};
use crate::queue::Queue;
use xen::Machine;

impl<M: Machine> NetDevice<M> {
    /// Runs a step.
    pub(super) fn run_mapping(&mut self, step: Step) -> Reply {
        match step {
            Step::Begin(number, room) => {
                if let Some(queue) = nth(&mut self.queues, number) {
                    queue.begin_mapping(room);
                }
            }
            Step::Next(number) => {
                return Reply::Batch(nth(&mut self.queues, number).and_then(|queue| queue.next_batch()));
            }
            Step::Done(number, batch, agreed) => {
                if let Some(queue) = nth(&mut self.queues, number) {
                    queue.complete_batch(&self.xen, &batch, agreed);
                }
            }
            Step::End => self.queues.iter_mut().for_each(Queue::end_mapping),
            Step::Abandon => self.queues.iter_mut().for_each(Queue::abandon_mapping),
        }
        Reply::Done
    }

    /// Notifies the connection task if the backend is to be told of pages.
    pub(super) fn check_mappings(&self) {
        if self.is_up() && self.queues.iter().any(Queue::has_batch) {
            self.mailbox.notify(Notice::Mappings);
        }
    }
}

fn nth(queues: &mut [Queue], number: u32) -> Option<&mut Queue> {
    queues.get_mut(usize::try_from(number).ok()?)
}
