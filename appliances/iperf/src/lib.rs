//! The messages of iperf and iperf3, as bytes: nothing here sends or waits.
//!
//! ```text
//!   session   iperf3's control connection: states, parameters, results
//!   datagram  the heads of UDP datagrams, both programs' kinds, and the tally of a stream of them
//! ```
//!
//! Source: iperf3 3.12 (`iperf_api.h`, `iperf_udp.h`) and iperf 2.1.8 (`payloads.h`), by their behaviour on the wire.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

pub mod datagram;
pub mod session;
