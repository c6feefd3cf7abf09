//! Echo (RFC 862) on port 7: TCP and UDP payload goes back to its sender.

#![no_std]
#![no_main]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]
extern crate alloc;

use alloc::vec::Vec;
use core::time::Duration;
use embedded_io_async::{Read as _, Write as _};
use kernel::System;
use kernel::ledger::Consumer;
use kernel::net::{Net, NetError, TcpOptions, TcpStream, UdpOptions, UdpSocket};

const PORT: u16 = 7;
const BUFFER: usize = 16 * 1024;

async fn run(system: System) {
    let spawner = system.clone();
    system.each_net(move |net| {
        let system = spawner.clone();
        spawner.spawn(async move {
            if let Err(error) = echo(&system, net).await {
                kernel::log::error!("port {PORT}: {error}");
            }
        });
    });
    core::future::pending().await
}

async fn echo(system: &System, net: Net) -> Result<(), NetError> {
    // A client that has vanished is noticed after a minute of silence.
    let keep_alive = Some(Duration::from_secs(60));
    let listener = net.tcp_listen(PORT, TcpOptions { keep_alive, ..TcpOptions::default() })?;
    system.spawn(datagrams(net.udp_bind(PORT, UdpOptions { in_place: true, ..UdpOptions::default() })?));
    kernel::log::info!("listening on port {PORT} (TCP and UDP)");
    let account = system.ledger().open(Consumer::Appliance);
    loop {
        let stream = listener.accept().await;
        // Clients decide how many connections there are. One for which memory is short ends here.
        if let Err(refused) = system.try_spawn(&account, BUFFER, async { _ = connection(stream).await }) {
            kernel::log::debug!("a connection: {refused}");
        }
    }
}

async fn connection(mut stream: TcpStream) -> Result<(), NetError> {
    let mut buffer = Vec::new();
    // It is reserved, and the heap may have no piece of this length.
    if buffer.try_reserve_exact(BUFFER).is_err() {
        stream.abort();
        return Ok(());
    }
    buffer.resize(BUFFER, 0);
    while let len @ 1.. = stream.read(&mut buffer).await? {
        stream.write_all(buffer.get(..len).unwrap_or_default()).await?;
    }
    stream.close().await
}

async fn datagrams(socket: UdpSocket) {
    loop {
        // UDP may lose an answer. The datagram stays in its page until the answer is sent.
        if let Ok(datagram) = socket.recv_owned().await {
            _ = socket.send_to(datagram.payload(), datagram.from()).await;
        }
    }
}

kernel::main!(run);
kernel::note!();
