//! `assert_layout!`: a C layout, stated once and checked by the compiler.

/// Fails to compile unless the type has this size and its fields have these offsets.
macro_rules! assert_layout {
    ($type:ident, $size:literal, { $($field:ident: $offset:literal),+ $(,)? }) => {
        const _: () = assert!(size_of::<$type>() == $size);
        $(const _: () = assert!(core::mem::offset_of!($type, $field) == $offset);)+
    };
}

pub(super) use assert_layout;
