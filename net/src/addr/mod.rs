//! Addresses of this host: static configuration, DHCP, address conflict detection, routes, IPv6.

pub(crate) mod conflict;
pub(crate) mod dhcp;
pub(crate) mod ip6;
pub(crate) mod routes;
pub(crate) mod v4;
