//! Event channels: commands and their arguments. Header `event_channel.h`, Xen 4.17.
//!
//! A domain asks with `HYPERVISOR_event_channel_op(command, argument)`. Which ports are pending or masked is in
//! `shared_info` ([`crate::abi::xen`]), in two bit arrays of [`EVTCHN_2L_NR_CHANNELS`] bits. The FIFO ABI has
//! only its numbers of commands here: we use the two-level one.
//!
//! "in" fields are the caller's, "out" fields are written by Xen if the call succeeds.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Ports of a domain with the two-level ABI on x86-64: 64 words of 64 bits.
pub const EVTCHN_2L_NR_CHANNELS: u32 = 4096;

numbers! {
    /// `EVTCHNOP_*`: commands of `HYPERVISOR_event_channel_op`.
    ///
    /// Source: `xen/include/public/event_channel.h`, `enum event_channel_op`, Xen 4.17.
    pub enum EventChannelOp: u32 {
        /// Argument: [`EvtchnBindInterdomain`].
        BindInterdomain = 0 => "EVTCHNOP_bind_interdomain",
        /// Argument: [`EvtchnBindVirq`].
        BindVirq = 1 => "EVTCHNOP_bind_virq",
        /// For domains with hardware.
        BindPirq = 2 => "EVTCHNOP_bind_pirq",
        /// Argument: [`EvtchnClose`].
        Close = 3 => "EVTCHNOP_close",
        /// Argument: [`EvtchnSend`].
        Send = 4 => "EVTCHNOP_send",
        /// Argument: [`EvtchnStatus`].
        Status = 5 => "EVTCHNOP_status",
        /// Argument: [`EvtchnAllocUnbound`].
        AllocUnbound = 6 => "EVTCHNOP_alloc_unbound",
        /// Argument: [`EvtchnBindIpi`].
        BindIpi = 7 => "EVTCHNOP_bind_ipi",
        /// Argument: [`EvtchnBindVcpu`].
        BindVcpu = 8 => "EVTCHNOP_bind_vcpu",
        /// Argument: [`EvtchnUnmask`].
        Unmask = 9 => "EVTCHNOP_unmask",
        /// Argument: [`EvtchnReset`].
        Reset = 10 => "EVTCHNOP_reset",
        /// FIFO ABI.
        InitControl = 11 => "EVTCHNOP_init_control",
        /// FIFO ABI.
        ExpandArray = 12 => "EVTCHNOP_expand_array",
        /// FIFO ABI.
        SetPriority = 13 => "EVTCHNOP_set_priority",
    }
}

/// `EVTCHNOP_alloc_unbound`: a new port that a domain may bind to; 8 bytes.
///
/// | offset | size | field      | written by | meaning |
/// |-------:|-----:|------------|------------|---------|
/// |      0 |    2 | dom        | in         | whose port: `DOMID_SELF` |
/// |      2 |    2 | remote_dom | in         | who may bind to it |
/// |      4 |    4 | port       | out        | the port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_alloc_unbound`, Xen 4.17.
#[doc(alias = "evtchn_alloc_unbound")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnAllocUnbound {
    /// In: whose port.
    pub dom: u16,
    /// In: who may bind to it.
    pub remote_dom: u16,
    /// Out: the port.
    pub port: u32,
}
assert_layout!(EvtchnAllocUnbound, 8, { dom: 0, remote_dom: 2, port: 4 });

/// `EVTCHNOP_bind_interdomain`: a local port bound to another domain's unbound one; 12 bytes.
///
/// | offset | size | field       | written by | meaning |
/// |-------:|-----:|-------------|------------|---------|
/// |      0 |    2 | remote_dom  | in         | the other domain |
/// |      2 |    2 | pad         | in         | zero |
/// |      4 |    4 | remote_port | in         | its port, allocated for us |
/// |      8 |    4 | local_port  | out        | our new port; pending at once |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_bind_interdomain`, Xen 4.17.
#[doc(alias = "evtchn_bind_interdomain")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnBindInterdomain {
    /// In: the other domain.
    pub remote_dom: u16,
    /// Zero; padding in C.
    pub pad: u16,
    /// In: its port.
    pub remote_port: u32,
    /// Out: our port.
    pub local_port: u32,
}
assert_layout!(EvtchnBindInterdomain, 12, { remote_dom: 0, pad: 2, remote_port: 4, local_port: 8 });

/// `EVTCHNOP_bind_virq`: a port for a virtual interrupt; 12 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | virq  | in         | [`crate::abi::xen::Virq`] |
/// |      4 |    4 | vcpu  | in         | whose; 0 for a global one |
/// |      8 |    4 | port  | out        | the port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_bind_virq`, Xen 4.17.
#[doc(alias = "evtchn_bind_virq")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnBindVirq {
    /// In: the virtual interrupt.
    pub virq: u32,
    /// In: whose.
    pub vcpu: u32,
    /// Out: the port.
    pub port: u32,
}
assert_layout!(EvtchnBindVirq, 12, { virq: 0, vcpu: 4, port: 8 });

/// `EVTCHNOP_bind_ipi`: a port by which vCPUs of this domain notify each other; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | vcpu  | in         | who is notified |
/// |      4 |    4 | port  | out        | the port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_bind_ipi`, Xen 4.17.
#[doc(alias = "evtchn_bind_ipi")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnBindIpi {
    /// In: who is notified.
    pub vcpu: u32,
    /// Out: the port.
    pub port: u32,
}
assert_layout!(EvtchnBindIpi, 8, { vcpu: 0, port: 4 });

/// `EVTCHNOP_bind_vcpu`: which vCPU a port notifies; 8 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | port  | in         | the port |
/// |      4 |    4 | vcpu  | in         | who is notified from now on |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_bind_vcpu`, Xen 4.17.
#[doc(alias = "evtchn_bind_vcpu")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnBindVcpu {
    /// In: the port.
    pub port: u32,
    /// In: who is notified.
    pub vcpu: u32,
}
assert_layout!(EvtchnBindVcpu, 8, { port: 0, vcpu: 4 });

/// `EVTCHNOP_close`: ends a port; the other end becomes unbound; 4 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | port  | in         | the port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_close`, Xen 4.17.
#[doc(alias = "evtchn_close")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnClose {
    /// In: the port.
    pub port: u32,
}
assert_layout!(EvtchnClose, 4, { port: 0 });

/// `EVTCHNOP_send`: notifies the other end of a port; 4 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | port  | in         | the local port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_send`, Xen 4.17.
#[doc(alias = "evtchn_send")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnSend {
    /// In: the local port.
    pub port: u32,
}
assert_layout!(EvtchnSend, 4, { port: 0 });

/// `EVTCHNOP_unmask`: unmasks a port, and notifies again if it is pending; 4 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    4 | port  | in         | the port |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_unmask`, Xen 4.17.
#[doc(alias = "evtchn_unmask")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnUnmask {
    /// In: the port.
    pub port: u32,
}
assert_layout!(EvtchnUnmask, 4, { port: 0 });

/// `EVTCHNOP_reset`: closes every port of a domain; 2 bytes.
///
/// | offset | size | field | written by | meaning |
/// |-------:|-----:|-------|------------|---------|
/// |      0 |    2 | dom   | in         | whose: `DOMID_SELF` |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_reset`, Xen 4.17.
#[doc(alias = "evtchn_reset")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnReset {
    /// In: whose ports.
    pub dom: u16,
}
assert_layout!(EvtchnReset, 2, { dom: 0 });

numbers! {
    /// `EVTCHNSTAT_*`: what a port is bound to.
    ///
    /// Source: `xen/include/public/event_channel.h`, `EVTCHNSTAT_closed` and following, Xen 4.17.
    pub enum EvtchnStat: u32 {
        /// Nothing: the port is free.
        Closed = 0 => "EVTCHNSTAT_closed",
        /// Nothing yet: another domain may bind to it.
        Unbound = 1 => "EVTCHNSTAT_unbound",
        /// A port of another domain.
        Interdomain = 2 => "EVTCHNSTAT_interdomain",
        /// A physical interrupt.
        Pirq = 3 => "EVTCHNSTAT_pirq",
        /// A virtual interrupt.
        Virq = 4 => "EVTCHNSTAT_virq",
        /// A vCPU of the same domain.
        Ipi = 5 => "EVTCHNSTAT_ipi",
    }
}

/// `EVTCHNOP_status`: what a port is bound to; 24 bytes.
///
/// | offset | size | field  | written by | meaning |
/// |-------:|-----:|--------|------------|---------|
/// |      0 |    2 | dom    | in         | whose port: `DOMID_SELF` |
/// |      2 |    2 | pad    | in         | zero |
/// |      4 |    4 | port   | in         | the port |
/// |      8 |    4 | status | out        | [`EvtchnStat`] |
/// |     12 |    4 | vcpu   | out        | who is notified |
/// |     16 |    8 | u      | out        | `Unbound`: the domid; `Interdomain`: the domid, and the port in the second number; `Pirq`, `Virq`: its number |
///
/// Source: `xen/include/public/event_channel.h`, `struct evtchn_status`, Xen 4.17.
#[doc(alias = "evtchn_status")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EvtchnStatus {
    /// In: whose port.
    pub dom: u16,
    /// Zero; padding in C.
    pub pad: u16,
    /// In: the port.
    pub port: u32,
    /// Out: [`EvtchnStat`].
    pub status: u32,
    /// Out: who is notified.
    pub vcpu: u32,
    /// Out: two numbers by `status`; a domid is in the low 16 bits of the first.
    pub u: [u32; 2],
}
assert_layout!(EvtchnStatus, 24, { dom: 0, pad: 2, port: 4, status: 8, vcpu: 12, u: 16 });

#[cfg(test)]
mod tests {
    use super::{EvtchnAllocUnbound, EvtchnBindInterdomain, EvtchnStat};
    use crate::abi::Unknown;
    use zerocopy::IntoBytes;

    #[test]
    fn arguments_have_the_header_s_bytes() {
        let alloc = EvtchnAllocUnbound { dom: 0x7ff0, remote_dom: 2, port: 0 };
        assert_eq!(alloc.as_bytes(), &[0xf0, 0x7f, 2, 0, 0, 0, 0, 0]);
        let bind =
            EvtchnBindInterdomain { remote_dom: 1, remote_port: 5, ..EvtchnBindInterdomain::default() };
        assert_eq!(bind.as_bytes(), &[1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_undefined_status_is_refused() {
        assert_eq!(EvtchnStat::try_from(2), Ok(EvtchnStat::Interdomain));
        assert_eq!(EvtchnStat::try_from(6), Err(Unknown(6)));
    }
}
