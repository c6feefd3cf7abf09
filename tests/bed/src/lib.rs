//! The test bed: real Xen on any Debian machine, for tests and for people.
//!
//! Xen, its toolstack and a Linux dom0 run in QEMU, emulated if necessary. Everything comes from Debian's packages by
//! name, is built once, kept in `build/bed/` and frozen in a snapshot, so that a test on real Xen takes seconds:
//!
//! ```no_run
//! use bed::{Bed, DomainConfig, Options};
//! use std::time::Duration;
//!
//! # fn main() -> bed::Result<()> {
//! let bed = Bed::start(Options::default())?;
//! let guest = bed.create(&DomainConfig::from_file("xen.cfg")?.cmdline("host=millpond"))?;
//! let line = guest.wait_for("address", Duration::from_secs(20))?;
//! println!("{line}");
//! # Ok(()) }
//! ```
//!
//! ```text
//!  host                         QEMU ┌──────────────────────────────────────────┐
//!  test ── Bed ── QMP on stdio ───── │ Xen                                      │
//!           │                        │ dom0: agent, xl, xenstored, xenconsoled, │
//!           ├─ TCP on 127.0.0.1 ──── │   10.0.3.15   netback ── xenbr0          │
//!           │  (the agent)           │                            │  10.0.2.100 │
//!           └─ forwarded ports ───── │ 10.0.2.0/24 ───────────────┴── domU …15  │
//!                                    └──────────────────────────────────────────┘
//! ```
//!
//! [`Bed`] is the machine, [`DomainConfig`] describes a domain, [`Domain`] is a guest, [`run_test`] is the frame of a
//! test: it starts a machine, and collects all logs when the test fails. Nothing here touches the host beyond
//! `build/bed/`, ports on 127.0.0.1 and its own processes.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![allow(clippy::redundant_pub_crate, reason = "a host program: standard library, sizes far from overflow")]

mod accel;
mod agent;
mod apt;
mod cfgparse;
mod console;
mod cpio;
pub mod device_model;
mod dom0;
mod domain;
mod domcfg;
mod error;
mod hash;
mod image;
mod inner;
mod kernel;
mod lane;
pub mod linux_domu;
mod logs;
mod machine;
mod modules;
mod options;
mod packages;
mod paths;
mod progress;
mod qemu;
mod qmp;
mod release;
mod testbed;
mod vifs;
#[path = "../agent/wire.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the agent, which uses the other half")]
mod wire;
mod xl;

mod bed;
pub mod doctor;

pub use accel::Accel;
pub use agent::Output;
pub use bed::Bed;
pub use console::Pattern;
pub use dom0::SPEAK_IPV6;
pub use domain::Domain;
pub use domcfg::{DomainConfig, Value};
pub use error::{Error, Kind, Result};
pub use image::Image;
pub use lane::lanes;
pub use options::Options;
pub use paths::{bed_dir, repository};
pub use progress::Progress;
/// The regular expressions of [`Pattern`], so that tests need no crate of their own for them.
pub use regex::Regex;
pub use release::Release;
pub use testbed::{SharedBed, run_test, run_test_with};
pub use xl::{DomainState, DomainStatus};
