//! libxenvchan itself, in both roles, without `vchan-socket-proxy` in between: one process less, and two copies less.
//!
//! ```text
//!   connect: a guest's server ──► Channel: reads right, writes left     gntdev maps what the server granted
//!   offer:   a client in dom0 ──► Channel: reads left, writes right     gntalloc grants; xenstore shows where
//! ```
//!
//! ```text
//!   read, write ──► indexes in the page: bytes to read, room to write
//!                     └─► libxenvchan_read, libxenvchan_write, never more: the library leaves no wish for an event
//!   wait ─► SCHEDOP_yield, look at the indexes, some times ─ nothing? ─► the wishes ─► poll(event channel)
//!                                                                                       └─► libxenvchan_wait
//! ```
//!
//! A side that yields to the other domain and then finds its answer has not slept, and the other has sent no event
//! (`linger.rs`; figures in docs/measuring.md). Where `/dev/xen/privcmd` is not to be had, it sleeps at once.
//!
//! Headers `libxenvchan.h`, `xencall.h` and `sched.h`, Xen 4.17; linked statically (Debian's `libxen-dev`), as `push` and
//! `receive` are.

#![allow(unsafe_code, reason = "calls a C library; see docs/soundness.md")]

use crate::layout::{BLOCKING, Libxenvchan};
use crate::linger::Linger;
use crate::processor::Processor;
use crate::streams::wait_for;
use crate::way::Way;
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
    fn libxenvchan_server_init(
        logger: *mut c_void,
        domain: c_int,
        path: *const c_char,
        read_min: usize,
        write_min: usize,
    ) -> *mut Libxenvchan;
    fn libxenvchan_read(channel: *mut Libxenvchan, data: *mut c_void, size: usize) -> c_int;
    fn libxenvchan_write(channel: *mut Libxenvchan, data: *const c_void, size: usize) -> c_int;
    fn libxenvchan_data_ready(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_buffer_space(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_wait(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_fd_for_select(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_is_open(channel: *mut Libxenvchan) -> c_int;
    fn libxenvchan_close(channel: *mut Libxenvchan);
}

/// What the library opens as a client, and the modules of Linux that provide it.
const CLIENT_DEVICES: &[(&str, &str)] =
    &[("/dev/xen/evtchn", "xen-evtchn"), ("/dev/xen/gntdev", "xen-gntdev")];
/// What the library opens as a server.
const SERVER_DEVICES: &[(&str, &str)] =
    &[("/dev/xen/evtchn", "xen-evtchn"), ("/dev/xen/gntalloc", "xen-gntalloc"), ("/dev/xen/xenbus", "xenfs")];
/// Bytes of a path, at most: the library cuts `<path>/event-channel` at 63 bytes (`init.c`, Xen 4.17).
pub const MAX_PATH_BYTES: usize = 49;

/// Where the indexes of one way are in the control page.
#[derive(Clone, Copy)]
struct Indexes {
    prod: usize,
    cons: usize,
}

const LEFT: Indexes = Indexes { prod: offset::LEFT_PROD, cons: offset::LEFT_CONS };
const RIGHT: Indexes = Indexes { prod: offset::RIGHT_PROD, cons: offset::RIGHT_CONS };

/// `libxenvchan_is_open` of a server that no client has found yet.
const NOT_YET: c_int = 2;

/// The library's channel.
struct Line {
    raw: NonNull<Libxenvchan>,
    /// The control page.
    page: NonNull<u8>,
    /// The way to us, and the way from us.
    ways: (Indexes, Indexes),
    /// Their bytes, as the library has them: what stands in the page is the other side's to write.
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
    /// Whether the other side is there, or may still come.
    fn is_open(&self) -> bool {
        // SAFETY: an open channel; reads two bytes of the page.
        matches!(unsafe { libxenvchan_is_open(self.raw.as_ptr()) }, 1 | NOT_YET)
    }

    /// One past the last byte put into a ring less one past the last byte taken: what is in it.
    fn between(&self, Indexes { prod, cons }: Indexes) -> usize {
        // SAFETY: mapped for as long as the channel, whole pages; this program has no reference to it.
        let page = unsafe { Shared::new(self.page, offset::GRANTS) };
        let len = page.load::<u32>(prod, Acquire).wrapping_sub(page.load(cons, Acquire));
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    /// Bytes that there are to read, without a wish for more. None, if the other's index is no index: as the library does.
    fn ready(&self) -> usize {
        let ready = self.between(self.ways.0);
        if ready > self.sizes.0 { 0 } else { ready }
    }

    /// Bytes that there is room for, without a wish for more.
    fn room(&self) -> usize {
        self.sizes.1.saturating_sub(self.between(self.ways.1))
    }

    /// Whether there is something to do; without `for_room`, room is nothing to do.
    fn is_there(&self, for_room: bool) -> bool {
        self.ready() > 0 || (for_room && self.room() > 0) || !self.is_open()
    }

    /// Asks the other side for an event, and looks again: whether there is nothing to do yet.
    fn wish(&self, for_room: bool) -> bool {
        // SAFETY: an open channel.
        let ready = unsafe { libxenvchan_data_ready(self.raw.as_ptr()) };
        // SAFETY: an open channel.
        let room = if for_room { unsafe { libxenvchan_buffer_space(self.raw.as_ptr()) } } else { 0 };
        ready == 0 && room == 0 && self.is_open()
    }

    /// Waits for the other side's event.
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
    look_at(CLIENT_DEVICES)?;
    let path = CString::new(path).map_err(io::Error::other)?;
    // SAFETY: no logger, and a string that ends with a zero byte and is only read.
    let raw = unsafe { libxenvchan_client_init(std::ptr::null_mut(), c_int::from(domid), path.as_ptr()) };
    NonNull::new(raw).map(|raw| channel(raw, (RIGHT, LEFT))).transpose()
}

/// Offers a channel to a client in another domain, at this path in xenstore, which may be relative to this domain's own:
/// `data/vchan/0/push`. `rings` are the least bytes of the way to us and of the way from us.
///
/// # Errors
/// A path that is too long or has a zero byte, no access to Xen's devices, a path that cannot be written, no memory.
pub fn offer(client: u16, path: &str, rings: (usize, usize)) -> io::Result<Box<dyn Way>> {
    look_at(SERVER_DEVICES)?;
    if path.len() > MAX_PATH_BYTES {
        let what = format!("{path}: libxenvchan takes at most {MAX_PATH_BYTES} bytes; choose a shorter name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let text = CString::new(path).map_err(io::Error::other)?;
    // SAFETY: no logger, and a string that ends with a zero byte and is only read.
    let raw = unsafe {
        libxenvchan_server_init(std::ptr::null_mut(), c_int::from(client), text.as_ptr(), rings.0, rings.1)
    };
    // The library says no more than this.
    let refused = || {
        let last = io::Error::last_os_error();
        let why = "libxenvchan cannot offer it: is the path writable, and are there grants and memory left?";
        io::Error::new(last.kind(), format!("{path}: {why} ({last})"))
    };
    channel(NonNull::new(raw).ok_or_else(refused)?, (LEFT, RIGHT))
}

/// Opens what the library will open: it does not say what it lacks.
fn look_at(devices: &[(&str, &str)]) -> io::Result<()> {
    for (device, module) in devices {
        let opened = File::options().read(true).write(true).open(device);
        opened.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{device}: {error}; is `{module}` loaded (modprobe {module})?"),
            )
        })?;
    }
    Ok(())
}

/// What the library made, with calls that do not block.
fn channel(raw: NonNull<Libxenvchan>, ways: (Indexes, Indexes)) -> io::Result<Box<dyn Way>> {
    // SAFETY: made just now, and nobody else has it.
    let made = unsafe { &mut *raw.as_ptr() };
    // The library leaves it as it found it in the heap: a call that blocks would wait within the library, without an end.
    made.flags &= !BLOCKING;
    let page = NonNull::new(made.ring).ok_or(io::ErrorKind::InvalidData)?;
    let size = |order| u32::try_from(order).ok().and_then(|order| 1_usize.checked_shl(order)).unwrap_or(0);
    let sizes = (size(made.read.order), size(made.write.order));
    let (processor, linger) = (Processor::open(), Linger::default());
    Ok(Box::new(Channel { line: Line { raw, page, ways, sizes }, processor, linger }))
}
