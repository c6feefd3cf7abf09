//! One iteration of the loop: the shared state, and every step that changes it. `impl State` is here and nowhere else.

pub(crate) mod addresses;
pub(crate) mod egress;
pub(crate) mod frame;
pub(crate) mod icmp;
pub(crate) mod ingress;
pub(crate) mod link;
pub(crate) mod neighbours;
pub(crate) mod report;
pub(crate) mod socket;
pub(crate) mod state;
pub(crate) mod tap;
pub(crate) mod tcp;
pub(crate) mod udp;
