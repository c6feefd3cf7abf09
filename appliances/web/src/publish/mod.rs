//! What dom0 pushes becomes what is published, in one step.
//!
//! ```text
//!   datafront ─► Inbox: begin, data … finish ─► one step ──► Store ─► reply (shares the bytes)
//!                                                  old bytes live until their last reader is done
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `groups` | the numbers of channels and store |
//! | `store` | the revision that is published, and its budget |
//! | `inbox` | blocks to revisions: a file, or a whole tree |
//! | `archive` | a ustar archive to its files |
//! | `name` | which names and paths there can be |
//! | `reply` | types, entity tags, ranges |

mod archive;
pub mod groups;
mod inbox;
mod name;
mod reply;
mod store;

pub use inbox::Inbox;
pub use store::{Store, StoreStatus};
