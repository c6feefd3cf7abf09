//! A flag that a task can wait for. Event channels set it, async code awaits it.
//!
//! One waiter, any number of setters, all on one vCPU. Set before the wait, it is not lost; set twice, it counts once.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// A flag with a waiter.
#[derive(Debug, Default)]
pub struct Signal {
    set: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    /// A signal that is not set.
    #[must_use]
    pub const fn new() -> Self {
        Self { set: Cell::new(false), waiter: RefCell::new(None) }
    }

    /// Sets the flag and wakes the waiter.
    pub fn set(&self) {
        self.set.set(true);
        // The waker runs outside the borrow: it may come back here.
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waker) = waiter {
            waker.wake();
        }
    }

    /// Takes the flag: whether it was set since the last take.
    pub fn take(&self) -> bool {
        self.set.replace(false)
    }

    /// Whether the flag is set; leaves it.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until the flag is set, and takes it.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.take() {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    #[test]
    fn set_before_wait_is_not_lost_and_counts_once() {
        let signal = Signal::new();
        signal.set();
        signal.set();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(pin!(signal.wait()).poll(&mut cx), Poll::Ready(()));
        assert_eq!(pin!(signal.wait()).poll(&mut cx), Poll::Pending);
    }
}
