//! Seconds: time limits and the `Date` header, for one store a request.
//!
//! ```text
//!   a task of the appliance ── tick(now), once a second while connections are open ──► Clock ─► wakes those whose time is over
//!   a connection            ── within(limit, future) ── leaves its waker and its deadline ──┘
//! ```
//!
//! A timer for each limit would cost two readings of the clock, an insertion and a removal for every request. Here a
//! connection stores the second at which its time is over, and the tick compares them all. A limit is exact to one second.
//! Without connections there is no tick, and the guest sleeps.

use crate::http::date::http_date;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Poll, Waker};
use slab::Slab;

/// The present, to the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the start; never goes back.
    pub seconds: u64,
    /// The wall clock as a `Date` header has it; empty if there is none.
    pub date: String,
}

/// A waiting connection and its deadline.
#[derive(Debug, Default)]
struct Waiter {
    deadline: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// The clock of a server.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    seconds: Cell<u64>,
    moment: RefCell<Rc<Moment>>,
    waiters: RefCell<Slab<Rc<Waiter>>>,
    /// The task that ticks, while it waits for a connection.
    ticker: RefCell<Option<Waker>>,
}

impl Clock {
    /// Sets the time. `unix_seconds` is 0 if the wall clock is unknown.
    pub(crate) fn tick(&self, seconds: u64, unix_seconds: u64) {
        let known = !self.moment.borrow().date.is_empty();
        if seconds <= self.seconds.get() && known {
            return;
        }
        self.seconds.set(seconds.max(self.seconds.get()));
        let date = if unix_seconds == 0 { String::new() } else { http_date(unix_seconds) };
        *self.moment.borrow_mut() = Rc::new(Moment { seconds: self.seconds.get(), date });
        for (_, waiter) in self.waiters.borrow().iter() {
            if waiter.deadline.get() <= self.seconds.get()
                && let Some(waker) = waiter.waker.borrow_mut().take()
            {
                waker.wake();
            }
        }
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.get()
    }

    pub(crate) fn moment(&self) -> Rc<Moment> {
        Rc::clone(&self.moment.borrow())
    }

    /// Waits until a connection is open.
    pub(crate) async fn occupied(&self) {
        poll_fn(|cx| {
            if !self.waiters.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.ticker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A connection begins.
    pub(crate) fn enter(&self) -> TimeLimit<'_> {
        let waiter = Rc::new(Waiter::default());
        let key = self.waiters.borrow_mut().insert(Rc::clone(&waiter));
        if let Some(ticker) = self.ticker.borrow_mut().take() {
            ticker.wake();
        }
        TimeLimit { clock: self, waiter, key }
    }
}

/// A connection's time limit; ends with the connection.
#[derive(Debug)]
pub(crate) struct TimeLimit<'a> {
    clock: &'a Clock,
    waiter: Rc<Waiter>,
    key: usize,
}

impl TimeLimit<'_> {
    /// Sets the limit: `seconds` from now.
    pub(crate) fn set(&self, seconds: u64) {
        self.waiter.deadline.set(self.clock.seconds().saturating_add(seconds));
    }

    /// Runs a future up to the limit; `None` if it has not ended by then.
    pub(crate) fn within<F: Future>(
        &self,
        mut future: Pin<&mut F>,
    ) -> impl Future<Output = Option<F::Output>> {
        poll_fn(move |cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.clock.seconds() >= self.waiter.deadline.get() {
                return Poll::Ready(None);
            }
            let mut waker = self.waiter.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl Drop for TimeLimit<'_> {
    fn drop(&mut self) {
        let _ = self.clock.waiters.borrow_mut().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::pending;
    use core::pin::pin;
    use core::task::Context;

    #[test]
    fn a_limit_ends_a_wait_and_not_before_its_second() {
        let clock = Clock::default();
        clock.tick(100, 0);
        let limit = clock.enter();
        limit.set(30);
        let never = pin!(pending::<()>());
        let mut wait = pin!(limit.within(never));
        let mut cx = Context::from_waker(Waker::noop());
        clock.tick(129, 0);
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        clock.tick(130, 0);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn time_does_not_go_back_and_the_date_comes_once_it_is_known() {
        let clock = Clock::default();
        clock.tick(5, 0);
        assert_eq!(*clock.moment(), Moment { seconds: 5, date: String::new() });
        clock.tick(5, 784_111_777);
        assert_eq!(clock.moment().date, "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.tick(3, 0);
        assert_eq!((clock.seconds(), clock.moment().seconds), (5, 5));
        let without_date = Clock::default();
        without_date.tick(5, 0);
        without_date.tick(3, 0);
        assert_eq!(without_date.seconds(), 5);
    }

    #[test]
    fn the_ticker_hears_of_the_first_connection() {
        let clock = Clock::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut occupied = pin!(clock.occupied());
        assert!(occupied.as_mut().poll(&mut cx).is_pending());
        let limit = clock.enter();
        assert!(clock.ticker.borrow().is_none(), "woken");
        assert!(occupied.as_mut().poll(&mut cx).is_ready());
        drop(limit);
        assert!(pin!(clock.occupied()).poll(&mut cx).is_pending());
    }
}
