//! The images on real Xen: each test restores a machine with dom0, starts guests on it, and ends it.
//!
//! One program rather than one a theme: linking each costs more than the tests themselves need to start.

mod boot;
mod echo;
mod ends;
mod entropy;
mod features;
mod flood;
mod grub;
mod hash;
mod ipv6;
mod isolation;
mod memory;
mod multicast;
mod nmap;
mod path;
mod plain;
mod tls;
mod vif;
mod web;
