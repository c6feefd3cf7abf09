//! The images on real Xen: each test restores a machine with dom0, starts guests on it, and ends it.
//!
//! One program rather than one a theme: linking each costs more than the tests themselves need to start.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a program of the host: the standard library, and numbers far from overflow"
)]

mod boot;
mod echo;
mod ends;
mod vif;
mod web;
