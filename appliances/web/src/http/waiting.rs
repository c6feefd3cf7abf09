//! The requests that wait: for their rest, or for their client to take the reply.
//!
//! ```text
//!   begin ─► polled once ─ done: the usual case, no task
//!                        └ waits ─► reserve ─► a task, and a place in the line ─ done: its memory comes back
//!                                      ▲ refused                  │
//!                                      └── the one that has waited longest without progress gives way: it is dropped,
//!                                          and its connection ends
//! ```
//!
//! Clients decide how many requests wait, so their memory is reserved. Clients that wait on purpose make no progress: they
//! give way to others. A request is polled when its client has sent or taken something, and goes to the end of the line. A
//! request that is answered at once needs no place.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use kernel::ledger::{Account, Reservation};

/// Bytes of a waiting request beside its future: its task, its place in the line, their headers in the heap.
const BESIDE: usize = 512;
/// Requests may use this part of the account: TLS sessions have the rest.
const PART: usize = 2;

/// The requests that wait.
pub(crate) struct Waiting {
    account: Account,
    /// By their last progress. Their tasks own them.
    line: RefCell<BTreeMap<u64, Weak<dyn GivesWay>>>,
    next: Cell<u64>,
    used: Cell<usize>,
}

/// A request in the line.
trait GivesWay {
    /// Drops the request. Its task ends.
    fn give_way(&self);
}

/// A request, until it ends or gives way.
struct Slot<F> {
    request: RefCell<Option<(Pin<Box<F>>, Held)>>,
    waker: Cell<Option<Waker>>,
}

/// The memory of a request.
struct Held {
    waiting: Rc<Waiting>,
    reservation: Reservation,
    /// Its place in the line.
    number: Cell<u64>,
}

impl Held {
    /// The request has made progress: it goes to the end of the line. `false`: it has no place any more, it gave way.
    fn note_progress(&self) -> bool {
        let number = self.waiting.next_number();
        let mut line = self.waiting.line.borrow_mut();
        let Some(place) = line.remove(&self.number.replace(number)) else { return false };
        line.insert(number, place);
        true
    }
}

/// The outcome of [`Waiting::begin`].
pub(crate) struct Begun<T> {
    /// What a task has to do, if the request waits.
    pub(crate) task: Option<T>,
    /// The requests that gave way.
    pub(crate) gave_way: u64,
}

impl Waiting {
    /// None yet; their memory comes from `account`.
    pub(crate) fn new(account: Account) -> Rc<Self> {
        Rc::new(Self { account, line: RefCell::default(), next: Cell::new(0), used: Cell::new(0) })
    }

    /// The number of requests that wait. The one that asks is one of them, if it has waited.
    pub(crate) fn len(&self) -> usize {
        self.line.borrow().len()
    }

    /// Polls a request once. If it is not done, its task gets the rest; without memory for that it is dropped.
    pub(crate) async fn begin<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        request: F,
    ) -> Begun<impl Future<Output = ()> + use<F>> {
        let mut request = Box::pin(request);
        if poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx).is_ready())).await {
            return Begun { task: None, gave_way: 0 };
        }
        let (reservation, gave_way) = self.reserve(size_of::<F>().saturating_add(BESIDE));
        let task = reservation.map(|reservation| {
            let number = self.next_number();
            self.used.set(self.used.get().saturating_add(reservation.bytes()));
            let held = Held { waiting: Rc::clone(self), reservation, number: Cell::new(number) };
            let slot = Rc::new(Slot { request: RefCell::new(Some((request, held))), waker: Cell::default() });
            let place: Weak<Slot<F>> = Rc::downgrade(&slot);
            self.line.borrow_mut().insert(number, place);
            async move { poll_fn(|cx| slot.poll(cx)).await }
        });
        Begun { task, gave_way }
    }

    fn next_number(&self) -> u64 {
        self.next.replace(self.next.get().wrapping_add(1))
    }

    /// Reserves memory, if need be that of the requests that have waited longest; and how many of them gave way.
    fn reserve(&self, bytes: usize) -> (Option<Reservation>, u64) {
        let mut gave_way = 0_u64;
        loop {
            let most = self.account.limit() / PART;
            let fits = self.used.get().saturating_add(bytes) <= most && bytes <= self.account.available();
            if fits && let Ok(reservation) = self.account.reserve(bytes) {
                return (Some(reservation), gave_way);
            }
            let oldest = self.line.borrow_mut().pop_first();
            let Some((_, oldest)) = oldest else { return (None, gave_way) };
            oldest.upgrade().into_iter().for_each(|oldest| oldest.give_way());
            gave_way = gave_way.saturating_add(1);
        }
    }
}

impl<F: Future<Output = ()>> Slot<F> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A request may begin another one, and so give way itself: it is not borrowed while it runs, and ends then.
        let Some((mut request, held)) = self.request.take() else { return Poll::Ready(()) };
        if request.as_mut().poll(cx).is_ready() || !held.note_progress() {
            return Poll::Ready(());
        }
        self.request.replace(Some((request, held)));
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<F> GivesWay for Slot<F> {
    fn give_way(&self) {
        drop(self.request.take());
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self { waiting, reservation, number } = self;
        waiting.used.set(waiting.used.get().saturating_sub(reservation.bytes()));
        waiting.line.borrow_mut().remove(&number.get());
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("requests", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::pin::pin;
    use kernel::ledger::{Consumer, Ledger};
    use std::sync::Arc;
    use std::task::Wake;

    type Task = Pin<Box<dyn Future<Output = ()>>>;

    /// Counts the wake-ups of tasks.
    struct Woken(std::sync::atomic::AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// A request that ends when its number is in the list; notes when it is dropped.
    struct Request {
        number: usize,
        done: Rc<RefCell<Vec<usize>>>,
        dropped: Rc<RefCell<Vec<usize>>>,
        _bytes: [u8; 1000],
    }

    impl Future for Request {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.done.borrow().contains(&self.number) { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl Drop for Request {
        fn drop(&mut self) {
            self.dropped.borrow_mut().push(self.number);
        }
    }

    fn begin<F: Future<Output = ()> + 'static>(waiting: &Rc<Waiting>, request: F) -> (Option<Task>, u64) {
        let mut begun = pin!(waiting.begin(request));
        let Poll::Ready(begun) = begun.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("begin waits for nothing")
        };
        (begun.task.map(|task| -> Task { Box::pin(task) }), begun.gave_way)
    }

    #[test]
    fn the_longest_waiting_without_progress_gives_way() {
        let account = Ledger::new(256 << 10).open(Consumer::Appliance);
        let waiting = Waiting::new(account.clone());
        let (done, dropped) = (Rc::new(RefCell::default()), Rc::new(RefCell::default()));
        let request = |number| Request {
            number,
            done: Rc::clone(&done),
            dropped: Rc::clone(&dropped),
            _bytes: [0; 1000],
        };
        let woken = Arc::new(Woken(0.into()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let room = account.limit() / 2 / (size_of::<Request>() + BESIDE);
        let mut tasks: Vec<Task> = Vec::new();
        for number in 0..room {
            let (task, gave_way) = begin(&waiting, request(number));
            tasks.extend(task);
            assert!(gave_way == 0 && tasks[number].as_mut().poll(&mut cx).is_pending());
        }
        assert!(account.used() <= account.limit() / 2 && account.used() > account.limit() / 2 - 2000);
        // One whose client takes something goes to the end of the line.
        assert!(tasks[1].as_mut().poll(&mut cx).is_pending());
        // One that has ended left the line; the next without progress gives way, and its task is woken and ends.
        done.borrow_mut().push(0);
        assert!(tasks[0].as_mut().poll(&mut cx).is_ready());
        let (kept, nobody) = begin(&waiting, request(100));
        let (task, gave_way) = begin(&waiting, request(101));
        assert!(kept.is_some() && nobody == 0);
        assert_eq!((gave_way, dropped.borrow().as_slice()), (1, [0, 2].as_slice()));
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(tasks[2].as_mut().poll(&mut cx).is_ready() && tasks[1].as_mut().poll(&mut cx).is_pending());
        // A request that is done at once needs no place.
        done.borrow_mut().push(102);
        let begun = begin(&waiting, request(102));
        assert!(begun.0.is_none() && begun.1 == 0);
        drop((tasks, task));
        assert_eq!((dropped.borrow().len(), waiting.line.borrow().len()), (room + 2, 1));
        assert_eq!((account.used() > 0, waiting.used.get()), (true, account.used()));
    }

    #[test]
    fn a_request_that_gives_way_while_it_runs_ends() {
        let account = Ledger::new(256 << 10).open(Consumer::Appliance);
        let waiting = Waiting::new(account.clone());
        let line = Rc::clone(&waiting);
        let mut polls = 0;
        // Its second run begins one that needs all the memory, its own too.
        let (task, _) = begin(
            &waiting,
            poll_fn(move |_| {
                polls += 1;
                if polls == 2 {
                    let room = [0_u8; 100 << 10];
                    let (task, gave_way) = begin(&line, async move {
                        core::future::pending::<()>().await;
                        assert!(!room.is_empty(), "not reached: it keeps the memory");
                    });
                    assert!(task.is_none() && gave_way == 1);
                }
                Poll::Pending
            }),
        );
        let mut task = task.unwrap();
        assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!((waiting.len(), waiting.used.get(), account.used()), (0, 0, 0));
    }

    #[test]
    fn without_any_memory_a_request_that_waits_is_dropped() {
        let waiting = Waiting::new(Ledger::new(1000).open(Consumer::Appliance));
        let (task, gave_way) = begin(&waiting, core::future::pending());
        assert!(task.is_none() && gave_way == 0);
    }
}
