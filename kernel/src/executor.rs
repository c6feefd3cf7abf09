//! Tasks: `FuturesUnordered` polls those that were woken, and only those.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Polls of the task set in one turn; the rest waits until the network had its turn.
const POLLS_A_TURN: u32 = 64;

/// Set when a task was woken since the executor last ran.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The tasks of a vCPU.
pub(crate) struct Executor {
    tasks: RefCell<FuturesUnordered<Task>>,
    spawned: RefCell<Vec<Task>>,
    /// The set cannot be asked while a task runs.
    nr_tasks: Cell<usize>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Executor {
    pub(crate) fn new() -> Self {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        Self { tasks: RefCell::default(), spawned: RefCell::default(), nr_tasks: Cell::new(0), woken, waker }
    }

    /// Starts a task; it runs for the first time in this turn.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push(Box::pin(future));
        self.woken.wake_by_ref();
    }

    /// Whether a task waits to run.
    pub(crate) fn has_work(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// Tasks that have not ended, as of the last time that the executor looked.
    pub(crate) fn nr_tasks(&self) -> usize {
        self.nr_tasks.get()
    }

    /// Runs the tasks that were woken, within the turn's budget.
    pub(crate) fn run(&self) {
        let mut tasks = self.tasks.borrow_mut();
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..POLLS_A_TURN {
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                return;
            }
            if !self.spawned.borrow().is_empty() {
                // A task may spawn tasks: the list is not borrowed while it runs.
                let spawned = core::mem::take(&mut *self.spawned.borrow_mut());
                tasks.extend(spawned);
                self.nr_tasks.set(tasks.len());
            }
            while let Poll::Ready(Some(())) = Pin::new(&mut *tasks).poll_next(&mut cx) {
                self.nr_tasks.set(tasks.len());
            }
        }
    }
}

impl core::fmt::Debug for Executor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.nr_tasks()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use alloc::rc::Rc;
    use core::future::poll_fn;

    #[test]
    fn only_woken_tasks_run_and_spawned_ones_run_in_the_same_turn() {
        let executor = Rc::new(Executor::new());
        let polls = Rc::new(Cell::new(0));
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let (inner, count, slot) = (Rc::clone(&executor), Rc::clone(&polls), Rc::clone(&waker));
        executor.spawn(async move {
            inner.spawn(poll_fn(move |cx| {
                count.set(count.get() + 1);
                *slot.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }));
        });
        executor.run();
        assert_eq!((polls.get(), executor.nr_tasks()), (1, 1));
        executor.run();
        assert_eq!(polls.get(), 1, "not woken, not polled");
        waker.borrow().as_ref().unwrap().wake_by_ref();
        assert!(executor.has_work());
        executor.run();
        assert_eq!(polls.get(), 2);
    }
}
