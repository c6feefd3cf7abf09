//! Every item of `xen::abi`, one function for each header.

mod guest;
mod hypercalls;
mod io;
mod netif;

use crate::Table;

/// The whole table.
///
/// # Panics
/// If a type of flags has one that the table does not list.
#[must_use]
pub fn all() -> Table {
    let mut table = Table::default();
    guest::add(&mut table);
    hypercalls::add(&mut table);
    io::add(&mut table);
    netif::add(&mut table);
    table
}
