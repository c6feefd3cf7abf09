//! HTTP over TLS: a stream that encrypts, certificates that dom0 pushes, and the redirect to it.
//!
//! ```text
//!   TCP ─► Sessions ─► TlsStream ─► http::Server       push --secret ─► Receiving ─► Secrets ─► tls::Server
//!                                                                         └─ content ─► Inbox
//! ```

mod redirect;
mod secrets;
mod sessions;
mod stream;

pub use redirect::RedirectSite;
pub use secrets::{Receiving, Secrets};
pub use sessions::{HttpsCounts, Sessions};
pub use stream::{StreamError, TlsStream};
