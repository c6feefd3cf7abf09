//! What dom0 pushes becomes what is published, in one step.
//!
//! ```text
//!   datafront ─► Inbox: begin, data … finish ─► one step ──► Shelf ─► reply (shares the bytes)
//!                                                  old bytes live until their last reader is done
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `channels` | by which names dom0 finds the guest |
//! | `shelf` | the edition that is published, and its budget |
//! | `inbox` | blocks to editions: a file, or a whole tree |
//! | `archive` | a ustar archive to its files |
//! | `name` | which names and paths there can be |
//! | `reply` | types, entity tags, ranges |

mod archive;
mod channels;
mod inbox;
mod name;
mod reply;
mod shelf;

pub use channels::channels;
pub use inbox::Inbox;
pub use shelf::{Shelf, ShelfStatus};
