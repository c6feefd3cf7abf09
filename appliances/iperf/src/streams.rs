//! The streams of a test: bytes in, bytes out, datagrams in, datagrams out. Each runs until it is dropped.

use alloc::rc::Rc;
use alloc::vec;
use core::cell::{Cell, RefCell};
use iperf::datagram::{Head, Tally};
use iperf::session::Params;
use kernel::System;
use kernel::net::{IpEndpoint, TcpStream, UdpSocket};

/// What one stream came to so far, shared between it and who reports it.
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

/// Takes what comes, and looks at none of it.
pub(crate) async fn sink(mut stream: TcpStream, count: Rc<Count>) {
    while let Ok(len @ 1..) = stream.read_with(|piece| (piece.len(), piece.len())).await {
        count.add(len);
    }
}

/// Sends as much as the connection takes. The bytes are what the buffer held before: zeros, and only ever this
/// stream's own.
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

/// Sends datagrams at the rate that was asked for.
pub(crate) async fn datagrams(
    system: &System,
    params: &Params,
    socket: &UdpSocket,
    peer: IpEndpoint,
    count: Rc<Count>,
) {
    let mut buffer = vec![0; usize::try_from(params.len).unwrap_or(0)];
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
