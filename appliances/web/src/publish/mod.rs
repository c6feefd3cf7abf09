//! Pushes of dom0 are published in one step.
//!
//! ```text
//!   datafront ─► Inbox: begin, data … finish ─► one step ──► Store ─► reply, which shares the bytes
//!                                                  old bytes live until their last reader has finished
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `inbox` | blocks become files: one, or a whole tree |
//! | `archive`, `pax` | the files of a tar archive |
//! | `store` | the published files, and which of them answers a request |
//! | `name`, `pattern` | names, paths, and patterns of paths |
//! | `headers`, `redirects` | the rules of `_headers` and `_redirects` |
//! | `reply`, `conditions` | a file as a reply: headers, conditions, ranges |
//! | `media`, `encoding` | media types and content codings |
//! | `numbers` | the numbers of channels and store |

mod archive;
mod conditions;
mod encoding;
mod headers;
mod inbox;
mod media;
mod name;
pub mod numbers;
mod pattern;
mod pax;
mod recent;
mod redirects;
mod reply;
mod store;

pub use inbox::Inbox;
pub use store::{Store, StoreOptions, StoreStatus};
