//! What a receiver counts.

/// What a receiver has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Blocks that the application took.
    pub accepted: u64,
    /// Blocks that it refused, or that the sender gave up.
    pub refused: u64,
    /// Bytes of the blocks that it took.
    pub bytes: u64,
    /// Blocks that came again and were skipped.
    pub duplicates: u64,
    /// Blocks that a connection's end cut off.
    pub cut_off: u64,
    /// Connections that ended with a fault.
    pub faults: u64,
    /// The number of the last completed block, of any stream.
    pub last_seq: u64,
    /// A check over the numbers and checks of all accepted blocks in their order: equal to the sender's own reckoning
    /// if every block came once, in order, byte for byte. See `docs/datafront.md`.
    pub chain: u32,
}
