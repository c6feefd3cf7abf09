//! libxenvchan itself, without `vchan-socket-proxy` in between: one process less, and two copies less.
//!
//! ```text
//!   read, write ──► libxenvchan_read, libxenvchan_write, as much as there is or as there is room for
//!                     └─ less than was asked for: the library leaves its wish for an event in the page
//!   wait ─────────► poll(event channel) ─► libxenvchan_wait takes the event ─► the caller looks again
//! ```
//!
//! Header `libxenvchan.h`, Xen 4.17; linked statically (Debian's `libxen-dev`), as `push` is.

#![allow(unsafe_code, reason = "calls a C library; see docs/soundness.md")]

use crate::dial::Way;
use crate::flags::{BLOCKING, FLAGS_WORD};
use crate::streams::wait_for;
use rustix::event::{PollFd, PollFlags};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::time::Duration;

/// `struct libxenvchan`, of which only its flags are ours to set.
#[repr(C)]
struct Raw([u32; FLAGS_WORD + 1]);

// SAFETY: the signatures are those of `libxenvchan.h`.
unsafe extern "C" {
    fn libxenvchan_client_init(logger: *mut c_void, domain: c_int, path: *const c_char) -> *mut Raw;
    fn libxenvchan_read(channel: *mut Raw, data: *mut c_void, size: usize) -> c_int;
    fn libxenvchan_write(channel: *mut Raw, data: *const c_void, size: usize) -> c_int;
    fn libxenvchan_wait(channel: *mut Raw) -> c_int;
    fn libxenvchan_fd_for_select(channel: *mut Raw) -> c_int;
    fn libxenvchan_is_open(channel: *mut Raw) -> c_int;
    fn libxenvchan_close(channel: *mut Raw);
}

/// What the library opens.
const DEVICES: [&str; 2] = ["/dev/xen/evtchn", "/dev/xen/gntdev"];

/// A channel.
struct Channel {
    raw: NonNull<Raw>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: made by `libxenvchan_client_init`, and closed once: nobody else has it.
        unsafe { libxenvchan_close(self.raw.as_ptr()) }
    }
}

/// What the library says of a read or write: bytes, 0 for "not yet", negative for an end.
fn result(len: c_int) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

impl Channel {
    /// Whether the guest is there.
    fn is_open(&self) -> bool {
        // SAFETY: an open channel; reads two bytes of the page.
        unsafe { libxenvchan_is_open(self.raw.as_ptr()) == 1 }
    }
}

impl Way for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: an open channel; the pointer and the length are those of the slice.
        let len = unsafe { libxenvchan_read(self.raw.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
        let len = result(len)?;
        Ok(if len == 0 && self.is_open() { None } else { Some(len) })
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        // SAFETY: an open channel; the pointer and the length are those of the slice.
        result(unsafe { libxenvchan_write(self.raw.as_ptr(), from.as_ptr().cast(), from.len()) })
    }

    /// The event channel tells of both: the wishes that `read` and `write` left are in the page.
    fn wait(&mut self, _for_room: bool, limit: Duration) -> io::Result<()> {
        // SAFETY: an open channel.
        let fd = unsafe { libxenvchan_fd_for_select(self.raw.as_ptr()) };
        // SAFETY: open for as long as the channel, which outlives this call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        if wait_for(&mut [PollFd::new(&fd, PollFlags::IN)], limit)? {
            // SAFETY: an open channel; takes the event that is there.
            unsafe { libxenvchan_wait(self.raw.as_ptr()) };
        }
        Ok(())
    }
}

/// Connects to a guest's server; `None` while it is not there, or has another client.
///
/// # Errors
/// A path with a zero byte, or no access to Xen's devices.
pub fn connect(domid: u16, path: &str) -> io::Result<Option<Box<dyn Way>>> {
    // The library says nothing of what it lacks.
    for device in DEVICES {
        let opened = File::options().read(true).write(true).open(device);
        opened.map_err(|error| io::Error::other(format!("{device}: {error}")))?;
    }
    let path = CString::new(path).map_err(io::Error::other)?;
    // SAFETY: no logger, and a string that ends with a zero byte and is only read.
    let raw = unsafe { libxenvchan_client_init(std::ptr::null_mut(), c_int::from(domid), path.as_ptr()) };
    let Some(raw) = NonNull::new(raw) else { return Ok(None) };
    // SAFETY: made just now, and nobody else has it; the word is within the structure.
    let flags = unsafe { &raw mut (*raw.as_ptr()).0[FLAGS_WORD] };
    // The library leaves it as it found it in the heap: a call that blocks would wait within the library, without an end.
    // SAFETY: as above; aligned, and a number whatever its bits are.
    let set = unsafe { flags.read() };
    // SAFETY: as above.
    unsafe { flags.write(set & !BLOCKING) };
    Ok(Some(Box::new(Channel { raw })))
}
