//! What a guest asks for: events, grants, memory, scheduling, vCPUs, HVM operations and parameters.

use crate::Table;
use crate::table::{flags, layout, numbers, values};
use xen::abi::event_channel::{
    EVTCHN_2L_NR_CHANNELS, EventChannelOp, EvtchnAllocUnbound, EvtchnBindInterdomain, EvtchnBindIpi,
    EvtchnBindVcpu, EvtchnBindVirq, EvtchnClose, EvtchnReset, EvtchnSend, EvtchnStat, EvtchnStatus,
    EvtchnUnmask,
};
use xen::abi::grant_table::{
    GNTTAB_NR_RESERVED_ENTRIES, GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE, GntcopyFlags, GntmapFlags,
    GnttabCopy, GnttabCopyPtr, GnttabGetVersion, GnttabMapGrantRef, GnttabQuerySize, GnttabSetVersion,
    GnttabSetupTable, GnttabUnmapGrantRef, GrantEntryV1, GrantFlags, GrantStatus, GrantTableOp, offset,
};
use xen::abi::hvm_op::{HvmOp, XenHvmEvtchnUpcallVector, XenHvmGetTime, XenHvmParam};
use xen::abi::hvm_params::{CALLBACK_IRQ_TYPE_MASK, CallbackType, HVM_NR_PARAMS, HvmParam, callback_vector};
use xen::abi::memory::{
    MapSpace, MemoryOp, XenAddToPhysmap, XenAddToPhysmapBatch, XenMemFlags, XenMemoryDomain, XenMemoryMap,
    XenMemoryReservation, XenRemoveFromPhysmap,
};
use xen::abi::sched::{SHUTDOWN_MAX, SchedOp, SchedPoll, SchedShutdown, SchedWatchdog, ShutdownReason};
use xen::abi::vcpu::{
    RUNSTATE_UPDATE, Runstate, VcpuOp, VcpuRegisterRunstateMemoryArea, VcpuRegisterTimeMemoryArea,
    VcpuRegisterVcpuInfo, VcpuRunstateInfo, VcpuSetPeriodicTimer, VcpuSetSingleshotTimer, VcpuSshottmrFlags,
};

pub(super) fn add(table: &mut Table) {
    event_channel(table);
    grant_table(table);
    grant_table_ops(table);
    memory(table);
    sched(table);
    vcpu(table);
    hvm(table);
}

fn event_channel(table: &mut Table) {
    numbers!(table, EventChannelOp, EvtchnStat);
    values!(table, "EVTCHN_2L_NR_CHANNELS" => EVTCHN_2L_NR_CHANNELS);
    layout!(table, "struct evtchn_alloc_unbound" => EvtchnAllocUnbound { dom, remote_dom, port });
    layout!(table, "struct evtchn_bind_interdomain" => EvtchnBindInterdomain {
        remote_dom, remote_port, local_port; pad
    });
    layout!(table, "struct evtchn_bind_virq" => EvtchnBindVirq { virq, vcpu, port });
    layout!(table, "struct evtchn_bind_ipi" => EvtchnBindIpi { vcpu, port });
    layout!(table, "struct evtchn_bind_vcpu" => EvtchnBindVcpu { port, vcpu });
    layout!(table, "struct evtchn_close" => EvtchnClose { port });
    layout!(table, "struct evtchn_send" => EvtchnSend { port });
    layout!(table, "struct evtchn_unmask" => EvtchnUnmask { port });
    layout!(table, "struct evtchn_reset" => EvtchnReset { dom });
    layout!(table, "struct evtchn_status" => EvtchnStatus { dom, port, status, vcpu, u; pad });
    // The second number of the union is the port of the other domain.
    values!(table,
        "offsetof(struct evtchn_status, u.interdomain.port) - offsetof(struct evtchn_status, u)"
            => size_of::<u32>(),
    );
}

fn grant_table(table: &mut Table) {
    numbers!(table, GrantTableOp, GrantStatus);
    values!(table,
        "GNTTAB_NR_RESERVED_ENTRIES" => GNTTAB_NR_RESERVED_ENTRIES,
        "GNTTAB_RESERVED_CONSOLE" => GNTTAB_RESERVED_CONSOLE,
        "GNTTAB_RESERVED_XENSTORE" => GNTTAB_RESERVED_XENSTORE,
        "GTF_invalid" => GrantFlags::empty().bits(),
        "GTF_transitive" => GrantFlags::TYPE_MASK.bits(),
        "sizeof(struct grant_entry_v1)" => offset::ENTRY_BYTES,
        "offsetof(struct grant_entry_v1, flags)" => offset::FLAGS,
        "offsetof(struct grant_entry_v1, domid)" => offset::DOMID,
        "offsetof(struct grant_entry_v1, frame)" => offset::FRAME,
    );
    flags!(
        table,
        GrantFlags {
            PERMIT_ACCESS: "GTF_permit_access",
            ACCEPT_TRANSFER: "GTF_accept_transfer",
            TYPE_MASK: "GTF_type_mask",
            READONLY: "GTF_readonly",
            READING: "GTF_reading",
            WRITING: "GTF_writing",
            PWT: "GTF_PWT",
            PCD: "GTF_PCD",
            PAT: "GTF_PAT",
            SUB_PAGE: "GTF_sub_page",
        }
    );
    flags!(
        table,
        GntmapFlags {
            DEVICE_MAP: "GNTMAP_device_map",
            HOST_MAP: "GNTMAP_host_map",
            READONLY: "GNTMAP_readonly",
            APPLICATION_MAP: "GNTMAP_application_map",
            CONTAINS_PTE: "GNTMAP_contains_pte",
        }
    );
    flags!(table, GntcopyFlags { SOURCE_GREF: "GNTCOPY_source_gref", DEST_GREF: "GNTCOPY_dest_gref" });
}

fn grant_table_ops(table: &mut Table) {
    layout!(table, "struct grant_entry_v1" => GrantEntryV1 { flags, domid, frame });
    layout!(table, "struct gnttab_map_grant_ref" => GnttabMapGrantRef {
        host_addr, flags, gref as "ref", dom, status, handle, dev_bus_addr
    });
    layout!(table, "struct gnttab_unmap_grant_ref" => GnttabUnmapGrantRef {
        host_addr, dev_bus_addr, handle, status; pad
    });
    layout!(table, "struct gnttab_setup_table" => GnttabSetupTable {
        dom, nr_frames, status, frame_list; pad0, pad1
    });
    layout!(table, "struct gnttab_query_size" => GnttabQuerySize {
        dom, nr_frames, max_nr_frames, status; pad0, pad1
    });
    layout!(table, "struct gnttab_copy_ptr" => GnttabCopyPtr { u, domid, offset; pad });
    layout!(table, "struct gnttab_copy" => GnttabCopy { source, dest, len, flags, status; pad });
    layout!(table, "struct gnttab_set_version" => GnttabSetVersion { version });
    layout!(table, "struct gnttab_get_version" => GnttabGetVersion { dom, pad, version });
}

fn memory(table: &mut Table) {
    numbers!(table, MemoryOp, MapSpace);
    flags!(
        table,
        XenMemFlags {
            POPULATE_ON_DEMAND: "XENMEMF_populate_on_demand",
            EXACT_NODE_REQUEST: "XENMEMF_exact_node_request",
            VNODE: "XENMEMF_vnode",
        }
    );
    layout!(table, "struct xen_add_to_physmap" => XenAddToPhysmap { domid, size, space, idx, gpfn });
    layout!(table, "struct xen_add_to_physmap_batch" => XenAddToPhysmapBatch {
        domid, space, size, u, idxs, gpfns, errs
    });
    layout!(table, "struct xen_remove_from_physmap" => XenRemoveFromPhysmap { domid, gpfn; pad });
    layout!(table, "struct xen_memory_reservation" => XenMemoryReservation {
        extent_start, nr_extents, extent_order, mem_flags, domid; pad
    });
    layout!(table, "struct xen_memory_domain" => XenMemoryDomain { domid });
    layout!(table, "struct xen_memory_map" => XenMemoryMap { nr_entries, buffer; pad });
}

fn sched(table: &mut Table) {
    numbers!(table, SchedOp, ShutdownReason);
    values!(table, "SHUTDOWN_MAX" => SHUTDOWN_MAX);
    layout!(table, "struct sched_shutdown" => SchedShutdown { reason });
    layout!(table, "struct sched_poll" => SchedPoll { ports, nr_ports, timeout; pad });
    layout!(table, "struct sched_watchdog" => SchedWatchdog { id, timeout });
}

fn vcpu(table: &mut Table) {
    numbers!(table, VcpuOp, Runstate);
    values!(table, "XEN_RUNSTATE_UPDATE" => RUNSTATE_UPDATE);
    flags!(table, VcpuSshottmrFlags { FUTURE: "VCPU_SSHOTTMR_future" });
    layout!(table, "struct vcpu_runstate_info" => VcpuRunstateInfo { state, state_entry_time, time; pad });
    layout!(table, "struct vcpu_register_runstate_memory_area" => VcpuRegisterRunstateMemoryArea { addr });
    layout!(table, "struct vcpu_set_periodic_timer" => VcpuSetPeriodicTimer { period_ns });
    layout!(table, "struct vcpu_set_singleshot_timer" => VcpuSetSingleshotTimer { timeout_abs_ns, flags; pad });
    layout!(table, "struct vcpu_register_vcpu_info" => VcpuRegisterVcpuInfo { mfn, offset, rsvd });
    layout!(table, "struct vcpu_register_time_memory_area" => VcpuRegisterTimeMemoryArea { addr });
}

fn hvm(table: &mut Table) {
    numbers!(table, HvmOp, HvmParam, CallbackType);
    values!(table,
        "HVM_NR_PARAMS" => HVM_NR_PARAMS,
        "HVM_PARAM_CALLBACK_IRQ_TYPE_MASK" => CALLBACK_IRQ_TYPE_MASK,
        "(HVM_PARAM_CALLBACK_TYPE_VECTOR + 0ULL) << 56 | 0xf3" => callback_vector(0xf3),
    );
    layout!(table, "struct xen_hvm_param" => XenHvmParam { domid, pad, index, value });
    layout!(table, "struct xen_hvm_get_time" => XenHvmGetTime { now });
    layout!(table, "struct xen_hvm_evtchn_upcall_vector" => XenHvmEvtchnUpcallVector { vcpu, vector; pad });
}
