//! An HTTP/1.1 server, the guest's status pages, and content that dom0 pushes.
//!
//! ```text
//!   main.rs: ready ─► http::Server::answer_at_once(stream) ─► park, or close         any http::Stream
//!                └ waits ─► attend, a task
//!                            │ Request             ▲ Rc<Reply>: bytes by reference
//!                            ▼                     │
//!                     site::StatusSite ◄─ Status ◄─ Source (main.rs: the kernel's counters)
//!                      own pages, where app.admin= says
//!                      publish::Store ◄─ Inbox ◄─ datafront: what dom0 pushes
//! ```
//!
//! [`http`] has requests, replies and time, and does not know this guest. [`site`] has the guest's own pages, [`publish`] the
//! pushed files; neither knows connections. [`content`] has the bytes that replies share, [`memory`] what the ledger gives for
//! them. [`access_log`] has a line for each request, for dom0. [`options`] are the keys of the
//! command line. All of it is tested on the host.
//!
//! # Why httparse and not a framework
//!
//! picoserve 0.20 was the other candidate: routers, extractors, web sockets. Both served the same GET of 1 KiB on a kept
//! connection, under callgrind on the host: 1,200 instructions and one write here, 6,370 instructions and six writes there.
//! picoserve searches the headers again for each question, and writes a reply piece by piece (status line, each header,
//! body); each piece is a call into the stack, where a prepared reply is one copy. httparse leaves framing and refusals to
//! this crate, which are the part that a reviewer wants to read.
//!
//! `site::json` writes the status: serde_json cannot write to a sink that fails without std, and takes 16 KiB of code.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod access_log;
pub mod content;
pub mod http;
pub mod https;
pub mod memory;
pub mod options;
pub mod publish;
pub mod site;
