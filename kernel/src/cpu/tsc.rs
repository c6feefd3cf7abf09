//! The timestamp counter.

#![allow(unsafe_code, reason = "reads a counter; see docs/soundness.md")]

/// Reads the timestamp counter: ticks since the processor's reset, at the rate that Xen's `vcpu_time_info` gives.
pub(crate) fn rdtsc() -> u64 {
    // SAFETY: RDTSC changes two registers; CR4.TSD is clear, so that it does not fault.
    unsafe { core::arch::x86_64::_rdtsc() }
}
