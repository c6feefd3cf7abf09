//! What iperf and iperf3 say to each other, as bytes: nothing here sends or waits.
//!
//! ```text
//!   session   iperf3's control connection: states, parameters, results
//!   datagram  the heads of UDP datagrams, both programs' kinds, and the tally of a stream of them
//! ```
//!
//! Source: iperf3 3.12 (`iperf_api.h`, `iperf_udp.h`) and iperf 2.1.8 (`payloads.h`), by their behaviour on the wire.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod datagram;
pub mod session;
