//! Linux's devices for programs that play a backend: `/dev/xen/gntdev` and `/dev/xen/evtchn`.
//!
//! ```text
//!   gref ──MAP_GRANT_REF, mmap──► Mapping ──► xen::Shared: values, never references
//!   gref ◄──GRANT_COPY──► a buffer of ours              (as netback does it: the page is not mapped)
//!   port ──BIND_INTERDOMAIN──► a local port; NOTIFY; reading returns the ports with events
//! ```
//!
//! Numbers and structures are those of Linux's `include/uapi/xen/gntdev.h` and `evtchn.h`.

#![allow(unsafe_code, reason = "ioctl and mmap have no safe form; every structure is the kernel's own")]

use crate::Outcome;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;
use std::sync::Arc;
use xen::{Shared, SharedPage};

pub const PAGE: usize = 4096;

/// `_IOC(_IOC_NONE, letter, number, size)`.
const fn request(letter: u8, number: u64, size: usize) -> u64 {
    (size as u64) << 16 | (letter as u64) << 8 | number
}

#[repr(C)]
struct MapGrantRef {
    count: u32,
    pad: u32,
    index: u64,
    domid: u32,
    gref: u32,
}

#[repr(C)]
struct UnmapGrantRef {
    index: u64,
    count: u32,
    pad: u32,
}

#[repr(C)]
struct GrantCopy {
    count: u32,
    segments: *mut Segment,
}

/// One end of a copy: a pointer, or a reference with its offset and domain, packed as the kernel's union has it.
#[repr(C)]
#[derive(Clone, Copy)]
union End {
    virt: *mut u8,
    foreign: Foreign,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Foreign {
    gref: u32,
    offset: u16,
    domid: u16,
}

#[repr(C)]
struct Segment {
    source: End,
    dest: End,
    len: u16,
    flags: u16,
    status: i16,
}

/// `GNTCOPY_source_gref`, `GNTCOPY_dest_gref`.
const SOURCE_GREF: u16 = 1;
const DEST_GREF: u16 = 2;

fn ioctl<T>(file: &File, request: u64, argument: &mut T) -> std::io::Result<i32> {
    // SAFETY: the callers pass the structure that the kernel's header has for this request.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// How a page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Foreign pages.
#[derive(Clone, Debug)]
pub struct Gntdev {
    file: Arc<File>,
    domid: u16,
}

impl Gntdev {
    pub fn open(domid: u16) -> Outcome<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/xen/gntdev")?;
        Ok(Self { file: Arc::new(file), domid })
    }

    /// Maps a page that the guest granted.
    pub fn map(&self, gref: u32, access: Access) -> std::io::Result<Mapping> {
        let mut map = MapGrantRef { count: 1, pad: 0, index: 0, domid: u32::from(self.domid), gref };
        ioctl(&self.file, request(b'G', 0, size_of::<MapGrantRef>()), &mut map)?;
        let protection =
            if access == Access::Write { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a new mapping of one page at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                protection,
                libc::MAP_SHARED,
                self.file.as_raw_fd(),
                map.index as i64,
            )
        };
        let failure = Error::last_os_error();
        match NonNull::new(base.cast()).filter(|_| base != libc::MAP_FAILED) {
            Some(base) => Ok(Mapping { base, index: map.index, gref, file: Arc::clone(&self.file) }),
            None => {
                let _ = unmap(&self.file, map.index);
                Err(failure)
            }
        }
    }

    /// Copies out of a page of the guest's.
    pub fn read(&self, gref: u32, offset: u16, into: &mut [u8]) -> Outcome {
        let foreign = End { foreign: Foreign { gref, offset, domid: self.domid } };
        self.copy(foreign, End { virt: into.as_mut_ptr() }, into.len(), SOURCE_GREF)
    }

    /// Copies into a page of the guest's.
    pub fn write(&self, gref: u32, offset: u16, from: &mut [u8]) -> Outcome {
        let foreign = End { foreign: Foreign { gref, offset, domid: self.domid } };
        self.copy(End { virt: from.as_mut_ptr() }, foreign, from.len(), DEST_GREF)
    }

    fn copy(&self, source: End, dest: End, len: usize, flags: u16) -> Outcome {
        let mut segment = Segment { source, dest, len: len as u16, flags, status: 0 };
        let mut copy = GrantCopy { count: 1, segments: &raw mut segment };
        ioctl(&self.file, request(b'G', 8, size_of::<GrantCopy>()), &mut copy)?;
        if segment.status == 0 {
            Ok(())
        } else {
            Err(format!("grant copy: status {}", segment.status).into())
        }
    }
}

fn unmap(file: &File, index: u64) -> std::io::Result<i32> {
    ioctl(file, request(b'G', 1, size_of::<UnmapGrantRef>()), &mut UnmapGrantRef { index, count: 1, pad: 0 })
}

/// A page of the guest's, mapped until this is dropped.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    index: u64,
    pub gref: u32,
    file: Arc<File>,
}

// SAFETY: the page is reached through atomics alone, from any thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The page. To write to one that was mapped to be read is a fault of this program's.
    pub fn page(&self) -> Shared<'_> {
        // SAFETY: mapped for as long as `self` lives, aligned to a page, never referred to but by atomics.
        unsafe { Shared::new(self.base, PAGE) }
    }
}

impl SharedPage for Mapping {
    fn shared(&self) -> Shared<'_> {
        self.page()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; no reference to it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), PAGE) };
        if let Err(error) = unmap(&self.file, self.index) {
            eprintln!("gref {}: {error}", self.gref);
        }
    }
}

/// Event channels.
#[derive(Clone, Debug)]
pub struct Evtchn(Arc<File>);

#[repr(C)]
struct BindInterdomain {
    domid: u32,
    port: u32,
}

impl Evtchn {
    pub fn open() -> Outcome<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/xen/evtchn")?;
        Ok(Self(Arc::new(file)))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Binds a channel that a guest offers; our port.
    pub fn bind(&self, domid: u16, port: u32) -> Outcome<u32> {
        let mut bind = BindInterdomain { domid: u32::from(domid), port };
        Ok(ioctl(&self.0, request(b'E', 1, size_of::<BindInterdomain>()), &mut bind)?.cast_unsigned())
    }

    pub fn unbind(&self, mut port: u32) {
        let _ = ioctl(&self.0, request(b'E', 3, size_of::<u32>()), &mut port);
    }

    /// `EVTCHNOP_send`.
    pub fn notify(&self, mut port: u32) -> std::io::Result<()> {
        ioctl(&self.0, request(b'E', 4, size_of::<u32>()), &mut port).map(drop)
    }

    /// Takes the ports that rang, and lets them ring again. How many there were.
    pub fn take(&self) -> Outcome<usize> {
        let mut ports = [0; 64 * 4];
        match (&*self.0).read(&mut ports) {
            Ok(len) => {
                (&*self.0).write_all(ports.get(..len).unwrap_or_default())?;
                Ok(len / 4)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits until one of the files can be read, for at most this many milliseconds.
pub fn wait(files: &[RawFd], limit_ms: i32) {
    let mut all: Vec<libc::pollfd> =
        files.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the count is that of the structures. What was ready is found by trying.
    unsafe { libc::poll(all.as_mut_ptr(), all.len() as u64, limit_ms) };
}
