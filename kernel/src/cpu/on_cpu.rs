//! Statics of the one vCPU.

#![allow(unsafe_code, reason = "shares a value within one vCPU; see docs/soundness.md")]

use spin::Once;

/// A value that is set once and then shared by everything on this vCPU: the heap, the logger, the crash report.
///
/// There is one vCPU, and the interrupt stubs do not use these values, so that no two uses overlap.
#[derive(Debug)]
pub(crate) struct OnCpu<T>(Once<T>);

// SAFETY: the kernel starts no second vCPU and its interrupt stubs do not use these values: all accesses come from one
// thread of execution.
unsafe impl<T> Sync for OnCpu<T> {}
// SAFETY: as above: the value is created and used on the same vCPU.
unsafe impl<T> Send for OnCpu<T> {}

impl<T> OnCpu<T> {
    /// Without a value.
    pub(crate) const fn new() -> Self {
        Self(Once::new())
    }

    /// Sets the value and returns it. If there is one already, that one stays, and `value` is dropped.
    pub(crate) fn set(&self, value: T) -> &T {
        self.0.call_once(|| value)
    }

    /// The value, if it is set.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}
