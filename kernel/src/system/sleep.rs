//! Time for tasks: sleeping, timeouts, and watches of xenstore that are tried again.

use super::System;
use crate::task::timer_queue::{Key, Timers};
use alloc::string::ToString;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use xen::SystemTime;
use xen::backoff::Backoff;
use xen::xenstore::Watch;

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

    /// Watches a node of xenstore. If that fails, it is tried again with growing pauses; a log line says which `command` of
    /// the toolstack has no effect meanwhile.
    pub(crate) async fn watch(&self, node: &str, command: &str) -> Watch {
        let mut backoff = Backoff::new();
        loop {
            match self.xen().store.watch(node).await {
                Ok(watch) => return watch,
                Err(error) => {
                    let text = error.to_string();
                    let wait = backoff.failed(error);
                    if wait.is_news {
                        log::warn!("{node} cannot be watched, so {command} has no effect: {text}");
                    }
                    self.sleep(wait.ns).await;
                }
            }
        }
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
