//! The kernel's side: the stack's part of an iteration of the loop.
//!
//! ```text
//!   reap ─► link changed? ─► receive ≤ budget ─► deadlines ─► (tasks) ─► egress of dirty ≤ budget ─► flush ─► final check
//!   └──────────────── receive ──────────────────────────┘             └───────────────── send ──────────────────────┘
//! ```
//!
//! Every step is bounded, so a flood of frames delays deadlines by one budget and no more.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;

use nic::Nic;
use xen::SystemTime;

use crate::api::net::Net;
use crate::base::config::Config;
use crate::base::time;
use crate::turn::state::{Shared, State};

/// The stack over one network interface, driven by the kernel's loop.
pub struct Stack<N: Nic> {
    nic: N,
    state: Shared,
}

/// The work that an iteration leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// When the next iteration is due at the latest; `None`: only after an event.
    pub next: Option<SystemTime>,
    /// Another iteration is due at once, without sleep.
    pub more: bool,
}

impl<N: Nic> Stack<N> {
    /// A stack over `nic`. Nothing is sent before the first iteration.
    pub fn new(mut nic: N, config: Config, now: SystemTime) -> Self {
        let state = State::new(&mut nic, config, time::instant(now));
        Self { nic, state: Rc::new(RefCell::new(state)) }
    }

    /// Renews all secrets of the stack from a seed that nobody else has: the key of sequence numbers, ports, cookies,
    /// keys of hashes, transaction numbers. For a guest that was restored from an image of its memory, whose twin has
    /// them too. Handshakes that are under way are forgotten; connections go on.
    pub fn renew_secrets(&mut self, seed: [u8; 32]) {
        self.state.borrow_mut().renew_secrets(seed);
    }

    /// The handle for applications.
    #[must_use]
    pub fn net(&self) -> Net {
        Net::new(Rc::clone(&self.state))
    }

    /// The first half of an iteration: takes received frames and marks what is due. It wakes tasks and runs none.
    ///
    /// Call it when the interface has an event, when [`Iteration::next`] is reached, when tasks have run, and again while
    /// [`Iteration::more`]. `true`: there is more to take.
    ///
    /// Tasks run between the halves. So a task's answer leaves in the same iteration as the acknowledgement of the request.
    pub fn receive(&mut self, now: SystemTime) -> bool {
        self.state.borrow_mut().run_receive(&mut self.nic, time::instant(now))
    }

    /// The second half of an iteration: sends what is due. It wakes tasks and runs none.
    pub fn send(&mut self) -> Iteration {
        let (due, sending) = self.state.borrow_mut().run_send(&mut self.nic);
        let next = due.map(time::system_time);
        // To ask for an event costs the backend one, so it is not done when another iteration follows anyway.
        Iteration { next, more: sending || self.nic.final_check() }
    }

    /// Both halves, for callers that have no tasks to run in between.
    pub fn iterate(&mut self, now: SystemTime) -> Iteration {
        let more = self.receive(now);
        let sent = self.send();
        Iteration { more: sent.more || more, ..sent }
    }

    /// The interface.
    pub const fn nic(&self) -> &N {
        &self.nic
    }

    /// The interface, for changes.
    pub const fn nic_mut(&mut self) -> &mut N {
        &mut self.nic
    }
}

impl<N: Nic> fmt::Debug for Stack<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}
