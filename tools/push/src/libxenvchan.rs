//! libxenvchan itself, without `vchan-socket-proxy` in between: one process less, and two copies less.
//!
//! ```text
//!   reader ── lock ──► libxenvchan_read ── nothing there: poll(event channel) ─► libxenvchan_wait ─► look again
//!                                                                                   └─► the bell, for a writer
//!   writer ── lock ──► libxenvchan_write ── no room: wait for the bell
//!   driver ── lock ──► libxenvchan_write, as much as there is room for: without a switch of threads
//! ```
//!
//! The library keeps no locks. Read and write go under ours; the wish for an event that they leave in the page is set
//! before our lock is let go, and the reader takes the lock before it rings the bell, so that no event is missed. Header
//! `libxenvchan.h`, Xen 4.17; linked statically (Debian's `libxen-dev`), as `push` is.

#![allow(unsafe_code, reason = "calls a C library; see docs/soundness.md")]

use crate::dial::Way;
use crate::flags::{BLOCKING, FLAGS_WORD};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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

/// How long the reader sleeps before it looks whether it is still wanted, in milliseconds.
const LOOK_MS: c_int = 200;

/// What the library opens.
const DEVICES: [&str; 2] = ["/dev/xen/evtchn", "/dev/xen/gntdev"];

/// A channel; closed with its last owner.
struct Channel {
    raw: NonNull<Raw>,
    /// Whether it is to end. Held for every call that touches the rings.
    ended: Mutex<bool>,
    bell: Condvar,
}

// SAFETY: the rings are touched under the lock. The bell's calls use the event channel alone, which the calls under the
// lock only write to, by a system call.
unsafe impl Send for Channel {}
// SAFETY: as for `Send`.
unsafe impl Sync for Channel {}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: made by `libxenvchan_client_init`, and closed once: nobody else has it any more.
        unsafe { libxenvchan_close(self.raw.as_ptr()) }
    }
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the library says of a read or write: bytes, 0 for "not yet", negative for an end.
    fn result(len: c_int) -> io::Result<usize> {
        usize::try_from(len).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Whether there is nobody to wait for any more. Under the lock.
    fn is_over(&self, ended: bool) -> bool {
        // SAFETY: an open channel; reads two bytes of the page.
        ended || unsafe { libxenvchan_is_open(self.raw.as_ptr()) } != 1
    }

    /// Writes what there is room for. Under the lock.
    fn put(&self, from: &[u8]) -> io::Result<usize> {
        // SAFETY: an open channel; the pointer and the length are those of the slice.
        Self::result(unsafe { libxenvchan_write(self.raw.as_ptr(), from.as_ptr().cast(), from.len()) })
    }

    /// Waits for an event for a while, takes it, and rings the bell. Only the reader does.
    fn wait(&self) {
        // SAFETY: an open channel; the descriptor lives as long.
        let fd = unsafe { libxenvchan_fd_for_select(self.raw.as_ptr()) };
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, as the number says.
        if unsafe { libc::poll(&raw mut poll, 1, LOOK_MS) } > 0 {
            // SAFETY: an open channel; takes the event that poll saw.
            unsafe { libxenvchan_wait(self.raw.as_ptr()) };
        }
        drop(self.lock());
        self.bell.notify_all();
    }
}

struct From(Arc<Channel>);
struct To(Arc<Channel>);
struct Hold(Arc<Channel>);

impl Read for From {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let ended = self.0.lock();
            // SAFETY: an open channel; the pointer and the length are those of the slice.
            let len = unsafe { libxenvchan_read(self.0.raw.as_ptr(), into.as_mut_ptr().cast(), into.len()) };
            if len != 0 || into.is_empty() || self.0.is_over(*ended) {
                return Channel::result(len);
            }
            drop(ended);
            self.0.wait();
        }
    }
}

impl Write for To {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut ended = self.0.lock();
        loop {
            let len = self.0.put(from)?;
            if len != 0 || from.is_empty() || self.0.is_over(*ended) {
                return Ok(len);
            }
            ended = self.0.bell.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.0.lock() = true;
        self.0.bell.notify_all();
    }
}

/// Connects to a guest's server; `None` while it is not there, or has another client.
///
/// # Errors
/// A path with a zero byte, or no access to Xen's devices.
pub fn connect(domid: u16, path: &str) -> io::Result<Option<Way>> {
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
    // The library leaves it as it found it in the heap: a call that blocks would keep our lock for good.
    // SAFETY: as above; aligned, and a number whatever its bits are.
    let set = unsafe { flags.read() };
    // SAFETY: as above.
    unsafe { flags.write(set & !BLOCKING) };
    let channel = Arc::new(Channel { raw, ended: Mutex::new(false), bell: Condvar::new() });
    let at_once = Arc::clone(&channel);
    Ok(Some(Way {
        from_guest: Box::new(From(Arc::clone(&channel))),
        to_guest: Box::new(To(Arc::clone(&channel))),
        at_once: Some(Box::new(move |bytes| {
            let _held = at_once.lock();
            at_once.put(bytes)
        })),
        hold: Box::new(Hold(channel)),
        said: Arc::default(),
    }))
}
