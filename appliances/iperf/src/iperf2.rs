//! iperf (2): received bytes are counted.

use iperf::datagram::{Place, Tally, iperf2_place, iperf2_report, iperf2_sent};
use kernel::System;
use kernel::net::{IpEndpoint, TcpStream, UdpSocket};

/// Reads a connection to its end.
pub(crate) async fn connection(system: System, mut stream: TcpStream) {
    let started = system.now();
    let mut bytes = 0_usize;
    while let Ok(len @ 1..) = stream.read_with(|piece| (piece.len(), piece.len())).await {
        bytes = bytes.saturating_add(len);
    }
    let ms = system.now().since(started) / 1_000_000;
    kernel::log::info!("iperf: {bytes} bytes in {ms} ms from {}", stream.peer());
    // A client that is gone has no use for an orderly end.
    let _ = stream.close().await;
}

/// One stream of datagrams at a time; a new sender begins a new one.
pub(crate) async fn datagrams(system: System, socket: UdpSocket) {
    let mut current: Option<(IpEndpoint, Tally, u64)> = None;
    while let Ok(received) = socket.recv_owned().await {
        let (datagram, peer) = (received.payload(), received.from());
        let now = system.now().0 / 1000;
        let (_, tally, started) = match &mut current {
            Some(stream) if stream.0 == peer => stream,
            slot => slot.insert((peer, Tally::default(), now)),
        };
        match iperf2_place(datagram) {
            Some(Place::Number(number)) => {
                tally.count(number.saturating_add(1), iperf2_sent(datagram), now, datagram.len());
            }
            Some(Place::Last) => {
                let report = iperf2_report(datagram, tally, now.saturating_sub(*started));
                // A lost report is requested again.
                let _ = socket.send_to(&report, peer).await;
            }
            None => {}
        }
    }
}
