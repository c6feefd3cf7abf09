//! The streams of a test: bytes or datagrams, in or out. Each runs until it is dropped.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use iperf::datagram::{Head, Tally};
use iperf::session::Params;
use kernel::System;
use kernel::net::{IpEndpoint, TcpStream, UdpSocket};

/// The counters of a stream, shared with the report.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) bytes: Cell<u64>,
    pub(crate) packets: Cell<u64>,
    pub(crate) tally: RefCell<Tally>,
}

impl Count {
    fn add(&self, len: usize) {
        self.bytes.set(self.bytes.get().saturating_add(u64::try_from(len).unwrap_or(0)));
    }
}

/// A buffer whose size a client has chosen; `None` if memory is short.
pub(crate) fn zeros(len: usize) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).ok()?;
    buffer.resize(len, 0);
    Some(buffer)
}

/// Reads and discards.
pub(crate) async fn sink(mut stream: TcpStream, count: Rc<Count>) {
    while let Ok(len @ 1..) = stream.read_with(|piece| (piece.len(), piece.len())).await {
        count.add(len);
    }
}

/// Sends as fast as the connection takes it. The bytes are the former contents of the send buffer: zeros, or what this
/// stream has sent before.
pub(crate) async fn source(mut stream: TcpStream, count: Rc<Count>) {
    while let Ok(len) = stream.write_with(|piece| (piece.len(), piece.len())).await {
        count.add(len);
    }
}

/// Counts a datagram of a stream.
pub(crate) fn datagram(system: &System, params: &Params, datagram: &[u8], count: &Count) {
    if let Some(head) = Head::parse(datagram, params.udp_counters_64bit != 0) {
        let now = system.now().0 / 1000;
        count.tally.borrow_mut().count(head.number, head.microseconds, now, datagram.len());
    }
}

/// Sends datagrams at the rate of the client's parameters.
pub(crate) async fn datagrams(
    system: &System,
    params: &Params,
    socket: &UdpSocket,
    peer: IpEndpoint,
    count: Rc<Count>,
) {
    let Some(mut buffer) = zeros(usize::try_from(params.len).unwrap_or(0)) else {
        kernel::log::warn!("iperf3: no memory for datagrams of {} bytes", params.len);
        return;
    };
    let started = system.now();
    loop {
        let sent = count.packets.get();
        let bits = u128::from(count.bytes.get()).saturating_mul(8_000_000_000);
        if let Some(due) = bits.checked_div(u128::from(params.bandwidth)) {
            system.sleep_until(started.after(u64::try_from(due).unwrap_or(u64::MAX))).await;
        }
        let head = Head { microseconds: system.now().0 / 1000, number: sent.saturating_add(1) };
        head.emit(&mut buffer, params.udp_counters_64bit != 0);
        if let Err(error) = socket.send_to(&buffer, peer).await {
            kernel::log::warn!("iperf3: datagrams to {peer}: {error}");
            return;
        }
        count.packets.set(sent.saturating_add(1));
        count.add(buffer.len());
    }
}
