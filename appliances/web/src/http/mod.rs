//! HTTP/1.1 (RFC 9110 and 9112): requests in, replies out, over any pair of [`embedded_io_async::Read`] and `Write`.
//!
//! | file | what |
//! |---|---|
//! | [`server`] | what the connections share, and what is decided about one request |
//! | `connection` | a connection's life: read a head, skip a body, answer, again |
//! | [`head`] | the bytes of a head to a [`Request`] and its [`Framing`](head::Framing), or to a [`Refusal`] |
//! | [`body`] | where a request's body ends |
//! | [`buffer`] | what was received and not yet understood |
//! | [`reply`] | a reply's bytes, made once and sent many times |
//! | [`code`] | status codes, and refusals that say why |
//! | [`clock`] | seconds: time limits and the `Date` header, for one store a request |
//! | [`date`] | seconds since 1970 as RFC 9110 writes them |
//! | [`counts`] | what is counted |
//!
//! Not here: TLS, request bodies that anybody reads. Ranges and conditions are [`publish`](crate::publish)'s.

pub mod body;
pub mod buffer;
pub mod clock;
pub mod code;
mod connection;
pub mod counts;
pub mod date;
pub mod head;
pub mod limits;
pub mod reply;
pub mod server;

pub use clock::Moment;
pub use code::{Code, Refusal};
pub use counts::HttpCounts;
pub use head::Request;
pub use limits::Limits;
pub use reply::{Fixed, Reply};
pub use server::{Server, Site};
