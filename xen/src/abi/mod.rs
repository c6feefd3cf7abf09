//! Layouts and numbers of Xen's public headers (Xen 4.17, x86-64), one file per header.
//!
//! Nothing here acts: no pointer, no hypercall, no shared memory and no `unsafe`. A type is the bytes that
//! Xen or another domain reads and writes; a number from a peer becomes a type only through `TryFrom`.
//!
//! | file | header in `xen/include/public/` | holds |
//! |------|---------------------------------|-------|
//! | [`xen`] | `xen.h`, `arch-x86/xen*.h` | hypercall numbers, `shared_info`, `vcpu_info`, domids, VIRQs |
//! | [`cpuid`] | `arch-x86/cpuid.h` | how a guest finds Xen |
//! | [`elfnote`] | `elfnote.h` | what a kernel says to Xen's loaders |
//! | [`errno`] | `errno.h` | why a hypercall failed |
//! | [`event_channel`] | `event_channel.h` | `EVTCHNOP_*` |
//! | [`features`] | `features.h` | what Xen can do for the guest |
//! | [`grant_table`] | `grant_table.h` | the v1 entry, `GNTTABOP_*`, `GNTST_*` |
//! | [`hvm_op`] | `hvm/hvm_op.h` | `HVMOP_*` |
//! | [`hvm_params`] | `hvm/params.h` | `HVM_PARAM_*` |
//! | [`hvm_start_info`] | `arch-x86/hvm/start_info.h` | what a PVH guest is started with |
//! | [`io_console`] | `io/console.h` | the console's ring page |
//! | [`io_libxenvchan`] | `io/libxenvchan.h` | the control page of a vchan |
//! | [`io_netif`] | `io/netif.h` | the network protocol |
//! | [`io_ring`] | `io/ring.h` | the shared ring's header and size |
//! | [`io_xenbus`] | `io/xenbus.h` | device states |
//! | [`io_xs_wire`] | `io/xs_wire.h` | xenstore's messages and ring page |
//! | [`memory`] | `memory.h` | `XENMEM_*` |
//! | [`sched`] | `sched.h` | `SCHEDOP_*`, why a domain stops |
//! | [`vcpu`] | `vcpu.h` | `VCPUOP_*` |
//! | [`version`] | `version.h` | `XENVER_*` |
//!
//! Names are Xen's, in Rust's form, with the C name as a `doc(alias)`: searching these docs for
//! `netif_tx_request` or `GNTST_bad_page` finds the item. Fields keep their C name, except `type`, which is
//! a Rust keyword and becomes `kind`. All numbers are little endian, as the machine is.
//!
//! `tests/abi` compiles C against Xen's own headers and compares every size, offset and number of this module.
#![forbid(unsafe_code)]

mod layout;
mod number;

pub mod cpuid;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod hvm_op;
pub mod hvm_params;
pub mod hvm_start_info;
pub mod io_console;
pub mod io_libxenvchan;
pub mod io_netif;
pub mod io_ring;
pub mod io_xenbus;
pub mod io_xs_wire;
pub mod memory;
pub mod sched;
pub mod vcpu;
pub mod version;
pub mod xen;

pub use number::Unknown;
