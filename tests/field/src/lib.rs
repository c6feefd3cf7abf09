//! Public reports about other stacks, servers and tools, as tests.
//!
//! A test that follows a report says so in one doc line, here or in any other test file:
//!
//! ```text
//! /// Field: owner/repository#number, …: the trigger → the right value
//! ```
//!
//! `docs/field-bugs.md` is the table of these lines (`make docs`).
