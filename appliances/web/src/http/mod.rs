//! HTTP/1.1 (RFC 9110 and 9112): requests in, replies out, over any [`Stream`].
//!
//! | file | what |
//! |---|---|
//! | [`server`] | the state that connections share, and the answer to one request |
//! | `at_once` | the usual request, answered without a future |
//! | `connection` | a connection: read a head, skip a body, answer, again |
//! | [`request_head`] | the bytes of a head to a [`Request`] and its [`Framing`](request_head::Framing), or to a [`Refusal`] |
//! | [`request_body`] | the end of a request's body |
//! | [`stream`] | what a connection runs on |
//! | [`request_buffer`] | received bytes that are not parsed yet |
//! | [`reply`] | the bytes of a reply |
//! | [`status_code`] | status codes and refusals |
//! | [`clock`] | time limits and the `Date` header |
//! | [`date`] | times as RFC 9110 writes them |
//! | [`counters`] | the counters |
//! | [`request_log`] | what is kept of each request that was answered, if somebody keeps it |
//! | `waiting` | the requests that wait, and which of them gives way when memory is short |
//!
//! A connection is served while it has requests, and parked in between. No resource takes a request body. [`publish`](crate::publish) has ranges and conditions.

mod at_once;
pub mod clock;
mod connection;
pub mod counters;
pub mod date;
pub mod limits;
pub mod reply;
pub mod request_body;
pub mod request_buffer;
pub mod request_head;
pub mod request_log;
pub mod server;
pub mod status_code;
pub mod stream;
mod waiting;

pub use at_once::AtOnce;
pub use clock::Moment;
pub use counters::HttpCounts;
pub use limits::Limits;
pub use reply::{Fixed, Reply};
pub use request_head::Request;
pub use request_log::{Entry, RequestLog};
pub(crate) use server::AT_ONCE;
pub use server::{Next, Port, Server, Site};
pub use status_code::{Code, Refusal};
pub use stream::Stream;
