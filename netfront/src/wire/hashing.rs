//! The hash by which a backend with several queues chooses the queue of a frame.
//!
//! ```text
//!   queue = table[hash mod size] = (hash mod size) mod queues         size 0: hash mod queues
//! ```

use nic::HashKey;
use xen::abi::io_netif::{NetifExtraHash, NetifHashAlgorithm, NetifHashFlags};

/// The parameters of the hash, as agreed with the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashing {
    pub(crate) key: HashKey,
    /// The kinds of packets that are hashed.
    pub(crate) flags: NetifHashFlags,
    /// Entries of the table. 0: there is no table, and the hash is taken modulo the number of queues.
    pub(crate) size: u32,
}

impl Hashing {
    /// The queue of a frame with this hash.
    #[inline]
    pub(crate) fn queue(&self, hash: u32, queues: u32) -> u32 {
        hash.checked_rem(self.size).unwrap_or(hash).checked_rem(queues).unwrap_or(0)
    }

    /// Whether the backend may send this extra: it names the algorithm and a kind of packet that were agreed.
    pub(crate) fn allows(&self, extra: &NetifExtraHash) -> bool {
        let bit =
            NetifHashFlags::from_bits_truncate(1_u32.checked_shl(u32::from(extra.kind.raw())).unwrap_or(0));
        extra.algorithm == NetifHashAlgorithm::Toeplitz && self.flags.intersects(bit)
    }
}
