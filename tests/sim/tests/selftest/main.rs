//! The simulator's own tests: that it behaves as Xen, and that it finds the faults that it is there to find.

mod common;
mod console;
mod events;
mod grants;
mod netback;
mod store;
mod violations;
