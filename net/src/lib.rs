//! smoltcp put to work: one interface, its addresses, and connections by the thousand as async sockets.
//!
//! ```text
//!   applications:   TcpListener   TcpStream   UdpSocket            Net: Rc, single-threaded
//!                        │            │           │
//!   sets of sockets:     └► one per connection ◄┐ └► one for the rest, DHCP included
//!                                    │          │demux by 4-tuple, before smoltcp sees the frame
//!   schedule:              dirty list, timers   │
//!                                    │          │
//!   Stack::turn:           reap ─► receive ─► deadlines ─► transmit ─► flush ─► final check
//!                                    │          ▲
//!   nic::Nic                         ▼          │
//! ```
//!
//! smoltcp looks at every socket of a set for every frame and in every poll. Given one set for each connection, and a
//! list of those that have something to do, it looks at one: the cost of a request does not grow with the number of
//! idle connections.
//!
//! What it does not do: sending datagrams longer than the MTU or what their path takes, putting IPv6 fragments together, name resolution, more
//! than one IPv4 address. Its neighbours: below it [`nic`], above it the kernel's loop and the appliances.

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
pub use api::stack::{Stack, Turn};
pub use api::tap::Tap;
pub use api::udp_socket::UdpSocket;
pub use base::config::{Addressing, Config, Ipv6Addressing, Limits, Probing};
pub use base::counters::{Counters, DropReason, Drops};
pub use base::error::NetError;
pub use base::options::{TcpOptions, UdpOptions};
pub use base::rng::Rng;
pub use base::status::{DhcpStatus, Ipv6State, Ipv6Status, NetStatus, TcpStatus};
pub use frame::local::is_unicast_v6 as is_ipv6_unicast;
pub use nic::Packet;
pub use smoltcp::wire::{
    EthernetAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr,
};
pub use tcp::half::{TcpReader, TcpWriter};
pub use tcp::listener::TcpListener;
pub use tcp::stream::TcpStream;
pub use udp::datagram::Datagram;
