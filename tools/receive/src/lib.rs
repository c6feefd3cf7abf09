//! A Linux guest's end of datafront, as a library: blocks from dom0, exactly once and in order, over restarts of the guest.
//!
//! ```text
//!   dom0 ══► Way ─► serve ─► datafront's Receiver ─► Keeper ─► incoming file ─► Sink: folder, program, socket
//!             ▲                                        │ 1. the sink has it
//!             │                                        │ 2. state: fdatasync
//!             └──────── ACK ◄──────────────────────────┘ 3. then the acknowledgement
//! ```
//!
//! What is not recorded on disk is not acknowledged, and what is not acknowledged comes again: a receiver that is killed at
//! any step goes on where its state is. A sink that can tell by itself that it has a block (the folder) is not given it
//! twice; the others are told that they may have seen it before.
//!
//! | file | idea |
//! |---|---|
//! | [`serve`](mod@serve) | one connection, from its first byte to its last |
//! | [`keeper`] | what happens to a block between its first byte and its acknowledgement |
//! | [`state`] | what survives a restart: two files, written in turn |
//! | [`sink`] | what gets the blocks: a folder, a program, a socket |
//! | [`block_console`] | what is seen of blocks that come |
//! | `archive` | a tree of files out of a tar archive |
//! | [`disk`] | every change to the file system, a step each |
//! | [`suspend`] | notices that this guest was saved and restored |
//! | [`error`] | what can go wrong, and the exit codes |
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod archive;
pub mod block_console;
pub mod disk;
pub mod error;
pub mod keeper;
pub mod serve;
pub mod sink;
pub mod state;
pub mod suspend;

pub use block_console::BlockConsole;
pub use disk::Disk;
pub use error::Error;
pub use keeper::{Done, Keeper};
pub use serve::{End, Report, Watch, serve};
pub use sink::Sink;
