//! The one field of `struct libxenvchan` that a program has to set itself: whether its calls block.
//!
//! The library takes the structure from `malloc` and does not say what `blocking` begins as: without this it is whatever
//! lay in the heap. Compared with the header in `tests/abi`. (`libxenvchan.h`, Xen 4.17; x86-64)

/// Which word of 32 bits the flags are.
pub const FLAGS_WORD: usize = 7;
/// The bit of `blocking` in it.
pub const BLOCKING: u32 = 1 << 2;
