//! Telling the backend how to choose queues: by a Toeplitz hash with our key.
//!
//! ```text
//!   SET_HASH_ALGORITHM ─► GET_HASH_FLAGS ─► SET_HASH_KEY ─► GET, SET_HASH_MAPPING_SIZE, SET_HASH_MAPPING ─► SET_HASH_FLAGS
//!                  key and table from our page ──┘                queue = table[hash mod size] = (hash mod size) mod queues
//! ```
//!
//! This is done only with several queues: with one queue a hash has no use, and costs each frame a slot. If the backend
//! refuses a step, it is asked to choose queues by itself again.

use super::control_ring::{Control, CtrlError};
use crate::wire::hashing::Hashing;
use nic::HashKey;
use xen::abi::io_netif::{NetifCtrlType, NetifHashAlgorithm, NetifHashFlags};
use xen::{Machine, Xen};

/// The largest table that we ask for, in entries: Linux's backend has room for as many.
const MAX_TABLE: u32 = 128;

/// Does every step but the last. Returns the parameters of the hash that [`begin`] will start.
pub(super) async fn prepare<M: Machine>(
    control: &mut Control,
    xen: &Xen<M>,
    key: HashKey,
    queues: u32,
) -> Result<Hashing, CtrlError> {
    use NetifCtrlType::{
        GetHashFlags, GetHashMappingSize, SetHashAlgorithm, SetHashKey, SetHashMapping, SetHashMappingSize,
    };
    control.ask(xen, SetHashAlgorithm, [NetifHashAlgorithm::Toeplitz.raw().into(), 0, 0]).await?;
    // Flags that a later protocol defines are not used.
    let flags = NetifHashFlags::from_bits_truncate(control.ask(xen, GetHashFlags, [0; 3]).await?);
    control.table().shared().write_bytes(0, key.bytes());
    let gref = control.table().gref().0;
    let len = u32::try_from(key.bytes().len()).unwrap_or_default();
    control.ask(xen, SetHashKey, [gref, len, 0]).await?;
    let size = control.ask(xen, GetHashMappingSize, [0; 3]).await?.min(MAX_TABLE);
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

/// The last step: from now on frames come with their hash.
pub(super) async fn begin<M: Machine>(
    control: &mut Control,
    xen: &Xen<M>,
    hashing: &Hashing,
) -> Result<(), CtrlError> {
    control.ask(xen, NetifCtrlType::SetHashFlags, [hashing.flags.bits(), 0, 0]).await.map(drop)
}

/// Asks the backend to choose queues by itself again.
pub(super) async fn end<M: Machine>(control: &mut Control, xen: &Xen<M>) -> Result<(), CtrlError> {
    let none = NetifHashAlgorithm::None.raw().into();
    control.ask(xen, NetifCtrlType::SetHashAlgorithm, [none, 0, 0]).await.map(drop)
}
