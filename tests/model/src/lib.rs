//! Models that try everything; the tests are in `tests/`.
//!
//! | file | what | how |
//! |---|---|---|
//! | `arithmetic.rs` | the indexes of a ring | every state of a ring with 8-bit indexes, against plain integers |
//! | `notify.rs` | who is woken when requests or responses are pushed | loom: every order of the memory accesses |
//! | `sleep.rs` | the last look before a vCPU sleeps | loom |
//!
//! The arithmetic is the ring's own ([`xen::ring::arith`](../xen/ring/arith/index.html)). The orders are modelled: the
//! steps of `xen::ring`, `xen::evtchn` and `kernel::idt`, line by line, as loom has them. Each model also runs with one
//! of its defences taken out, and then must find what it is there to find.

#![forbid(unsafe_code)]
