//! The connection for tasks and the loop: the state behind a `RefCell`, and the one place that calls wakers.
//!
//! The borrow is never held while foreign code runs: wakers are called, and dropped, outside (dropping the last waker
//! of a task may drop its futures, which come back here to give up their requests).

use crate::abi::io_xs_wire::XsdSockmsgType as Kind;
use crate::hypervisor::Hypervisor;
use crate::ids::{EvtchnPort, SystemTime};
use crate::memory::shared::Shared;
use crate::xenstore::link::Moved;
use crate::xenstore::recovery::ANSWER_LIMIT_NS;
use crate::xenstore::state::{Recovered, Reply, State};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use core::task::{Context, Poll, Waker};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Connection(RefCell<State>);

impl Connection {
    pub(super) fn new(page: Shared<'static>, port: EvtchnPort) -> Self {
        Self(RefCell::new(State::new(page, port)))
    }

    /// Runs `f` on the state. `f` must neither wake nor drop a waker.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    /// See [`XenStore::pump`](crate::xenstore::XenStore::pump).
    pub(super) fn pump(&self, h: &impl Hypervisor) -> bool {
        let mut wakers = Vec::new();
        let (outcome, port, refused) = self.with(|state| {
            let before = state.stats.refused_silently;
            let outcome = state.pump(&mut wakers);
            (outcome, state.port, state.stats.refused_silently.since(before))
        });
        if refused != 0 {
            log::warn!("xenstore: xenstored refused {refused} requests that renew a watch or clean up");
        }
        let moved = outcome.unwrap_or_else(|broken| {
            log::error!("xenstore: the connection is broken: {broken}");
            Moved::default()
        });
        if moved.tell {
            let refused = h.evtchn_send(port).is_err();
            self.with(|state| {
                let count =
                    if refused { &mut state.stats.notify_failures } else { &mut state.stats.notifications };
                count.bump();
            });
        }
        let progress = moved.any || !wakers.is_empty();
        wakers.into_iter().for_each(Waker::wake);
        progress
    }

    /// See [`XenStore::reconnect`](crate::xenstore::XenStore::reconnect).
    pub(super) fn reconnect(&self, page: Shared<'static>, port: EvtchnPort) {
        let mut wakers = Vec::new();
        self.with(|state| state.reconnect(page, port, &mut wakers));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// See [`XenStore::maintain`](crate::xenstore::XenStore::maintain).
    pub(super) fn maintain(&self, h: &impl Hypervisor, now: SystemTime) -> Option<SystemTime> {
        let mut wakers = Vec::new();
        let (recovered, next, port) = self.with(|state| {
            let (recovered, next) = state.recover_when_due(now, &mut wakers);
            (recovered, next, state.port)
        });
        let limit_s = ANSWER_LIMIT_NS / 1_000_000_000;
        let Some(recovered) = recovered else { return next };
        match recovered {
            Recovered::Reset => log::warn!("xenstore: xenstored is asked to reset the connection"),
            Recovered::AttachedAgain => {
                log::warn!("xenstore: xenstored offers no reset; the ring is taken up again as it is");
            }
            Recovered::GaveUp => {
                log::warn!(
                    "xenstore: no answer for {limit_s} s; the requests that waited have failed. xenstored stands still or \
                     has ended. The guest works on, and uses xenstore again when it answers"
                );
            }
            Recovered::StillSilent => {}
        }
        // An event that was lost costs no more than this wait. One that Xen refuses shows as the next time limit.
        let _ = h.evtchn_send(port);
        wakers.into_iter().for_each(Waker::wake);
        next
    }

    /// See [`XenStore::write_sync_best_effort`](crate::xenstore::XenStore::write_sync_best_effort). Calls no waker, and
    /// does not touch borrowed state: the crash may come from within.
    pub(super) fn write_sync(&self, h: &impl Hypervisor, path: &str, value: &[u8], max_spins: u32) -> bool {
        // Not dropped either: the last waker of a task takes its futures along, which come back here.
        let mut wakers = ManuallyDrop::new(Vec::new());
        let Ok(mut state) = self.0.try_borrow_mut() else { return false };
        let Ok(id) = state.request(Kind::Write, 0, &[path.as_bytes(), b"\0", value]) else { return false };
        for _ in 0..max_spins {
            match state.pump(&mut wakers) {
                Ok(moved) if moved.tell => drop(h.evtchn_send(state.port)),
                Ok(_) => {}
                Err(_broken) => return false,
            }
            if state.is_answered(id) {
                return true;
            }
            h.sched_yield();
        }
        false
    }

    /// Takes the answer of a request, or leaves the waker.
    pub(super) fn poll_reply(&self, id: u32, cx: &Context<'_>) -> Poll<Reply> {
        let waker = cx.waker().clone();
        let (poll, _dropped_outside) = self.with(|state| state.poll_reply(id, waker));
        poll
    }

    /// No task waits for this request any more.
    pub(super) fn abandon(&self, id: u32) {
        let _dropped_outside = self.with(|state| state.abandon(id));
    }
}
