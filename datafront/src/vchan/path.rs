//! The xenstore path by which the two sides find each other.
//!
//! libxenvchan prints `PATH/ring-ref` and `PATH/event-channel` into 64 bytes on both sides and uses what fits: a
//! longer path is cut without an error. (`tools/libs/vchan/init.c`, `init_xs_srv`, `libxenvchan_client_init`)

use alloc::format;
use alloc::string::String;
use core::fmt;
use xen::DomId;

/// Bytes that a path may have: 64, less `/event-channel` and the zero byte.
pub const MAX_PATH_BYTES: usize = 49;

/// A path that libxenvchan can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(String);

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It has this many bytes.
    TooLong(usize),
    /// It does not begin with `/`, ends with one, or has bytes other than printable ASCII.
    Malformed,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(len) => write!(f, "the path has {len} bytes, libxenvchan takes {MAX_PATH_BYTES}"),
            Self::Malformed => f.write_str("a path begins with / and has printable ASCII only"),
        }
    }
}

impl core::error::Error for PathError {}

impl Path {
    /// Checks a path.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn new(path: &str) -> Result<Self, PathError> {
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong(path.len()));
        }
        if !path.starts_with('/') || path.ends_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(PathError::Malformed);
        }
        Ok(Self(path.into()))
    }

    /// The usual place: `/local/domain/SERVER/data/vchan/CLIENT/PORT`; a guest may write below its `data`.
    ///
    /// # Errors
    /// If `port` makes it too long: 8 bytes always fit.
    pub fn usual(server: DomId, client: DomId, port: &str) -> Result<Self, PathError> {
        Self::new(&format!("/local/domain/{server}/data/vchan/{client}/{port}"))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The node with the gref of the control page.
    pub(crate) fn ring_ref(&self) -> String {
        format!("{}/ring-ref", self.0)
    }

    /// The node with the server's port.
    pub(crate) fn event_channel(&self) -> String {
        format!("{}/event-channel", self.0)
    }
}
