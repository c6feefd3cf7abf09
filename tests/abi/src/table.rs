//! The table: C expressions with the values that `xen::abi` has for them, and macros to fill it.

/// One size, offset or number, said in both languages.
#[derive(Clone, Debug)]
pub struct Item {
    /// The C expression.
    pub c: String,
    /// The Rust expression, for people.
    pub rust: String,
    /// The value of the Rust expression.
    pub value: i64,
}

/// A list of items.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<Item>);

impl Table {
    /// The items, in the order in which they were added.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// Adds a C expression and the value that Rust has for it.
    pub fn value(&mut self, c: impl Into<String>, rust: impl Into<String>, value: impl Number) {
        self.0.push(Item { c: c.into(), rust: rust.into(), value: value.number() });
    }
}

/// A number of any width, as the 64 bits that C prints with `%lld`.
pub trait Number {
    /// The number; the upper half of `u64` becomes negative, as it does in C.
    fn number(self) -> i64;
}

macro_rules! number {
    ($($narrow:ty),*) => {
        $(impl Number for $narrow {
            fn number(self) -> i64 {
                i64::from(self)
            }
        })*
    };
}
number!(u8, u16, u32, i16, i32, bool);

impl Number for u64 {
    fn number(self) -> i64 {
        self.cast_signed()
    }
}

impl Number for usize {
    fn number(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

/// Bytes of a field, from a function that borrows it.
pub(crate) fn field_bytes<T, F>(_: for<'a> fn(&'a T) -> &'a F) -> usize {
    size_of::<F>()
}

/// Adds numbers: `values!(table, "C expression" => rust expression, …)`.
macro_rules! values {
    ($table:expr, $($c:literal => $rust:expr),+ $(,)?) => {
        $($table.value($c, stringify!($rust), $rust);)+
    };
}

/// Adds every value of enums that `xen::abi` defines with its C names: `numbers!(table, GrantStatus, …)`.
macro_rules! numbers {
    ($table:expr, $($enum:ident),+ $(,)?) => {
        $(for &(value, c_name) in $enum::C_NAMES {
            $table.value(c_name, format!("{}::{value:?}", stringify!($enum)), value.raw());
        })+
    };
}

/// Adds flags: `flags!(table, Type { NAME: "C expression", … })`. Panics if the type has a flag that is not listed.
macro_rules! flags {
    ($table:expr, $type:ident { $($flag:ident: $c:literal),+ $(,)? }) => {
        let listed = [$((stringify!($flag), $c, $type::$flag.bits())),+];
        assert_eq!(listed.len(), <$type as bitflags::Flags>::FLAGS.len(), "flags of {}", stringify!($type));
        for (flag, c, bits) in listed {
            $table.value(c, format!("{}::{flag}", stringify!($type)), bits);
        }
    };
}

/// Adds the size of a struct, and offset and size of its fields: `layout!(table, "struct x" => X { field, … })`.
///
/// `field as "name"` is a field with another name in C; fields after a `;` are padding that C does not name. Does not
/// compile if a field of the Rust struct is not listed.
macro_rules! layout {
    (@c $field:ident) => { stringify!($field) };
    (@c $field:ident $c_field:literal) => { $c_field };
    (
        $table:expr,
        $c:literal => $type:ident { $($field:ident $(as $c_field:literal)?),+ $(; $($pad:ident),+)? $(,)? }
    ) => {
        $table.value(concat!("sizeof(", $c, ")"), stringify!($type), size_of::<$type>());
        $(
            let c_field = $crate::table::layout!(@c $field $($c_field)?);
            let rust = concat!(stringify!($type), ".", stringify!($field));
            $table.value(format!("offsetof({}, {c_field})", $c), rust, core::mem::offset_of!($type, $field));
            let bytes = $crate::table::field_bytes(|value: &$type| &value.$field);
            $table.value(format!("sizeof((({} *)0)->{c_field})", $c), rust, bytes);
        )+
        let _every_field_is_listed = |$type { $($field: _,)+ $($($pad: _,)+)? }: $type| ();
    };
}

pub(crate) use {flags, layout, numbers, values};
