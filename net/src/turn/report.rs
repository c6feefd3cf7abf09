//! The state as plain data, and tasks that wait for an address.

use alloc::vec::Vec;
use core::task::{Context, Poll};

use smoltcp::wire::{EthernetAddress, IpEndpoint};
use tcp::tuple::FourTuple;

use crate::base::status::{NetStatus, TcpStatus};
use crate::tcp::conn::Conn;
use crate::turn::state::State;

impl State {
    /// Hardware address and MTU in bytes.
    pub(crate) const fn link(&self) -> (EthernetAddress, usize) {
        (self.me.mac, self.link.mtu)
    }

    /// Ready when there is an address of either family, or with `both` one of each.
    pub(crate) fn poll_configured(&mut self, cx: &Context<'_>, both: bool) -> Poll<()> {
        let (v4, v6) = (self.me.address.is_some(), self.me.six.is_configured());
        if (v4 && v6) || (!both && (v4 || v6)) {
            return Poll::Ready(());
        }
        self.v4.register(cx.waker());
        Poll::Pending
    }

    /// The state of the stack now.
    pub(crate) fn status(&self) -> NetStatus {
        NetStatus {
            mac: self.me.mac,
            hostname: self.v4.hostname.clone(),
            link_up: self.link_up,
            mtu: self.link.mtu,
            address: self.me.address,
            gateway: self.v4.routes.gateway(),
            ipv6: self.ip6.status(),
            ipv6_gateway: self.me.six.gateway(),
            dns: self.v4.dns.clone(),
            ntp: self.v4.ntp.clone(),
            neighbours: self.neighbours.len(),
            dhcp: self.v4.status(self.now),
            connections: self.tcp.len(),
            half_open: self.tcp.half_open_len(),
            time_wait: self.tcp.time_wait_len(),
            listeners: self.tcp.ports().len(),
            udp_sockets: self.udp.len(),
            counters: self.counters,
            tcp: self.tcp.engine(),
            drops: self.drops,
        }
    }

    /// The first `limit` TCP connections, in the order of their slots.
    pub(crate) fn tcp_connections(&self, limit: usize) -> Vec<TcpStatus> {
        let count = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let one = |(tuple, conn): (FourTuple, &Conn)| TcpStatus {
            local: IpEndpoint::new(tuple.local, tuple.local_port),
            remote: IpEndpoint::new(tuple.remote, tuple.remote_port),
            state: conn.state_name(),
            unread: count(conn.tcb.receive_queued()),
            unacknowledged: count(conn.tcb.send_queued()),
            silent_for: self.tcp.silence(conn),
        };
        self.tcp.iter().take(limit).map(one).collect()
    }

    /// The ports with a listener for TCP connections.
    pub(crate) fn tcp_listeners(&self) -> Vec<u16> {
        self.tcp.ports()
    }
}
