//! A malicious backend on real Xen: the cases H01 to H75 of docs/threat-model.md.
//!
//! ```text
//!   test ──orders──► tests/backend in dom0, in the place of netback ◄──rings──► the web appliance
//!     └──► console, xenstore, /status.json through the correct part of the backend
//! ```
//!
//! All cases share one boot. Each ends with the same look at the guest (`rig.rs`): it runs, nothing crashed, the pages
//! add up, no byte can be read that was not sent, and frames go there and back.

mod backend;
mod control;
mod events;
mod grants;
mod ids;
mod indexes;
mod lengths;
mod offloads;
mod reads;
mod rig;
mod share;
mod xenbus;
