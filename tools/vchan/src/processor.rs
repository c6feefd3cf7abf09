//! The processor under this program, to be given away for a moment: Xen lets another domain run, and comes back.
//!
//! dom0's kernel knows nothing of it: for it, a hypercall takes a little longer. Header `xencall.h`, Xen 4.17.

#![allow(unsafe_code, reason = "calls a C library; see docs/soundness.md")]

use std::ffi::{c_int, c_uint, c_void};
use std::fs::File;
use std::ptr::NonNull;
use xen::abi::sched::SchedOp;
use xen::abi::xen::Hypercall;

// SAFETY: the signatures are those of `xencall.h`.
unsafe extern "C" {
    fn xencall_open(logger: *mut c_void, flags: c_uint) -> *mut c_void;
    fn xencall_close(handle: *mut c_void) -> c_int;
    fn xencall2(handle: *mut c_void, op: c_uint, command: u64, argument: u64) -> c_int;
}

#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a constant: 29")]
const SCHED_OP: c_uint = Hypercall::SchedOp.raw() as c_uint;

/// The right to make hypercalls.
#[derive(Debug)]
pub(crate) struct Processor(NonNull<c_void>);

impl Processor {
    /// `None` where there is no such right.
    pub(crate) fn open() -> Option<Self> {
        // The library would say so on the standard error: it is no error.
        File::options().read(true).write(true).open("/dev/xen/privcmd").ok()?;
        // SAFETY: no logger, no flags.
        NonNull::new(unsafe { xencall_open(std::ptr::null_mut(), 0) }).map(Self)
    }

    /// `SCHEDOP_yield`: another domain that wants to run does so. If it fails, nothing has happened.
    pub(crate) fn give_away(&self) {
        // SAFETY: an open handle; the command has no argument, and touches no memory.
        let _ = unsafe { xencall2(self.0.as_ptr(), SCHED_OP, u64::from(SchedOp::Yield.raw()), 0) };
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        // SAFETY: made by `xencall_open`, and closed once: nobody else has it.
        let _ = unsafe { xencall_close(self.0.as_ptr()) };
    }
}
