//! The processor: descriptor tables, interrupt stubs, the hypercall instruction, the timestamp counter, the debug port.
//!
//! Nothing here knows Xen's data structures or the rest of the kernel. A fault handler comes as a pointer ([`idt::load`]).

#[cfg(any(test, bare))]
pub(crate) mod bytes;
#[cfg(bare)]
pub(crate) mod early_console;
#[cfg(bare)]
pub(crate) mod gdt;
#[cfg(bare)]
pub(crate) mod hypercall;
pub(crate) mod hypercall_kind;
#[cfg(bare)]
pub(crate) mod idt;
#[cfg(bare)]
pub(crate) mod on_cpu;
#[cfg(any(test, bare))]
pub(crate) mod tsc;
#[cfg(any(test, bare))]
pub(crate) mod vendor;
