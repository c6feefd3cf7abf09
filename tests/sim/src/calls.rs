//! Every hypercall of a guest passes here: it is counted, and a test may refuse it.

use crate::counters::Counters;
use std::cell::RefCell;
use std::fmt;
use xen::Errno;

/// A hypercall that a test can make Xen refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// `EVTCHNOP_send`.
    EvtchnSend,
    /// `EVTCHNOP_alloc_unbound`.
    EvtchnAllocUnbound,
    /// `EVTCHNOP_bind_interdomain`.
    EvtchnBindInterdomain,
    /// `EVTCHNOP_bind_virq`.
    EvtchnBindVirq,
    /// `EVTCHNOP_close`.
    EvtchnClose,
    /// `VCPUOP_set_singleshot_timer`.
    SetSingleshotTimer,
    /// `HVMOP_get_param`.
    HvmGetParam,
    /// `HVMOP_set_param`.
    HvmSetParam,
    /// `GNTTABOP_query_size`.
    GrantTableSize,
    /// `GNTTABOP_map_grant_ref`.
    GrantMap,
    /// `GNTTABOP_unmap_grant_ref`.
    GrantUnmap,
    /// `XENMEM_add_to_physmap`.
    AddToPhysmap,
}

impl Call {
    pub(crate) const fn count(self, counters: &mut Counters) {
        let counter = match self {
            Self::EvtchnSend => &mut counters.notifications_sent,
            Self::EvtchnAllocUnbound
            | Self::EvtchnBindInterdomain
            | Self::EvtchnBindVirq
            | Self::EvtchnClose => &mut counters.evtchn_ops,
            Self::SetSingleshotTimer => &mut counters.timer_sets,
            Self::HvmGetParam | Self::HvmSetParam => &mut counters.param_ops,
            Self::GrantTableSize | Self::GrantMap | Self::GrantUnmap => &mut counters.grant_ops,
            Self::AddToPhysmap => &mut counters.physmap_ops,
        };
        *counter += 1;
    }
}

pub(crate) type Refuse = Box<dyn FnMut(Call) -> Option<Errno>>;

/// The test's say in hypercalls.
#[derive(Default)]
pub(crate) struct Gate(RefCell<Option<Refuse>>);

impl Gate {
    /// The test's decision about a call.
    pub(crate) fn ask(&self, call: Call) -> Result<(), Errno> {
        let refused = self.0.borrow_mut().as_mut().and_then(|refuse| refuse(call));
        refused.map_or(Ok(()), Err)
    }

    pub(crate) fn set(&self, refuse: Option<Refuse>) {
        *self.0.borrow_mut() = refuse;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", if self.0.borrow().is_some() { "asks" } else { "open" })
    }
}
