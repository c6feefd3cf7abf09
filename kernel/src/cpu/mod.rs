//! The processor: descriptor tables, interrupt stubs, the hypercall instruction, the timestamp counter, the debug port.
//!
//! Nothing here knows Xen's data structures or the rest of the kernel. A fault handler comes as a pointer ([`idt::load`]).

#[cfg(target_os = "none")]
pub(crate) mod early_console;
#[cfg(target_os = "none")]
pub(crate) mod gdt;
#[cfg(target_os = "none")]
pub(crate) mod hypercall;
pub(crate) mod hypercall_kind;
#[cfg(target_os = "none")]
pub(crate) mod idt;
#[cfg(target_os = "none")]
pub(crate) mod on_cpu;
#[cfg(any(test, target_os = "none"))]
pub(crate) mod tsc;
#[cfg(any(test, target_os = "none"))]
pub(crate) mod vendor;
