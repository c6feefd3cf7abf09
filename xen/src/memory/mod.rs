//! Memory that belongs to this domain or to another one, each kind with a type that says who may access it.
//!
//! ```text
//!   Page<Private> ── grant ──► Page<Granted<A>>      ours; the type says what the other domain may do
//!   contiguous::ContiguousPages                      ours, several granted pages at consecutive addresses
//!   Foreign                                          another domain's page, mapped under its grant
//!        └────────── SharedPage::shared() ──► Shared: values by atomic loads and stores, never references
//! ```

pub mod contiguous;
pub mod foreign;
pub mod page;
pub mod shared;
