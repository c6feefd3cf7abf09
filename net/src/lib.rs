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
//!   netfront::Nic                    ▼          │
//! ```
//!
//! smoltcp looks at every socket of a set for every frame and in every poll. Given one set for each connection, and a
//! list of those that have something to do, it looks at one: the cost of a request does not grow with the number of
//! idle connections.
//!
//! What it does not do: sending datagrams longer than the MTU or what their path takes, putting IPv6 fragments together, name resolution, more
//! than one IPv4 address. Its neighbours: below it [`netfront`], above it the kernel's loop and the appliances.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

mod address;
mod arp;
mod classify;
mod config;
mod demux;
mod egress;
mod error;
mod fragments;
mod ingress;
mod ip6;
mod net;
mod options;
mod path;
mod rng;
mod sched;
mod stack;
mod state;
mod status;
mod tap;
mod tcp;
mod time;
mod udp;

pub use config::{Addressing, Config, Ipv6Addressing, Limits};
pub use error::NetError;
pub use ip6::is_unicast as is_ipv6_unicast;
pub use net::Net;
pub use netfront::Packet;
pub use options::{TcpOptions, UdpOptions};
pub use rng::Rng;
pub use smoltcp::wire::{
    EthernetAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr,
};
pub use stack::{Stack, Turn};
pub use status::{Counters, DhcpStatus, DropReason, Ipv6State, Ipv6Status, NetStatus, TcpStatus};
pub use tap::Tap;
pub use tcp::half::{TcpReader, TcpWriter};
pub use tcp::listener::TcpListener;
pub use tcp::stream::TcpStream;
pub use udp::datagram::Datagram;
pub use udp::socket::UdpSocket;
