//! This domain as Xen sees it: its hypercalls, memory, clock and watchdog.

pub(crate) mod domu;
pub(crate) mod watchdog;
