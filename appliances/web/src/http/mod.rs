//! HTTP/1.1 (RFC 9110 and 9112): requests in, replies out, over any [`Stream`].
//!
//! | file | what |
//! |---|---|
//! | [`server`] | the state that connections share, and the answer to one request |
//! | `connection` | a connection: read a head, skip a body, answer, again |
//! | [`head`] | the bytes of a head to a [`Request`] and its [`Framing`](head::Framing), or to a [`Refusal`] |
//! | [`body`] | the end of a request's body |
//! | [`stream`] | what a connection runs on |
//! | [`input`] | received bytes that are not parsed yet |
//! | [`reply`] | the bytes of a reply |
//! | [`code`] | status codes and refusals |
//! | [`clock`] | time limits and the `Date` header |
//! | [`date`] | times as RFC 9110 writes them |
//! | [`counts`] | the counters |
//! | `waiting` | the requests that wait, and which of them gives way when memory is short |
//!
//! A connection is served while it has requests, and parked in between. No resource takes a request body. [`publish`](crate::publish) has ranges and conditions.

pub mod body;
pub mod clock;
pub mod code;
mod connection;
pub mod counts;
pub mod date;
pub mod head;
pub mod input;
pub mod limits;
pub mod reply;
pub mod server;
pub mod stream;
mod waiting;

pub use clock::Moment;
pub use code::{Code, Refusal};
pub use counts::HttpCounts;
pub use head::Request;
pub use limits::Limits;
pub use reply::{Fixed, Reply};
pub use server::{Next, Port, Server, Site};
pub use stream::Stream;
