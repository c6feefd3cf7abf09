//! State of the one vCPU that can be reached from anywhere on it.

#![allow(unsafe_code, reason = "shares a value within one vCPU; see docs/soundness.md")]

use spin::Once;

/// A value that is set once and then shared by everything on this vCPU: the logger, the panic report, the idle loop.
///
/// There is one vCPU, and interrupt handlers touch none of these values (the upcall handler only clears a byte of its
/// own), so that no two uses overlap. With a queue per vCPU, each vCPU gets its own set.
#[derive(Debug)]
pub(crate) struct OnCpu<T>(Once<T>);

// SAFETY: the kernel starts no second vCPU and its interrupt handlers do not use these values, so that all accesses
// come from one thread of execution.
unsafe impl<T> Sync for OnCpu<T> {}
// SAFETY: as above: the value is made and used on the same vCPU.
unsafe impl<T> Send for OnCpu<T> {}

impl<T> OnCpu<T> {
    pub(crate) const fn new() -> Self {
        Self(Once::new())
    }

    /// Sets the value; a second one is dropped.
    pub(crate) fn set(&self, value: T) -> &T {
        self.0.call_once(|| value)
    }

    pub(crate) fn with(&self) -> Option<&T> {
        self.0.get()
    }
}
