//! What a receiver counts.

xen::counters! {
    /// Blocks and connections of a receiver.
    pub struct BlockCounts {
        /// Accepted blocks.
        accepted,
        /// Refused blocks, and blocks that the sender aborted.
        refused,
        /// Bytes of the accepted blocks.
        bytes,
        /// Blocks that came again and were skipped.
        duplicates,
        /// Blocks that the end of a connection interrupted.
        cut_off,
        /// Connections that ended because the sender broke a rule of blocks.
        faults,
    }
}

/// The state of a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// The counters.
    pub counts: BlockCounts,
    /// The number of the last completed block, of any stream.
    pub last_seq: u64,
    /// A checksum over numbers and contents of all accepted blocks, in order. It equals the sender's if every block came
    /// once, in order, byte for byte. See `docs/datafront.md`.
    pub chain: u32,
}
