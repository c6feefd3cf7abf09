//! The kinds of hypercalls that have a counter of their own.

xen::counters! {
    /// Hypercalls since the start, by kind.
    pub struct Hypercalls by
    /// A kind of hypercall.
    pub enum Kind {
        /// `EVTCHNOP_send`: notifications.
        EvtchnSend = "evtchn_send",
        /// Other event channel operations.
        Evtchn = "evtchn_other",
        /// `SCHEDOP_block`, by hypercall or by HLT: sleeps.
        Block = "block",
        /// Other scheduler operations.
        Sched = "sched_other",
        /// `VCPUOP_set_singleshot_timer`.
        Timer = "set_timer",
        /// Grant table operations.
        GrantTable = "grant_table",
        /// Memory operations.
        Memory = "memory",
        /// Everything else.
        Other = "other",
    }
}
