//! Seconds: time limits and the `Date` header, for one store a request.
//!
//! ```text
//!   a task of the appliance ── tick(now), once a second while requests come ──► Clock ─► wakes those whose time is over
//!   a request that waits    ── within(limit, future) ── leaves its waker and its deadline ──┘
//! ```
//!
//! A timer for each limit would cost two readings of the clock, an insertion and a removal for every request. Here a request
//! that waits stores the second at which its time is over, and the tick compares them all. A limit is exact to one second.
//! Without requests there is no tick, and the guest sleeps.

use crate::http::date::http_date;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, OnceCell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Poll, Waker};

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
    /// In nodes of their own: however many wait, no allocation is large.
    waiters: RefCell<BTreeMap<u64, Rc<Waiter>>>,
    next: Cell<u64>,
    /// Whether a request came since the last tick.
    used: Cell<bool>,
    /// Whether somebody ticks.
    ticking: Cell<bool>,
    /// The task that ticks, while there is no need.
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
        for waiter in self.waiters.borrow().values() {
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

    /// A request comes. `true`: nobody has ticked for a while, so the time must be set.
    pub(crate) fn use_time(&self) -> bool {
        self.used.set(true);
        if self.ticking.get() {
            return false;
        }
        self.ticking.set(true);
        self.ticker.borrow_mut().take().into_iter().for_each(Waker::wake);
        true
    }

    /// Waits until the time is needed: a request came since the last call, or a connection waits for something.
    pub(crate) async fn in_use(&self) {
        poll_fn(|cx| {
            if self.used.replace(false) || !self.waiters.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.ticking.set(false);
            *self.ticker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A request begins.
    pub(crate) const fn limit(&self) -> TimeLimit<'_> {
        TimeLimit { clock: self, deadline: Cell::new(u64::MAX), waiter: OnceCell::new() }
    }
}

/// The time limit of a connection that is being served. It costs memory from the first wait on.
#[derive(Debug)]
pub(crate) struct TimeLimit<'a> {
    clock: &'a Clock,
    deadline: Cell<u64>,
    waiter: OnceCell<(u64, Rc<Waiter>)>,
}

impl TimeLimit<'_> {
    /// Sets the limit: `seconds` from now.
    pub(crate) fn set(&self, seconds: u64) {
        self.deadline.set(self.clock.seconds().saturating_add(seconds));
        if let Some((_, waiter)) = self.waiter.get() {
            waiter.deadline.set(self.deadline.get());
        }
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
            if self.clock.seconds() >= self.deadline.get() {
                return Poll::Ready(None);
            }
            let (_, waiter) = self.waiter.get_or_init(|| {
                let waiter = Rc::new(Waiter { deadline: self.deadline.clone(), ..Waiter::default() });
                let key = self.clock.next.replace(self.clock.next.get().wrapping_add(1));
                self.clock.waiters.borrow_mut().insert(key, Rc::clone(&waiter));
                (key, waiter)
            });
            let mut waker = waiter.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl Drop for TimeLimit<'_> {
    fn drop(&mut self) {
        if let Some((key, _)) = self.waiter.get() {
            self.clock.waiters.borrow_mut().remove(key);
        }
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
        let limit = clock.limit();
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
    fn the_ticker_rests_when_nothing_comes_and_nobody_waits() {
        let clock = Clock::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(clock.in_use()).poll(&mut cx).is_pending());
        assert!(clock.use_time() && !clock.use_time(), "the first of a second sets the time");
        assert!(clock.ticker.borrow().is_none(), "woken");
        assert!(pin!(clock.in_use()).poll(&mut cx).is_ready());
        let limit = clock.limit();
        limit.set(5);
        assert!(pin!(limit.within(pin!(pending::<()>()))).poll(&mut cx).is_pending());
        assert!(pin!(clock.in_use()).poll(&mut cx).is_ready(), "somebody waits");
        drop(limit);
        assert!(pin!(clock.in_use()).poll(&mut cx).is_pending());
        assert!(clock.use_time());
    }
}
