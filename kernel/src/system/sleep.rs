//! Time for tasks: sleeping, and timeouts.

use super::System;
use crate::task::timer_queue::{Key, Timers};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use xen::SystemTime;

/// An entry of the timer queue, removed when the sleeping future is dropped.
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
            // The entry is replaced at each poll: the task's waker may have changed.
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

    /// Runs a future for at most `ns` nanoseconds; `None` if it has not finished by then.
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
