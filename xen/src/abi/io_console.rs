//! The console's ring page. Header `io/console.h`, Xen 4.17.
//!
//! Two byte rings in one page: *in* is what the console sends us, *out* is what we print. Indexes run freely
//! and wrap at 2^32; the byte of an index is `index & (ring size - 1)`. The page is shared: use [`offset`].

use crate::abi::layout::assert_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the ring from the console to us.
pub const IN_BYTES: usize = 1024;
/// Bytes of the ring from us to the console.
pub const OUT_BYTES: usize = 2048;

/// Value of the byte at [`offset::CONNECTION`] while no console reads the ring: `XENCONSOLE_DISCONNECTED`, Xen 4.21.
#[doc(alias = "XENCONSOLE_DISCONNECTED")]
pub const DISCONNECTED: u8 = 1;

/// The console's ring page, as far as it is defined; 3088 bytes.
///
/// | offset | size | field    | written by | meaning |
/// |-------:|-----:|----------|------------|---------|
/// |      0 | 1024 | r#in     | backend    | bytes for us |
/// |   1024 | 2048 | out      | frontend   | bytes that we print |
/// |   3072 |    4 | in_cons  | frontend   | one past the last byte we took |
/// |   3076 |    4 | in_prod  | backend    | one past the last byte for us |
/// |   3080 |    4 | out_cons | backend    | one past the last byte it took |
/// |   3084 |    4 | out_prod | frontend   | one past the last byte we printed |
///
/// Source: `xen/include/public/io/console.h`, `struct xencons_interface`, Xen 4.17.
#[doc(alias = "xencons_interface")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenconsInterface {
    /// Bytes for us.
    pub r#in: [u8; IN_BYTES],
    /// Bytes that we print.
    pub out: [u8; OUT_BYTES],
    /// One past the last byte we took.
    pub in_cons: u32,
    /// One past the last byte for us.
    pub in_prod: u32,
    /// One past the last byte the console took.
    pub out_cons: u32,
    /// One past the last byte we printed.
    pub out_prod: u32,
}
assert_layout!(XenconsInterface, 3088, {
    r#in: 0, out: 1024, in_cons: 3072, in_prod: 3076, out_cons: 3080, out_prod: 3084,
});
// The masks of both rings.
const _: () = assert!(IN_BYTES.is_power_of_two() && OUT_BYTES.is_power_of_two());

/// Offsets in the console's page, in bytes, for access through shared memory.
pub mod offset {
    use super::XenconsInterface;
    use core::mem::offset_of;

    /// Of the ring from the console to us.
    pub const IN: usize = offset_of!(XenconsInterface, r#in);
    /// Of the ring from us to the console.
    pub const OUT: usize = offset_of!(XenconsInterface, out);
    /// Of `in_cons`, written by us.
    pub const IN_CONS: usize = offset_of!(XenconsInterface, in_cons);
    /// Of `in_prod`, written by the console.
    pub const IN_PROD: usize = offset_of!(XenconsInterface, in_prod);
    /// Of `out_cons`, written by the console.
    pub const OUT_CONS: usize = offset_of!(XenconsInterface, out_cons);
    /// Of `out_prod`, written by us.
    pub const OUT_PROD: usize = offset_of!(XenconsInterface, out_prod);
    /// Of `connection`, a byte behind the layout of Xen 4.17: [`DISCONNECTED`](super::DISCONNECTED) or 0. Written by the
    /// toolstack and the console, since Xen 4.21; zero before.
    pub const CONNECTION: usize = size_of::<XenconsInterface>();
}
