//! Numbers that name something: `#define` families of Xen's headers as Rust enums.
//!
//! The `numbers!` macro writes one enum with its C names, so that a number can be parsed, emitted, printed and
//! compared with Xen's headers from a single line per value.

use core::fmt;

/// A number that the header does not define, where only defined ones are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unknown<T>(
    /// The number that was found.
    pub T,
);

impl<T: fmt::Display> fmt::Display for Unknown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown number {}", self.0)
    }
}

impl<T: fmt::Debug + fmt::Display> core::error::Error for Unknown<T> {}

/// Defines an enum over a family of C constants: `Variant = number => "C_NAME",` a line.
///
/// It has `raw`, `c_name`, `C_NAMES`, `From` into the number, `TryFrom` the number, and prints its C name.
macro_rules! numbers {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $int:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $value:literal => $c_name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($int)]
        pub enum $name {
            $($(#[$variant_meta])* #[doc(alias = $c_name)] $variant = $value,)+
        }

        impl $name {
            /// Every value with its name in Xen's header.
            pub const C_NAMES: &'static [(Self, &'static str)] = &[$((Self::$variant, $c_name)),+];

            /// The number, as it goes on the wire.
            #[must_use]
            pub const fn raw(self) -> $int {
                match self {
                    $(Self::$variant => $value,)+
                }
            }

            /// The name in Xen's header.
            #[must_use]
            pub const fn c_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $c_name,)+
                }
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                value.raw()
            }
        }

        impl TryFrom<$int> for $name {
            type Error = crate::abi::Unknown<$int>;

            fn try_from(value: $int) -> Result<Self, crate::abi::Unknown<$int>> {
                match value {
                    $($value => Ok(Self::$variant),)+
                    _ => Err(crate::abi::Unknown(value)),
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.c_name())
            }
        }
    };
}

pub(super) use numbers;

#[cfg(test)]
mod tests {
    use super::Unknown;
    use alloc::string::ToString;

    numbers! {
        /// A family with a negative number and a gap.
        pub enum Sample: i16 {
            /// Below zero.
            Below = -2 => "SAMPLE_below",
            /// Zero.
            Zero = 0 => "SAMPLE_zero",
        }
    }

    #[test]
    fn defined_numbers_go_both_ways() {
        for &(value, c_name) in Sample::C_NAMES {
            assert_eq!(Sample::try_from(value.raw()), Ok(value));
            assert_eq!(value.to_string(), c_name);
        }
    }

    #[test]
    fn an_undefined_number_is_refused_and_named() {
        assert_eq!(Sample::try_from(-1), Err(Unknown(-1)));
        assert_eq!(Unknown(-1_i16).to_string(), "unknown number -1");
    }
}
