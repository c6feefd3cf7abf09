//! Data within a granted page.
//!
//! ```text
//!   | … | data: len bytes | … |     one page
//!   0   offset            offset + len
//! ```

use xen::GrantedPage;

/// Data that a backend has written to a page.
#[derive(Debug)]
pub struct Piece {
    /// The page.
    pub page: GrantedPage,
    /// The beginning of the data in the page, in bytes.
    pub offset: usize,
    /// The length of the data, in bytes.
    pub len: usize,
}
