//! An HTTP/1.1 server for a guest that has one purpose, and the pages by which the guest tells of itself.
//!
//! ```text
//!   main.rs: accept ─► a task per connection ─► http::Server::serve(stream)      any embedded_io_async Read + Write
//!                                                   │ Request             ▲ Rc<Reply>: head and body in one piece
//!                                                   ▼                     │
//!                                            site::StatusSite ◄─ Status ◄─ Source (main.rs: the kernel's counters)
//!                                             /  /1k  /healthz  /readyz  /metrics  /status.json
//!                                             publish::Store ◄─ Inbox ◄─ datafront: what dom0 pushes
//! ```
//!
//! [`http`] knows requests, replies and time, and nothing of this guest; [`site`] knows paths and what they show, and
//! nothing of connections; [`content`] are bytes that both share. None knows the kernel: all are tested on the host, byte by byte.
//!
//! # Why httparse and not a framework
//!
//! picoserve 0.20 was the other candidate: routers, extractors, web sockets. Both served the same GET of 1 KiB on a
//! connection that stays, under callgrind on the host: 1,200 instructions and one write here, 6,370 instructions and six
//! writes there. It looks through the headers again for each question asked of them, and writes a reply piece by piece
//! (status line, each header, body); each piece is a trip through the stack, where a prepared reply is one copy. Its
//! bodies are written the same way, so a large one streams no better than here. What httparse leaves to do, framing and
//! refusing, is the part that one wants to see anyway: which limit a request broke, and the code that says so.
//!
//! serde_json writes the status: 16 KiB of code. serde-json-core takes 17, and a buffer whose size somebody must know.

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

pub mod content;
pub mod http;
pub mod options;
pub mod publish;
pub mod site;
