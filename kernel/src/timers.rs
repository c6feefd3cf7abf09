//! Time for tasks: sleeping, and giving up on something that takes too long.

use crate::system::System;
use crate::timer_queue::{Key, Timers};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use xen::SystemTime;

/// The timestamp counter.
pub(crate) fn rdtsc() -> u64 {
    #[allow(unsafe_code, reason = "reads a counter")]
    // SAFETY: RDTSC has no effect; CR4.TSD is clear.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
}

/// An entry of the queue, taken out when the sleeper goes.
struct Entry<'a> {
    timers: &'a Timers,
    key: Option<Key>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timers.remove(&key);
        }
    }
}

impl System {
    /// Sleeps until `deadline`.
    pub async fn sleep_until(&self, deadline: SystemTime) {
        let mut entry = Entry { timers: self.timers(), key: None };
        poll_fn(|cx| {
            if self.now() >= deadline {
                return Poll::Ready(());
            }
            // One entry, made anew at each poll: the task's waker may have changed.
            if let Some(key) = entry.key.take() {
                self.timers().remove(&key);
            }
            entry.key = Some(self.timers().add(deadline, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Sleeps for `ns` nanoseconds.
    pub async fn sleep(&self, ns: u64) {
        self.sleep_until(self.now().after(ns)).await;
    }

    /// Runs a future for at most `ns` nanoseconds; `None` when it has not ended by then.
    pub async fn timeout<F: Future>(&self, ns: u64, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep(ns));
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            sleep.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}
