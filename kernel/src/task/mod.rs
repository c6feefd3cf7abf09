//! What tasks run on: the executor, the timer queue, and the entropy of the random number generator.

#[cfg(any(test, target_os = "none"))]
pub(crate) mod entropy;
#[cfg(any(test, target_os = "none"))]
pub(crate) mod executor;
#[cfg(any(test, target_os = "none"))]
pub(crate) mod timer_queue;
