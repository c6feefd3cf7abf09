//! libxenvchan itself, without `vchan-socket-proxy` in between: one process less, and two copies less.
//!
//! ```text
//!   read, write ──► indexes in the page: what there is, what there is room for
//!                     └─► libxenvchan_read, libxenvchan_write, never more: the library leaves no wish for an event
//!   wait ─► SCHEDOP_yield, look at the indexes, some times ─ nothing? ─► the wishes ─► poll(event channel)
//!                                                                                       └─► libxenvchan_wait
//! ```
//!
//! A sender that yields to the guest and then finds its answer has not slept, and the guest has sent no event
//! (`linger.rs`; figures in docs/measuring.md). Where `/dev/xen/privcmd` is not to be had, it sleeps at once.
//!
//! Headers `libxenvchan.h`, `xencall.h` and `sched.h`, Xen 4.17; linked statically (Debian's `libxen-dev`), as `push` is.

#![allow(unsafe_code, reason = "calls a C library; see docs/soundness.md")]

use crate::dial::Way;
use crate::layout::{BLOCKING, Libxenvchan};
use crate::linger::Linger;
use crate::processor::Processor;
use crate::streams::wait_for;
use rustix::event::{PollFd, PollFlags};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};
use xen::Shared;
use xen::abi::io_libxenvchan::offset;

// SAFETY: the signatures are those of `libxenvchan.h`.
unsafe extern "C" {
    fn libxenvchan_client_init(logger: *mut c_void, domain: c_int, path: *const c_char) -> *mut Libxenvchan;
    fn libxenvchan_read(channel: *mut Libxenvchan, data: *mut c_void, size: usize) -> c_int;
    fn libxenvchan_write(channel: *mut Libxenvchan, data: *const c_void, size: usize) -> c_int;
    fn libxenvchan_data_ready(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_buffer_space(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_wait(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_fd_for_select(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_is_open(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_close(channel: *mut Libxenvchan);
}

/// What the library opens.
const DEVICES: [&str; 2] = ["/dev/xen/evtchn", "/dev/xen/gntdev"];

/// The library's channel.
struct Line {
    raw: NonNull<Libxenvchan>,
    /// The control page.
    page: NonNull<u8>,
    /// Bytes of the way to us and of the way from us, as the library has them: what stands in the page is the guest's to
    /// write.
    sizes: (usize, usize),
}

impl Drop for Line {
    fn drop(&mut self) {
        // SAFETY: made by `libxenvchan_client_init`, and closed once: nobody else has it.
        unsafe { libxenvchan_close(self.raw.as_ptr()) }
    }
}

/// A channel, and how long it is looked at before a sleep.
struct Channel {
    line: Line,
    processor: Option<Processor>,
    linger: Linger,
}

/// What the library says of a read or write: bytes, 0 for "not yet", negative for an end.
fn result(len: c_int) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

impl Line {
    /// Whether the guest is there.
    fn is_open(&self) -> bool {
        // SAFETY: an open channel; reads two bytes of the page.
        unsafe { libxenvchan_is_open(self.raw.as_ptr()) == 1 }
    }

    /// One past the last byte put into a ring less one past the last byte taken: what is in it.
    fn between(&self, prod: usize, cons: usize) -> usize {
        // SAFETY: mapped for as long as the channel, whole pages; this program has no reference to it.
        let page = unsafe { Shared::new(self.page, offset::GRANTS) };
        let len = page.load::<u32>(prod, Acquire).wrapping_sub(page.load(cons, Acquire));
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    /// Bytes that there are to read, without a wish for more. None, if the guest's index is no index: as the library does.
    fn ready(&self) -> usize {
        let ready = self.between(offset::RIGHT_PROD, offset::RIGHT_CONS);
        if ready > self.sizes.0 { 0 } else { ready }
    }

    /// Bytes that there is room for, without a wish for more.
    fn room(&self) -> usize {
        self.sizes.1.saturating_sub(self.between(offset::LEFT_PROD, offset::LEFT_CONS))
    }

    /// Whether there is something to do; without `for_room`, room is nothing to do.
    fn is_there(&self, for_room: bool) -> bool {
        self.ready() > 0 || (for_room && self.room() > 0) || !self.is_open()
    }

    /// Asks the guest for an event, and looks again: whether there is nothing to do yet.
    fn wish(&self, for_room: bool) -> bool {
        // SAFETY: an open channel.
        let ready = unsafe { libxenvchan_data_ready(self.raw.as_ptr()) };
        // SAFETY: an open channel.
        let room = if for_room { unsafe { libxenvchan_buffer_space(self.raw.as_ptr()) } } else { 0 };
        ready == 0 && room == 0 && self.is_open()
    }

    /// Waits for the guest's event.
    fn sleep(&self, limit: Duration) -> io::Result<()> {
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

impl Way for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let (line, mut len) = (&self.line, into.len().min(self.line.ready()));
        if len > 0 {
            // SAFETY: an open channel; the pointer is that of the slice, which is not shorter.
            let read = unsafe { libxenvchan_read(line.raw.as_ptr(), into.as_mut_ptr().cast(), len) };
            len = result(read)?;
        }
        Ok(if len == 0 && line.is_open() { None } else { Some(len) })
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let len = from.len().min(self.line.room());
        if len == 0 && self.line.is_open() {
            return Ok(0);
        }
        // SAFETY: an open channel; the pointer is that of the slice, which is not shorter.
        result(unsafe { libxenvchan_write(self.line.raw.as_ptr(), from.as_ptr().cast(), len) })
    }

    fn wait(&mut self, for_room: bool, limit: Duration) -> io::Result<()> {
        let Self { line, processor, linger } = self;
        if let Some(processor) = processor
            && linger.until(|| line.is_there(for_room), || processor.give_away())
        {
            return Ok(());
        }
        if line.wish(for_room) {
            let asleep = Instant::now();
            line.sleep(limit)?;
            linger.slept(asleep.elapsed());
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
    // SAFETY: made just now, and nobody else has it.
    let made = unsafe { &mut *raw.as_ptr() };
    // The library leaves it as it found it in the heap: a call that blocks would wait within the library, without an end.
    made.flags &= !BLOCKING;
    let page = NonNull::new(made.ring).ok_or(io::ErrorKind::InvalidData)?;
    let size = |order| u32::try_from(order).ok().and_then(|order| 1_usize.checked_shl(order)).unwrap_or(0);
    let sizes = (size(made.read.order), size(made.write.order));
    let (processor, linger) = (Processor::open(), Linger::default());
    Ok(Some(Box::new(Channel { line: Line { raw, page, sizes }, processor, linger })))
}
