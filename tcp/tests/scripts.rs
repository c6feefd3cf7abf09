//! Packet scripts by section of the RFCs: see `script/mod.rs` for the language.

#![allow(clippy::too_many_lines, reason = "a test follows one story from its beginning to its end")]

mod script;

/// A test for each script: its name, the section that it is about, and its lines.
macro_rules! scripts {
    ($($name:ident, $section:literal, $text:literal;)*) => {
        $(#[test]
        fn $name() {
            crate::script::run(concat!(stringify!($name), " (", $section, ")"), $text);
        })*
    };
}

#[path = "script/path.rs"]
mod path;
#[path = "script/recovery.rs"]
mod recovery;
#[path = "script/rfc5961.rs"]
mod rfc5961;
#[path = "script/rfc7323.rs"]
mod rfc7323;
#[path = "script/rfc9293.rs"]
mod rfc9293;
#[path = "script/sack.rs"]
mod sack;
