//! `struct libxenvchan` as its header has it: a program has to set one of its flags, and may look into the page by itself.
//!
//! The library takes the structure from `malloc` and does not say what `blocking` begins as: without this it is whatever
//! lay in the heap. Compared with the header in `tests/abi`. (`libxenvchan.h`, Xen 4.17; x86-64)

use std::ffi::c_void;

/// One ring as the library has it: `struct libxenvchan_ring`, 24 bytes.
///
/// | offset | size | field  | meaning |
/// |-------:|-----:|--------|---------|
/// |      0 |    8 | shr    | indexes, in the control page |
/// |      8 |    8 | buffer | where the ring's bytes are mapped |
/// |     16 |    4 | order  | its size is 2^this bytes; the library's own copy |
#[derive(Debug)]
#[repr(C)]
pub struct Ring {
    /// Indexes, in the control page.
    pub shr: *mut c_void,
    /// Where the ring's bytes are mapped.
    pub buffer: *mut c_void,
    /// Its size is 2^this bytes; the library's own copy.
    pub order: i32,
}

/// A channel as the library has it: `struct libxenvchan`, its first 80 bytes: more may follow.
///
/// | offset | size | field      | meaning |
/// |-------:|-----:|------------|---------|
/// |      0 |    8 | grants     | the grant device, of one role or the other |
/// |      8 |    8 | ring       | the control page |
/// |     16 |    8 | event      | the event channel device |
/// |     24 |    4 | event_port | the local port |
/// |     28 |    4 | flags      | bits 0 `is_server`, 1 `server_persist`, 2 `blocking` |
/// |     32 |   24 | read       | the way to us |
/// |     56 |   24 | write      | the way from us |
#[derive(Debug)]
#[repr(C)]
pub struct Libxenvchan {
    /// The grant device, of one role or the other.
    pub grants: *mut c_void,
    /// The control page.
    pub ring: *mut u8,
    /// The event channel device.
    pub event: *mut c_void,
    /// The local port.
    pub event_port: u32,
    /// Bits 0 `is_server`, 1 `server_persist`, 2 [`BLOCKING`].
    pub flags: u32,
    /// The way to us.
    pub read: Ring,
    /// The way from us.
    pub write: Ring,
}

/// The bit of `blocking` in [`Libxenvchan::flags`].
pub const BLOCKING: u32 = 1 << 2;
