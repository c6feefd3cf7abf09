//! A vif without a stack, for an appliance that brings its own.
//!
//! ```text
//!   bare_vif(0) ─► NetDevice (smoltcp's Device) ─► the appliance's smoltcp Interface
//!   each_turn(f)   the loop calls f in each iteration: reap ─► poll ─► maintain ─► flush ─► final_check
//! ```

use crate::domain::domu::DomU;
use crate::system::System;
use crate::system::interface::earliest;
use alloc::boxed::Box;
use alloc::rc::Rc;
use net::Iteration;
use netfront::{ConnectError, NetDevice};
use xen::SystemTime;

/// What an appliance does in each iteration of the loop.
pub(super) type EachIteration = Box<dyn FnMut(SystemTime) -> Iteration>;

impl System {
    /// The device of `device/vif/<handle>`, for an appliance with a stack of its own. The kernel gives no vif a stack
    /// then, so [`System::net`] never returns. To be called before the main task waits for anything: the kernel starts its
    /// stacks at the first wait.
    ///
    /// # Errors
    /// Why the vif cannot be opened.
    pub async fn bare_vif(&self, handle: u32) -> Result<NetDevice<DomU>, ConnectError> {
        self.0.bare.set(true);
        self.open_vif(handle, 1).await
    }

    /// Calls `iterate` in each iteration of the loop, after the tasks. It returns whether there is more work at once, and the
    /// next deadline; an iteration follows each event, too.
    pub fn each_iteration(&self, iterate: impl FnMut(SystemTime) -> Iteration + 'static) {
        self.0.iterations.borrow_mut().push(Box::new(iterate));
    }

    /// Whether the appliance has stacks of its own.
    pub(crate) fn is_bare(&self) -> bool {
        self.0.bare.get()
    }

    /// Calls what the appliance wants called in each iteration.
    pub(crate) fn run_iterations(&self, now: SystemTime) -> Iteration {
        let mut all = Iteration { next: None, more: false };
        for iterate in self.0.iterations.borrow_mut().iter_mut() {
            let Iteration { next, more } = iterate(now);
            all = Iteration { next: earliest(all.next, next), more: all.more || more };
        }
        all
    }

    /// Opens a vif, one of `sharers` that share the memory for pools, and starts the task that keeps it connected.
    pub(crate) async fn open_vif(&self, handle: u32, sharers: u64) -> Result<NetDevice<DomU>, ConnectError> {
        let memory = self.memory_bytes().checked_div(sharers).unwrap_or_default();
        let config = netfront::Config {
            refuse: self.config().refuse,
            queues: self.config().queues,
            hash_key: Some(netfront::HashKey::new(self.random_bytes())),
            ..self.config().pool.choices(memory)
        };
        let (device, connection) = netfront::open(Rc::clone(self.xen()), handle, config).await?;
        let sleeper = self.clone();
        self.spawn(async move {
            connection
                .run(move |ns| {
                    let sleeper = sleeper.clone();
                    async move { sleeper.sleep(ns).await }
                })
                .await;
        });
        Ok(device)
    }
}
