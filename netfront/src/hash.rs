//! The backend is told how to choose queues: by a Toeplitz hash whose key we chose.
//!
//! ```text
//!   SET_HASH_ALGORITHM ─► GET_HASH_FLAGS ─► SET_HASH_KEY ─► GET, SET_HASH_MAPPING_SIZE, SET_HASH_MAPPING ─► SET_HASH_FLAGS
//!                    key and table from our page ──┘                 queue = table[hash mod size] = (hash mod size) mod queues
//! ```
//!
//! With several queues only: with one there is nothing to choose, and each frame would cost a slot more. A backend that
//! refuses any of this is asked to go back to its own ways, and frames flow as before.

use crate::ctrl::{Control, CtrlError};
use crate::toeplitz::HashKey;
use xen::abi::io_netif::{NetifCtrlType, NetifExtraHash, NetifHashAlgorithm, NetifHashFlags};
use xen::{Machine, Xen};

/// Entries of the table that we want; Linux's backend has room for so many.
pub(crate) const TABLE: u32 = 128;

/// How frames are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashing {
    pub(crate) key: HashKey,
    /// What of.
    pub(crate) flags: NetifHashFlags,
    /// Entries of the table; 0: there is none, and the hash is taken modulo the number of queues.
    pub(crate) size: u32,
}

impl Hashing {
    /// The queue, of so many, of a frame with this hash.
    #[inline]
    pub(crate) fn queue(&self, hash: u32, queues: u32) -> u32 {
        hash.checked_rem(self.size).unwrap_or(hash).checked_rem(queues).unwrap_or(0)
    }

    /// Whether the backend may say this of a frame.
    pub(crate) fn allows(&self, extra: &NetifExtraHash) -> bool {
        let bit =
            NetifHashFlags::from_bits_truncate(1_u32.checked_shl(u32::from(extra.kind.raw())).unwrap_or(0));
        extra.algorithm == NetifHashAlgorithm::Toeplitz && self.flags.intersects(bit)
    }
}

/// Prepares everything but the last step; what will be hashed, and how, once [`begin`] is called.
pub(crate) async fn prepare<M: Machine>(
    control: &mut Control,
    xen: &Xen<M>,
    key: HashKey,
    queues: u32,
) -> Result<Hashing, CtrlError> {
    use NetifCtrlType::{
        GetHashFlags, GetHashMappingSize, SetHashAlgorithm, SetHashKey, SetHashMapping, SetHashMappingSize,
    };
    control.ask(xen, SetHashAlgorithm, [NetifHashAlgorithm::Toeplitz.raw().into(), 0, 0]).await?;
    // Flags that a later protocol defines are not asked for.
    let flags = NetifHashFlags::from_bits_truncate(control.ask(xen, GetHashFlags, [0; 3]).await?);
    control.table().shared().write_bytes(0, key.bytes());
    let gref = control.table().gref().0;
    let len = u32::try_from(key.bytes().len()).unwrap_or_default();
    control.ask(xen, SetHashKey, [gref, len, 0]).await?;
    let size = control.ask(xen, GetHashMappingSize, [0; 3]).await?.min(TABLE);
    control.ask(xen, SetHashMappingSize, [size, 0, 0]).await?;
    if size > 0 {
        for (at, entry) in (0..size).enumerate() {
            let queue = entry.checked_rem(queues).unwrap_or(0);
            control.table().shared().write_bytes(at.wrapping_mul(4), &queue.to_le_bytes());
        }
        control.ask(xen, SetHashMapping, [gref, size, 0]).await?;
    }
    Ok(Hashing { key, flags, size })
}

/// The last step: from here on frames carry their hash.
pub(crate) async fn begin<M: Machine>(
    control: &mut Control,
    xen: &Xen<M>,
    hashing: &Hashing,
) -> Result<(), CtrlError> {
    control.ask(xen, NetifCtrlType::SetHashFlags, [hashing.flags.bits(), 0, 0]).await.map(drop)
}

/// Back to the backend's own ways.
pub(crate) async fn end<M: Machine>(control: &mut Control, xen: &Xen<M>) -> Result<(), CtrlError> {
    let none = NetifHashAlgorithm::None.raw().into();
    control.ask(xen, NetifCtrlType::SetHashAlgorithm, [none, 0, 0]).await.map(drop)
}
