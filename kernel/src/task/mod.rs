//! What tasks run on: the executor, the timer queue, the entropy of the random number generator, and what wakes the
//! loop.

#[cfg(any(test, bare))]
pub(crate) mod entropy;
#[cfg(any(test, bare))]
pub(crate) mod executor;
#[cfg(any(test, bare))]
pub(crate) mod timer_queue;
#[cfg(any(test, bare))]
pub(crate) mod wake;
