//! Addresses of this host: DHCP, static configuration, IPv6.

pub(crate) mod dhcp;
pub(crate) mod ip6;
