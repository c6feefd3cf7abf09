//! Scheduling and the end of a domain. Header `sched.h`, Xen 4.17.
//!
//! A guest asks with `HYPERVISOR_sched_op(command, argument)`.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

numbers! {
    /// `SCHEDOP_*`: commands of `HYPERVISOR_sched_op`.
    ///
    /// Source: `xen/include/public/sched.h`, `enum sched_op`, Xen 4.17.
    #[doc(alias = "sched_op")]
    pub enum SchedOp: u32 {
        /// No argument. Lets others run.
        Yield = 0 => "SCHEDOP_yield",
        /// No argument. Lets others run until an event is pending; unmasks upcalls, so that none is missed.
        Block = 1 => "SCHEDOP_block",
        /// Argument: [`SchedShutdown`]. Returns for a suspend only: 1 if it was cancelled, 0 in a new domain.
        Shutdown = 2 => "SCHEDOP_shutdown",
        /// Argument: [`SchedPoll`].
        Poll = 3 => "SCHEDOP_poll",
        /// For tools.
        RemoteShutdown = 4 => "SCHEDOP_remote_shutdown",
        /// Argument: [`SchedShutdown`]. Sets the reason that a later shutdown reports.
        ShutdownCode = 5 => "SCHEDOP_shutdown_code",
        /// Argument: [`SchedWatchdog`]. Returns the id of a new watchdog.
        Watchdog = 6 => "SCHEDOP_watchdog",
        /// For dom0.
        PinOverride = 7 => "SCHEDOP_pin_override",
    }
}

numbers! {
    /// `SHUTDOWN_*`: why a domain stops; the toolstack decides what follows.
    ///
    /// Source: `xen/include/public/sched.h`, `enum sched_shutdown_reason`, Xen 4.17.
    #[doc(alias = "sched_shutdown_reason")]
    pub enum ShutdownReason: u32 {
        /// The normal end.
        Poweroff = 0 => "SHUTDOWN_poweroff",
        /// To be started again.
        Reboot = 1 => "SHUTDOWN_reboot",
        /// To be saved.
        Suspend = 2 => "SHUTDOWN_suspend",
        /// A failure of the guest.
        Crash = 3 => "SHUTDOWN_crash",
        /// A watchdog ran out.
        Watchdog = 4 => "SHUTDOWN_watchdog",
        /// To be set to its state at creation, with its memory kept.
        SoftReset = 5 => "SHUTDOWN_soft_reset",
    }
}

/// The highest [`ShutdownReason`].
pub const SHUTDOWN_MAX: u32 = ShutdownReason::SoftReset.raw();

/// `SCHEDOP_shutdown`: ends the domain; 4 bytes.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    4 | reason | in         | [`ShutdownReason`] |
///
/// Source: `xen/include/public/sched.h`, `struct sched_shutdown`, Xen 4.17.
#[doc(alias = "sched_shutdown")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedShutdown {
    /// In: [`ShutdownReason`].
    pub reason: u32,
}
assert_layout!(SchedShutdown, 4, { reason: 0 });

/// `SCHEDOP_poll`: waits for one of some ports, masked or not; 24 bytes.
///
/// | offset | size | field    | written by | meaning |
/// |-------:|-----:|----------|------------|---------|
/// |      0 |    8 | ports    | in         | address of the ports, `u32` each |
/// |      8 |    4 | nr_ports | in         | how many |
/// |     12 |    4 | pad      | –          | padding in C |
/// |     16 |    8 | timeout  | in         | system time in ns, 0 for none |
///
/// Source: `xen/include/public/sched.h`, `struct sched_poll`, Xen 4.17.
#[doc(alias = "sched_poll")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedPoll {
    /// In: address of the ports.
    pub ports: u64,
    /// In: how many.
    pub nr_ports: u32,
    /// Padding.
    pub pad: u32,
    /// In: system time in nanoseconds, 0 for none.
    pub timeout: u64,
}
assert_layout!(SchedPoll, 24, { ports: 0, nr_ports: 8, pad: 12, timeout: 16 });

/// `SCHEDOP_watchdog`: a watchdog that ends the domain unless it is poked; 8 bytes.
///
/// `id` 0 makes one; `id` with a `timeout` pokes it; `id` with `timeout` 0 ends it.
///
/// | offset | size | field   | written by | meaning |
/// |-------:|-----:|---------|------------|---------|
/// |      0 |    4 | id      | in         | 0, or which |
/// |      4 |    4 | timeout | in         | seconds, or 0 |
///
/// Source: `xen/include/public/sched.h`, `struct sched_watchdog`, Xen 4.17.
#[doc(alias = "sched_watchdog")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SchedWatchdog {
    /// In: 0, or which.
    pub id: u32,
    /// In: seconds, or 0.
    pub timeout: u32,
}
assert_layout!(SchedWatchdog, 8, { id: 0, timeout: 4 });
