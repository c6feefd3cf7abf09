//! How full the heap is.

/// Bytes of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// In use.
    pub used: usize,
    /// Free.
    pub free: usize,
}
