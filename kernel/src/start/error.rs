//! Why the guest cannot start: the line that the operator sees.

use crate::mem::paging::PagingError;
use core::fmt;
use xen::Errno;

/// Why the guest cannot start.
#[derive(Debug)]
pub(super) enum StartError {
    /// The loader's information is invalid.
    Boot(boot::BootError),
    /// The guest does not run on Xen.
    NoXen,
    /// The loader gave no memory map.
    NoMemoryMap,
    /// There is too little memory.
    TooLittleMemory {
        /// Bytes of RAM.
        have: u64,
        /// Bytes that are needed.
        least: u64,
    },
    /// There is no address space for Xen's pages.
    NoHole,
    /// The page tables could not be built.
    Paging(PagingError),
    /// Xen refused something.
    Xen(&'static str, Errno),
    /// An HVM parameter with this name has the value 0: the toolstack did not set it.
    ParamNotSet(&'static str),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => error.fmt(f),
            Self::NoXen => {
                write!(f, "this guest does not run on Xen; start it with xl create, or with make run")
            }
            Self::NoMemoryMap => write!(f, "the loader gave no memory map; Xen 4.11 and newer give one"),
            Self::TooLittleMemory { have, least } => write!(
                f,
                "too little memory: {} KiB, at least {} KiB are needed; raise memory= in the domain's configuration",
                have >> 10,
                least >> 10
            ),
            Self::NoHole => write!(
                f,
                "the memory map has no hole for Xen's pages; lower memory= in the domain's configuration"
            ),
            Self::Paging(error) => error.fmt(f),
            Self::Xen(what, errno) => write!(f, "Xen refused {what}: {errno}"),
            Self::ParamNotSet(name) => write!(
                f,
                "{name} is not set: the toolstack gave this domain no such ring; start the guest with xl create, \
                 with type=\"pvh\""
            ),
        }
    }
}
