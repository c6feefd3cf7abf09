//! The network stack: one interface, its addresses, and connections as async sockets.
//!
//! ```text
//!   api      Net, TcpListener, TcpStream, UdpSocket, Tap     Stack: the kernel's loop
//!                      │                                       │
//!   turn     State: frame in ─► classify ─► socket, connection, neighbour table, DHCP ─► frame out
//!                      │
//!   tcp, addr, udp     connections over the engine, address sources, queues
//!   frame    what a frame is; reassembly; packets that are sent
//!   link     neighbour table, ARP and neighbour discovery
//!   base     configuration, errors, counters, time
//! ```
//!
//! A file imports its own group and those below. TCP's protocol is the crate `tcp`; wire formats are smoltcp's.
//!
//! What it does not do: sending datagrams longer than the MTU, name resolution, more than one IPv4 address, routing
//! between interfaces.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

mod addr;
mod api;
mod base;
mod frame;
mod link;
mod tcp;
mod turn;
mod udp;

pub use addr::routes::{GatewayError, check_gateway};
pub use api::net::Net;
pub use api::stack::{Iteration, Stack};
pub use api::tap::Tap;
pub use api::tcp_listener::TcpListener;
pub use api::tcp_stream::{TcpReader, TcpStream, TcpWriter};
pub use api::udp_socket::UdpSocket;
pub use base::chunk::Chunk;
pub use base::config::{Addressing, Config, Ipv6Addressing, Limits, Probing};
pub use base::counters::{Counters, DropReason, Drops};
pub use base::error::NetError;
pub use base::observer::Observer;
pub use base::options::{TcpOptions, UdpOptions};
pub use base::rng::Rng;
pub use base::status::{DhcpStatus, Ipv6State, Ipv6Status, NetStatus, TcpStatus};
pub use bytes::Bytes;
pub use frame::local::is_unicast_v6 as is_ipv6_unicast;
pub use nic::Packet;
pub use smoltcp::wire::{
    EthernetAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr,
};
pub use udp::datagram::Datagram;
