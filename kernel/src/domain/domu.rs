//! [`xen::Hypervisor`], [`xen::Memory`] and [`xen::Clock`] over the real hypercalls.

#![allow(unsafe_code, reason = "makes hypercalls; see docs/soundness.md")]

use crate::cpu::hypercall::{Instruction, Kind, address};
use crate::mem::foreign_frames::ForeignFrames;
use crate::mem::frames::Frames;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use xen::abi::event_channel::{
    EventChannelOp, EvtchnAllocUnbound, EvtchnBindInterdomain, EvtchnBindVirq, EvtchnClose, EvtchnSend,
};
use xen::abi::grant_table::{
    GntmapFlags, GnttabMapGrantRef, GnttabQuerySize, GnttabUnmapGrantRef, GrantStatus, GrantTableOp,
};
use xen::abi::hvm_op::{HvmOp, XenHvmParam};
use xen::abi::memory::{
    MemoryOp, XenAddToPhysmap, XenAddToPhysmapBatch, XenMemoryDomain, XenMemoryReservation,
};
use xen::abi::sched::{SchedOp, SchedShutdown, SchedWatchdog};
use xen::abi::vcpu::{VcpuOp, VcpuRegisterVcpuInfo, VcpuSetSingleshotTimer};
use xen::abi::xen::Hypercall;
use xen::clock::PvClock;
use xen::foreign::{Foreign, MapError, MapHandle};
use xen::hypervisor::{GrantTableSize, HvmParam, MapSpace, ShutdownReason, Virq};
use xen::{
    Clock, DomId, Errno, EvtchnPort, Gfn, Gref, Hypervisor, Memory, Page, Private, Shared, SystemTime, VcpuId,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// This domain: its hypercalls, its frames, its clock. Cheap to clone.
#[derive(Clone)]
pub struct DomU(Rc<Inner>);

struct Inner {
    instruction: Instruction,
    frames: Frames,
    foreign_frames: ForeignFrames,
    clock: PvClock<fn() -> u64>,
}

impl fmt::Debug for DomU {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomU").finish_non_exhaustive()
    }
}

impl DomU {
    /// The domain with the free pages `frames`, and `foreign_frames` for grant mappings.
    pub(crate) fn new(
        instruction: Instruction,
        frames: Frames,
        foreign_frames: ForeignFrames,
        clock: PvClock<fn() -> u64>,
    ) -> Self {
        Self(Rc::new(Inner { instruction, frames, foreign_frames, clock }))
    }

    /// Hypercalls since the start by kind, in the order of [`Kind::ALL`].
    #[must_use]
    pub(crate) fn hypercalls(&self) -> [u64; Kind::ALL.len()] {
        self.0.instruction.counts()
    }

    /// Pages that are allocated.
    #[must_use]
    pub(crate) fn pages_taken(&self) -> usize {
        self.0.frames.taken()
    }

    /// Wall clock time in nanoseconds since 1970 UTC; `None` if Xen has not set it.
    #[must_use]
    pub fn unix_time_ns(&self) -> Option<u64> {
        self.0.clock.unix_time_ns()
    }

    /// Maps `shared_info` at `gfn` after a suspend, registers `vcpu_info` again, and continues the clock with both. The
    /// inner result is that of `VCPUOP_register_vcpu_info`, which fails in the same domain: it is registered already.
    ///
    /// # Errors
    /// The errno of `XENMEM_add_to_physmap`.
    pub(crate) fn resume(&self, gfn: Gfn, shared_info: Shared<'static>) -> Result<Result<(), Errno>, Errno> {
        let instruction = &self.0.instruction;
        // SAFETY: the frame holds `shared_info` since the start, and has no other use.
        unsafe { add_to_physmap(instruction, MapSpace::SharedInfo, 0, gfn) }?;
        let (vcpu_info, at) = crate::cpu::idt::vcpu_info();
        let registered = register_vcpu_info(instruction, at);
        self.0.clock.resume(vcpu_info, shared_info);
        Ok(registered)
    }

    fn evtchn<T: FromBytes + IntoBytes>(&self, op: EventChannelOp, args: &mut T) -> Result<u64, Errno> {
        let kind = if op == EventChannelOp::Send { Kind::EvtchnSend } else { Kind::Evtchn };
        // SAFETY: each caller below passes the structure of its operation; event channel operations change no memory of
        // ours except `shared_info`.
        unsafe { self.0.instruction.with_args(kind, Hypercall::EventChannelOp, op.into(), args) }
    }

    /// `SCHEDOP_watchdog`: restarts watchdog `id`, or creates one if `id` is 0. Returns the number of a new one, else 0.
    /// `timeout` is in seconds.
    ///
    /// # Errors
    /// `EINVAL` if there is no watchdog `id`.
    pub(crate) fn watchdog(&self, id: u32, timeout: u32) -> Result<u32, Errno> {
        let mut args = SchedWatchdog { id, timeout };
        let op = u32::from(SchedOp::Watchdog);
        // SAFETY: the structure of the operation, which changes no memory of ours.
        let made = unsafe { self.0.instruction.with_args(Kind::Sched, Hypercall::SchedOp, op, &mut args) }?;
        Ok(u32::try_from(made).unwrap_or_default())
    }

    /// `GNTTABOP_*` with one argument structure.
    ///
    /// # Safety
    /// `T` is the structure of `op`, and the operation's effect is sound.
    unsafe fn grant<T: FromBytes + IntoBytes>(&self, op: GrantTableOp, args: &mut T) -> Result<u64, Errno> {
        let arguments = [u64::from(u32::from(op)), address(core::ptr::from_mut(args).cast_const()), 1, 0];
        // SAFETY: the caller.
        unsafe { self.0.instruction.call(Kind::GrantTable, Hypercall::GrantTableOp, arguments) }
    }
}

/// `VCPUOP_register_vcpu_info` (`vcpu.h`): `at` is the physical address of this vCPU's `vcpu_info`.
pub(crate) fn register_vcpu_info(instruction: &Instruction, at: u64) -> Result<(), Errno> {
    let offset = u32::try_from(at & 0xfff).unwrap_or_default();
    let mut args = VcpuRegisterVcpuInfo { mfn: at >> 12, offset, ..VcpuRegisterVcpuInfo::new_zeroed() };
    let pointer = address(&raw const args);
    let arguments = [u64::from(u32::from(VcpuOp::RegisterVcpuInfo)), 0, pointer, 0];
    // SAFETY: the structure of the operation; `at` is the static of `idt::vcpu_info`.
    let result = unsafe { instruction.call(Kind::Other, Hypercall::VcpuOp, arguments) };
    args.zero();
    result.map(drop)
}

/// `HVMOP_get_param` before there is a [`DomU`].
pub(crate) fn hvm_get_param(instruction: &Instruction, param: HvmParam) -> Result<u64, Errno> {
    let mut args = XenHvmParam { domid: DomId::SELF.0, index: param.into(), ..XenHvmParam::new_zeroed() };
    let op = u32::from(HvmOp::GetParam);
    // SAFETY: the structure of the operation.
    unsafe { instruction.with_args(Kind::Other, Hypercall::HvmOp, op, &mut args) }?;
    Ok(args.value)
}

/// `SCHEDOP_shutdown` before there is a [`DomU`].
pub(crate) fn shutdown(instruction: &Instruction, reason: ShutdownReason) -> Result<bool, Errno> {
    let mut args = SchedShutdown { reason: reason.into() };
    let op = u32::from(SchedOp::Shutdown);
    // SAFETY: the structure of the operation.
    let ret = unsafe { instruction.with_args(Kind::Sched, Hypercall::SchedOp, op, &mut args) };
    ret.map(|value| value == 1)
}

/// `XENMEM_add_to_physmap` before there is a [`DomU`].
///
/// # Safety
/// `gfn` is owned by the caller and holds no memory in use.
pub(crate) unsafe fn add_to_physmap(
    instruction: &Instruction,
    space: MapSpace,
    index: u64,
    gfn: Gfn,
) -> Result<(), Errno> {
    let mut args = XenAddToPhysmap {
        domid: DomId::SELF.0,
        space: space.into(),
        idx: index,
        gpfn: gfn.0,
        ..FromZeros::new_zeroed()
    };
    let op = u32::from(MemoryOp::AddToPhysmap);
    // SAFETY: the structure of the operation; the caller owns the frame.
    unsafe { instruction.with_args(Kind::Memory, Hypercall::MemoryOp, op, &mut args) }.map(drop)
}

/// `XENMEM_current_reservation`: the pages that this domain has.
pub(crate) fn current_reservation(instruction: &Instruction) -> Result<u64, Errno> {
    let mut args = XenMemoryDomain { domid: DomId::SELF.0 };
    let op = u32::from(MemoryOp::CurrentReservation);
    // SAFETY: the structure of the operation, which only reads.
    unsafe { instruction.with_args(Kind::Memory, Hypercall::MemoryOp, op, &mut args) }
}

/// `XENMEM_decrease_reservation`: returns extents of 2^`order` pages that begin at `frames` to Xen. Returns how many
/// extents Xen took.
///
/// # Safety
/// The frames are owned by the caller, hold no memory in use and never will.
pub(crate) unsafe fn decrease_reservation(
    instruction: &Instruction,
    frames: &[u64],
    order: u32,
) -> Result<u64, Errno> {
    let mut args = XenMemoryReservation {
        extent_start: address(frames.as_ptr()),
        nr_extents: u64::try_from(frames.len()).unwrap_or_default(),
        extent_order: order,
        domid: DomId::SELF.0,
        ..XenMemoryReservation::new_zeroed()
    };
    let op = u32::from(MemoryOp::DecreaseReservation);
    // SAFETY: the structure of the operation; the caller gives up the frames.
    unsafe { instruction.with_args(Kind::Memory, Hypercall::MemoryOp, op, &mut args) }
}

impl Hypervisor for DomU {
    fn evtchn_send(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.evtchn(EventChannelOp::Send, &mut EvtchnSend { port: port.0 }).map(drop)
    }

    fn evtchn_alloc_unbound(&self, remote: DomId) -> Result<EvtchnPort, Errno> {
        let mut args = EvtchnAllocUnbound {
            dom: DomId::SELF.0,
            remote_dom: remote.0,
            ..EvtchnAllocUnbound::new_zeroed()
        };
        self.evtchn(EventChannelOp::AllocUnbound, &mut args)?;
        Ok(EvtchnPort(args.port))
    }

    fn evtchn_bind_interdomain(&self, remote: DomId, port: EvtchnPort) -> Result<EvtchnPort, Errno> {
        let mut args = EvtchnBindInterdomain {
            remote_dom: remote.0,
            remote_port: port.0,
            ..EvtchnBindInterdomain::new_zeroed()
        };
        self.evtchn(EventChannelOp::BindInterdomain, &mut args)?;
        Ok(EvtchnPort(args.local_port))
    }

    fn evtchn_bind_virq(&self, virq: Virq, vcpu: VcpuId) -> Result<EvtchnPort, Errno> {
        let mut args = EvtchnBindVirq { virq: virq.into(), vcpu: vcpu.0, ..EvtchnBindVirq::new_zeroed() };
        self.evtchn(EventChannelOp::BindVirq, &mut args)?;
        Ok(EvtchnPort(args.port))
    }

    fn evtchn_close(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.evtchn(EventChannelOp::Close, &mut EvtchnClose { port: port.0 }).map(drop)
    }

    fn sched_block(&self) {
        self.0.instruction.count(Kind::Block);
        // `sti; hlt` is SCHEDOP_block without a race: Xen's handler of HLT blocks the vCPU as the hypercall does.
        crate::cpu::idt::sleep();
    }

    fn sched_yield(&self) {
        let arguments = [u64::from(u32::from(SchedOp::Yield)), 0, 0, 0];
        // SAFETY: takes no arguments and changes no memory.
        let _ = unsafe { self.0.instruction.call(Kind::Sched, Hypercall::SchedOp, arguments) };
    }

    fn sched_shutdown(&self, reason: ShutdownReason) -> Result<bool, Errno> {
        shutdown(&self.0.instruction, reason)
    }

    fn set_singleshot_timer(&self, deadline: SystemTime) -> Result<(), Errno> {
        let mut args = VcpuSetSingleshotTimer {
            timeout_abs_ns: self.0.clock.to_xen(deadline).0,
            ..VcpuSetSingleshotTimer::new_zeroed()
        };
        let pointer = address(core::ptr::from_mut(&mut args).cast_const());
        let arguments = [u64::from(u32::from(VcpuOp::SetSingleshotTimer)), 0, pointer, 0];
        // SAFETY: the structure of the operation; Xen only reads it.
        unsafe { self.0.instruction.call(Kind::Timer, Hypercall::VcpuOp, arguments) }.map(drop)
    }

    fn hvm_get_param(&self, param: HvmParam) -> Result<u64, Errno> {
        hvm_get_param(&self.0.instruction, param)
    }

    fn hvm_set_param(&self, param: HvmParam, value: u64) -> Result<(), Errno> {
        let mut args =
            XenHvmParam { domid: DomId::SELF.0, index: param.into(), value, ..XenHvmParam::new_zeroed() };
        let op = u32::from(HvmOp::SetParam);
        // SAFETY: the structure of the operation; the parameters are numbers, not memory.
        unsafe { self.0.instruction.with_args(Kind::Other, Hypercall::HvmOp, op, &mut args) }.map(drop)
    }

    fn grant_table_size(&self) -> Result<GrantTableSize, Errno> {
        let mut args = GnttabQuerySize { dom: DomId::SELF.0, ..GnttabQuerySize::new_zeroed() };
        // SAFETY: the structure of the operation, which only reads.
        unsafe { self.grant(GrantTableOp::QuerySize, &mut args) }?;
        Ok(GrantTableSize { nr_frames: args.nr_frames, max_nr_frames: args.max_nr_frames })
    }

    fn map_foreign(&self, domid: DomId, gref: Gref) -> Result<Foreign, MapError> {
        let (gfn, base) = self.0.foreign_frames.take().ok_or(MapError::NoRoom)?;
        let mut args = GnttabMapGrantRef {
            host_addr: gfn.0 << 12,
            flags: GntmapFlags::HOST_MAP.bits(),
            gref: gref.0,
            dom: domid.0,
            ..GnttabMapGrantRef::new_zeroed()
        };
        // SAFETY: the structure of the operation; the frame has no other use, and nothing refers to it.
        let called = unsafe { self.grant(GrantTableOp::MapGrantRef, &mut args) };
        let status = called.map_err(MapError::Xen).map(|_| GrantStatus::try_from(args.status));
        match status {
            Ok(Ok(GrantStatus::Okay)) => {
                // SAFETY: Xen has mapped the page at this frame, which our tables map at `base`; it has no other use.
                Ok(unsafe { Foreign::from_raw(base, gfn, MapHandle(args.handle)) })
            }
            refused => {
                self.0.foreign_frames.put_back(gfn);
                Err(match refused {
                    Ok(Ok(status)) => MapError::Refused(status),
                    Ok(Err(_)) => MapError::Xen(Errno::EINVAL),
                    Err(error) => error,
                })
            }
        }
    }

    fn unmap_foreign(&self, page: Foreign) -> Result<(), GrantStatus> {
        let (_, gfn, handle) = page.into_raw();
        let mut args = GnttabUnmapGrantRef {
            host_addr: gfn.0 << 12,
            handle: handle.0,
            ..GnttabUnmapGrantRef::new_zeroed()
        };
        // SAFETY: the structure of the operation; `page` was consumed, so that nothing refers to it any more.
        let called = unsafe { self.grant(GrantTableOp::UnmapGrantRef, &mut args) };
        let status = called.ok().and_then(|_| GrantStatus::try_from(args.status).ok());
        match status {
            // An unknown handle: the mapping ended with a suspend.
            Some(GrantStatus::Okay | GrantStatus::BadHandle) => {
                self.0.foreign_frames.put_back(gfn);
                Ok(())
            }
            status => Err(status.unwrap_or(GrantStatus::GeneralError)),
        }
    }

    unsafe fn add_to_physmap(&self, space: MapSpace, count: u32, gfn: Gfn) -> Result<(), Errno> {
        // The highest first, so that Xen grows its table once.
        let indexes: Vec<u64> = (0..u64::from(count)).rev().collect();
        let gfns: Vec<u64> = indexes.iter().map(|index| gfn.0.wrapping_add(*index)).collect();
        let mut results: Vec<i32> = alloc::vec![0; indexes.len()];
        let mut args = XenAddToPhysmapBatch {
            domid: DomId::SELF.0,
            space: u16::try_from(u32::from(space)).map_err(|_| Errno::EINVAL)?,
            size: u16::try_from(count).map_err(|_| Errno::EINVAL)?,
            u: 0,
            idxs: address(indexes.as_ptr()),
            gpfns: address(gfns.as_ptr()),
            errs: address(results.as_mut_ptr().cast_const()),
        };
        let op = u32::from(MemoryOp::AddToPhysmapBatch);
        // SAFETY: the structure of the operation with the addresses of `count` indexes, frames and results; the caller
        // owns the frames.
        unsafe { self.0.instruction.with_args(Kind::Memory, Hypercall::MemoryOp, op, &mut args) }?;
        results.into_iter().try_for_each(|result| Errno::from_ret(result.into()).map(drop))
    }
}

impl Memory for DomU {
    fn alloc_page(&self) -> Option<Page<Private>> {
        self.0.frames.alloc_page()
    }
    fn alloc_contiguous(&self, count: usize) -> Option<Vec<Page<Private>>> {
        self.0.frames.alloc_contiguous(count)
    }
    fn free_page(&self, page: Page<Private>) {
        self.0.frames.free_page(page);
    }
    fn free_pages(&self) -> usize {
        self.0.frames.free_pages()
    }
}

impl Clock for DomU {
    fn now(&self) -> SystemTime {
        self.0.clock.now()
    }
}
