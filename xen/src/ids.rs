//! The numbers by which Xen names things, each a type of its own, so that a port cannot be used as a grant reference.

use core::fmt;

/// Bytes of a page; Xen's rings, grants and frames have no other size on x86.
pub const PAGE_SIZE: usize = 4096;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A domain. `xen/include/public/xen.h`, `domid_t`.
    #[doc(alias = "domid_t")]
    DomId(u16)
}
id! {
    /// A grant reference: an index into the granting domain's grant table. `grant_table.h`, `grant_ref_t`.
    #[doc(alias = "grant_ref_t")]
    Gref(u32)
}
id! {
    /// A guest frame number: guest-physical address / 4096. `xen/include/public/memory.h` calls it `gpfn` or `gmfn`.
    #[doc(alias = "xen_pfn_t")]
    Gfn(u64)
}
id! {
    /// A local event-channel port. `event_channel.h`, `evtchn_port_t`.
    #[doc(alias = "evtchn_port_t")]
    EvtchnPort(u32)
}
id! {
    /// A virtual CPU of this domain.
    VcpuId(u32)
}
id! {
    /// Xen's system time in nanoseconds, as `vcpu_time_info` gives it. It does not go backwards within one domain;
    /// after a restore it starts at another value (see [`crate::hypervisor::Clock`]).
    SystemTime(u64)
}

impl DomId {
    /// `DOMID_SELF`: the calling domain.
    pub const SELF: Self = Self(0x7ff0);
}

impl SystemTime {
    /// This time and `ns` nanoseconds; stops at the end of time.
    #[must_use]
    pub const fn after(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
