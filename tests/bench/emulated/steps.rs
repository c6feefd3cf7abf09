//! The path of an emulated access, and where the instructions of the machine are on it.
//!
//! ```text
//!   guest: access ─► Xen: exit, decode ─► I/O request page, event ─► switch to dom0 ─► kernel: event to the program
//!   guest ◄─ Xen: complete, enter ◄─ event ◄─ hypercall ◄─ device model: the card's registers, the frame, tap ◄─┘
//! ```

use crate::machine::{Outcome, dom0};
use crate::names::{KERNEL, MACHINE, Names, XEN};
use crate::plugin::Reading;
use bed::Bed;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Guest,
    Exit,
    Request,
    Event,
    Switch,
    Xen,
    KernelEvent,
    Kernel,
    Model,
    Program,
}

impl Step {
    pub(crate) const ALL: [Self; 10] = [
        Self::Guest,
        Self::Exit,
        Self::Request,
        Self::Event,
        Self::Switch,
        Self::Xen,
        Self::KernelEvent,
        Self::Kernel,
        Self::Model,
        Self::Program,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Exit => "Xen: exit and entry, decoding, emulating, page tables",
            Self::Request => "Xen: the I/O request",
            Self::Event => "Xen: event channels",
            Self::Switch => "Xen: scheduler, switching domains",
            Self::Xen => "Xen: all else (dom0's hypercalls and traps, grants)",
            Self::KernelEvent => "dom0's kernel: events, interrupts, wake-ups",
            Self::Kernel => "dom0's kernel: all else (system calls, network)",
            Self::Model => "device model",
            Self::Program => "dom0's other programs",
        }
    }
}

/// Functions of Xen 4.17 by how their names begin; the first line that fits counts.
const OF_XEN: &[(Step, &[&str])] = &[
    (
        Step::Request,
        &[
            "ioreq",
            "hvm_send_ioreq",
            "vcpu_ioreq",
            "handle_hvm_io",
            "hvm_do_resume",
            "arch_vcpu_ioreq",
            "hvm_wait_for_io",
            "arch_ioreq",
            "hvm_vcpu_ioreq",
            "handle_pio",
        ],
    ),
    (
        Step::Event,
        &[
            "evtchn",
            "notify_via",
            "send_guest",
            "do_event_channel",
            "vcpu_mark_events",
            "vcpu_kick",
            "hvm_assert_evtchn",
            "_evtchn",
            "xen_event",
            "find_first_set_bit",
            "lock_old_queue",
        ],
    ),
    (
        Step::Switch,
        &[
            "csched",
            "do_schedule",
            "__bitmap",
            "update_runq",
            "sched",
            "__context_switch",
            "context_switch",
            "context_saved",
            "vcpu_runstate",
            "vcpu_wake",
            "vcpu_sleep",
            "vcpu_block",
            "runq",
            "burn_credits",
            "svm_ctxt_switch",
            "paravirt_ctxt_switch",
            "tickle",
            "update_load",
            "update_svc",
            "replenish",
            "__runq",
            "set_timer",
            "stop_timer",
            "update_runstate",
            "write_ptbase",
            "switch_cr3",
            "load_LDT",
            "ctxt_switch",
            "do_sched_op",
            "vcpu_unblock",
            "idle_loop",
            "timer_softirq",
            "do_softirq",
            "__do_softirq",
            "raise_softirq",
            "cpu_raise_softirq",
            "_csched",
            "reset_stack",
            "continue_running",
            "noreturn",
            "svm_vmload",
            "svm_vmsave",
            "svm_sync",
            "restore_fpu",
            "save_fpu",
            "vcpu_save_fpu",
            "vcpu_restore_fpu",
            "_vcpu",
        ],
    ),
    (
        Step::Exit,
        &[
            "svm_",
            "vmexit",
            "x86_",
            "hvm",
            "handle_mmio",
            "emulate",
            "p2m",
            "_get_page_type",
            "guest_walk",
            "paging",
            "hap_",
            "get_page",
            "put_page",
            "vlapic",
            "nestedhvm",
            "nsvm",
            "nvmx",
            "__hvm",
            "_hvm",
            "mmio",
            "vpt",
            "pt_",
            "vioapic",
            "decode",
            "_x86",
            "map_domain_page",
            "unmap_domain_page",
            "__get_gfn",
            "__put_gfn",
            "get_gfn",
            "domain_page_map",
            "__mfn_valid",
            "map_domain_gfn",
            "insn_fetch",
            "_check_lock",
        ],
    ),
];

/// Functions of Linux 6.1 that take an event to a program, or put one to sleep.
const OF_KERNEL: &[&str] = &[
    "xen_",
    "__xen_",
    "evtchn",
    "handle_",
    "generic_handle",
    "irq",
    "__irq",
    "do_idle",
    "schedule",
    "__schedule",
    "try_to_wake",
    "ttwu",
    "wake_up",
    "__wake_up",
    "default_wake",
    "pollwake",
    "do_sys_poll",
    "do_poll",
    "__pollwait",
    "poll_",
    "pick_next",
    "update_",
    "enqueue",
    "dequeue",
    "select_task",
    "set_next",
    "put_prev",
    "__switch_to",
    "switch_mm",
    "finish_task",
    "prepare_to",
    "finish_wait",
    "tick_",
    "hrtimer",
    "__hrtimer",
    "load_new_mm",
    "pvclock",
    "sched",
    "native_",
    "default_idle",
    "cpuidle",
    "do_ppoll",
    "__x64_sys_ppoll",
    "autoremove",
    "context_switch",
    "check_preempt",
    "psi_",
    "__update_load",
    "rcu_note_context",
    "load_TLS",
    "resched",
    "arch_cpu_idle",
];

/// Names for the addresses of the machine.
pub(crate) struct Map {
    machine: Names,
    /// The device model's code, of which there may be none.
    model: Vec<Range<u64>>,
}

impl Map {
    /// With the names of Xen and of dom0's kernel.
    pub(crate) fn of(bed: &Bed) -> Outcome<Self> {
        Ok(Self { machine: Names::of(&dom0(bed, MACHINE)?), model: Vec::new() })
    }

    /// Learns where the device model of a domain has its code. A domain without one has none.
    pub(crate) fn learn_model(&mut self, bed: &Bed, domid: u32) -> Outcome {
        let script = format!(
            "pid=$(xenstore-read /local/domain/{domid}/image/device-model-pid 2>/dev/null) || exit 0
             cat /proc/$pid/maps"
        );
        self.model = dom0(bed, &script)?.lines().filter_map(code).collect();
        Ok(())
    }

    fn step(&self, address: u64) -> Step {
        if address >> 36 == XEN {
            let name = self.machine.name(address);
            let fits = |(_, starts): &&(Step, &[&str])| starts.iter().any(|start| name.starts_with(start));
            return OF_XEN.iter().find(fits).map_or(Step::Xen, |(step, _)| *step);
        }
        if address >= KERNEL {
            let name = self.machine.name(address);
            let is_event = OF_KERNEL.iter().any(|start| name.starts_with(start));
            return if is_event { Step::KernelEvent } else { Step::Kernel };
        }
        let is_model = self.model.iter().any(|code| code.contains(&address));
        if is_model { Step::Model } else { Step::Program }
    }

    /// Instructions a unit by step.
    pub(crate) fn steps(&self, reading: &Reading, units: f64) -> BTreeMap<Step, f64> {
        let mut sums: BTreeMap<Step, f64> = BTreeMap::new();
        for (_, block) in reading.addresses() {
            *sums.entry(Step::Guest).or_default() += block.instructions as f64 / units;
        }
        for (address, instructions) in reading.elsewhere() {
            *sums.entry(self.step(address)).or_default() += instructions as f64 / units;
        }
        sums
    }

    /// How often a function of Xen's was called, a unit: each call begins a block of code.
    pub(crate) fn calls(&self, reading: &Reading, function: &str, units: f64) -> f64 {
        let is_it = |(address, _): &(u64, u64)| self.machine.begins(*address) == Some(function);
        reading.runs_elsewhere().filter(is_it).map(|(_, runs)| runs).sum::<u64>() as f64 / units
    }

    /// The functions that took most outside of the guest, a line each: instructions a unit, step, name.
    pub(crate) fn table(&self, reading: &Reading, units: f64) -> String {
        let mut sums: BTreeMap<(Step, &str), f64> = BTreeMap::new();
        for (address, instructions) in reading.elsewhere() {
            let name = if address < KERNEL { "a program" } else { self.machine.name(address) };
            *sums.entry((self.step(address), name)).or_default() += instructions as f64 / units;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        let line = |((step, name), sum): ((Step, &str), f64)| format!("{sum:.1}\t{}\t{name}\n", step.name());
        sums.into_iter().take(LISTED).map(line).collect()
    }
}

/// Functions that are listed.
const LISTED: usize = 200;

/// The addresses of a line of `/proc/PID/maps`, if there is code in it: `7f00-7f80 r-xp …`.
fn code(line: &str) -> Option<Range<u64>> {
    let mut fields = line.split_whitespace();
    let (first, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()?.contains('x');
    let number = |text| u64::from_str_radix(text, 16).ok();
    is_code.then_some(number(first)?..number(end)?)
}
