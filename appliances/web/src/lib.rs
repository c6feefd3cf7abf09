//! An HTTP/1.1 server for a guest that has one purpose, and the pages by which the guest tells of itself.
//!
//! ```text
//!   main.rs: accept ─► a task per connection ─► http::Server::serve(stream)      any embedded_io_async Read + Write
//!                                                   │ Request             ▲ Rc<Reply>: head and body in one piece
//!                                                   ▼                     │
//!                                            site::StatusSite ◄─ Status ◄─ Source (main.rs: the kernel's counters)
//!                                             /  /1k  /healthz  /readyz  /metrics  /status.json
//! ```
//!
//! [`http`] knows requests, replies and time, and nothing of this guest; [`site`] knows paths and what they show, and
//! nothing of connections. Neither knows the kernel: both are tested on the host, byte by byte.
//!
//! # Why httparse and not a framework
//!
//! picoserve 0.20 was the other candidate. It is a whole framework: routers, extractors, web sockets. Three things
//! spoke against it. It looks for the end of a head byte by byte and scans the headers again for each question asked of
//! them; it writes a reply piece by piece (status line, each header, body), which is a trip through the stack's locks
//! and buffers each time, where a prepared reply is one copy; and its limits do not have names: a head that is too long
//! ends the connection, where a client should read 431. httparse only parses: no allocation, no copies, eight
//! bytes a step. What is left to do, framing and refusing, is the part that one wants to see anyway.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod http;
pub mod site;
