//! What dom0 pushes becomes what is published, in one step.
//!
//! ```text
//!   datafront ─► Inbox: begin, data … finish ─► a new Edition ── swapped in ──► Shelf ─► reply (shares the bytes)
//!                                                  the old one lives until its last reader is done
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `shelf` | the edition that is published, and its budget |
//! | `inbox` | blocks to editions: a file, or a whole tree |
//! | `archive` | a ustar archive to its files |
//! | `name` | which names and paths there can be |
//! | `reply` | types, entity tags, ranges |

mod archive;
mod inbox;
mod name;
mod reply;
mod shelf;

pub use inbox::Inbox;
pub use shelf::{Edition, Shelf, ShelfStatus};
