//! The current frame of a receive queue: where it lies.

/// Where the current frame lies.
#[derive(Debug, Default)]
pub(super) enum Current {
    /// There is no current frame.
    #[default]
    None,
    /// At the beginning of the scratch buffer.
    Copied {
        /// The length in bytes.
        len: usize,
    },
    /// In its page.
    InPlace(Extent),
}

/// The data of a frame in the page of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The slot: the last one that was answered.
    pub(super) slot: u8,
    /// The beginning of the frame in the page, in bytes.
    pub(super) offset: u16,
    /// The length in bytes.
    pub(super) len: u16,
}
