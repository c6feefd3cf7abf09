//! The executor: `FuturesUnordered` polls the tasks that were woken, and no others.

use alloc::boxed::Box;
use alloc::collections::LinkedList;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use ledger::{Account, Refused};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Rounds over the woken tasks in one loop iteration. Tasks that are woken later wait for the next iteration, so that
/// the network is served in between.
const MAX_ROUNDS: u32 = 64;

/// Bytes of a task beside its future: the nodes of the lists, their headers in the heap, the reservation.
const TASK: usize = 256;

/// Set when a task was woken after the executor last ran.
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

/// The tasks of this vCPU.
pub(crate) struct Executor {
    tasks: RefCell<FuturesUnordered<Task>>,
    /// In nodes of their own: a network that makes an appliance spawn many does not make it allocate a large block.
    spawned: RefCell<LinkedList<Task>>,
    /// A copy of the length of `tasks`, which is borrowed while a task runs.
    nr_tasks: Cell<usize>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Executor {
    /// Without tasks.
    pub(crate) fn new() -> Self {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        Self { tasks: RefCell::default(), spawned: RefCell::default(), nr_tasks: Cell::new(0), woken, waker }
    }

    /// Starts a task. It is polled for the first time in the current or next call of [`Executor::run`].
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push_back(Box::pin(future));
        self.woken.wake_by_ref();
    }

    /// As [`Executor::spawn`], with the task's memory and `beside` more bytes reserved until it ends.
    pub(crate) fn try_spawn<F: Future<Output = ()> + 'static>(
        &self,
        account: &Account,
        beside: usize,
        future: F,
    ) -> Result<(), Refused> {
        let reservation = account.reserve(size_of::<F>().saturating_add(TASK).saturating_add(beside))?;
        self.spawn(async move {
            future.await;
            drop(reservation);
        });
        Ok(())
    }

    /// Whether a task was woken and not polled yet.
    pub(crate) fn has_work(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// Tasks that have not ended, as of the last poll.
    pub(crate) fn nr_tasks(&self) -> usize {
        self.nr_tasks.get()
    }

    /// Polls the woken tasks, in at most [`MAX_ROUNDS`] rounds.
    pub(crate) fn run(&self) {
        let mut tasks = self.tasks.borrow_mut();
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..MAX_ROUNDS {
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                return;
            }
            if !self.spawned.borrow().is_empty() {
                // A task may spawn tasks, so the list is not borrowed while tasks run.
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
    fn woken_tasks_run_and_spawned_ones_in_the_same_call() {
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
        assert_eq!(polls.get(), 1, "a task that was not woken is not polled");
        waker.borrow().as_ref().unwrap().wake_by_ref();
        assert!(executor.has_work());
        executor.run();
        assert_eq!(polls.get(), 2);
    }

    #[test]
    fn a_task_is_reserved_until_it_ends() {
        let account = ledger::Ledger::new(256 << 10).open(ledger::Consumer::Appliance);
        let executor = Executor::new();
        let mut count = 0;
        while executor.try_spawn(&account, 1000, core::future::pending()).is_ok() {
            count += 1;
        }
        executor.run();
        assert_eq!((executor.nr_tasks(), count), (count, account.limit() / (1000 + TASK)));
        assert_eq!(account.used(), count * (1000 + TASK));
        drop(executor);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn a_task_that_has_ended_gives_its_memory_back() {
        let account = ledger::Ledger::new(256 << 10).open(ledger::Consumer::Appliance);
        let executor = Executor::new();
        executor.try_spawn(&account, 10, async {}).unwrap();
        assert!(account.used() > 10);
        executor.run();
        assert_eq!((executor.nr_tasks(), account.used()), (0, 0));
    }
}
