//! The simulator's own tests: that it is Xen enough, and that it catches what it is there to catch.

mod common;
mod console;
mod events;
mod grants;
mod netback;
mod store;
mod violations;
