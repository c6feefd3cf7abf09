//! iperf3's server on port 5201 and iperf's on port 5001, TCP and UDP.
//!
//! ```text
//!   5201/tcp ─► cookie ─┬─ new, nobody here ──► control: one test at a time
//!                       ├─ the test's ────────► one of its streams
//!                       └─ another ───────────► ACCESS_DENIED
//!   5201/udp ─► greeting ─► one of the test's streams
//!   5001/tcp ─► read to the end       5001/udp ─► counted, the last one answered with a report
//! ```

#![cfg_attr(bare, no_std, no_main)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

#[cfg(bare)]
extern crate alloc;

#[cfg(bare)]
mod control;
#[cfg(bare)]
mod iperf2;
#[cfg(bare)]
mod streams;

#[cfg(bare)]
mod guest {
    use crate::control::Server;
    use crate::iperf2;
    use alloc::rc::Rc;
    use core::future::Future;
    use core::time::Duration;
    use kernel::System;
    use kernel::ledger::Consumer;
    use kernel::net::{NetError, TcpOptions, UdpOptions};

    const IPERF3: u16 = 5201;
    const IPERF2: u16 = 5001;

    /// Room for several frames of 64 KiB each way. A client that has vanished is noticed within a minute.
    fn bulk() -> TcpOptions {
        TcpOptions {
            rx_buffer: 256 * 1024,
            tx_buffer: 256 * 1024,
            keep_alive: Some(Duration::from_secs(15)),
            timeout: Some(Duration::from_secs(45)),
            ..TcpOptions::default()
        }
    }

    fn datagrams() -> UdpOptions {
        UdpOptions {
            rx_packets: 512,
            rx_bytes: 512 * 1024,
            tx_packets: 128,
            tx_bytes: 256 * 1024,
            ..UdpOptions::default()
        }
    }

    async fn run(system: System) {
        if let Err(error) = serve(&system).await {
            kernel::log::error!("ports {IPERF3} and {IPERF2}: {error}");
        }
    }

    async fn serve(system: &System) -> Result<(), NetError> {
        let net = system.net().await;
        let listener = net.tcp_listen(IPERF3, bulk())?;
        let server = Rc::new(Server::new(system, net.udp_bind(IPERF3, datagrams())?));
        let old = net.tcp_listen(IPERF2, bulk())?;
        system.spawn(iperf2::datagrams(system.clone(), net.udp_bind(IPERF2, datagrams())?));
        let inner = system.clone();
        system.spawn(async move {
            loop {
                let stream = old.accept().await;
                begin(&inner, iperf2::connection(inner.clone(), stream));
            }
        });
        kernel::log::info!("listening on port {IPERF3} (iperf3) and {IPERF2} (iperf), TCP and UDP");
        loop {
            let stream = listener.accept().await;
            let server = Rc::clone(&server);
            begin(system, async move { server.connection(stream).await });
        }
    }

    /// Starts the task of a connection; without memory for it the connection ends. Clients decide how many there are.
    fn begin(system: &System, connection: impl Future<Output = ()> + 'static) {
        if let Err(refused) = system.try_spawn(&system.ledger().open(Consumer::Appliance), 0, connection) {
            kernel::log::debug!("a connection: {refused}");
        }
    }

    kernel::main!(run);
    kernel::note!();
}

/// Tests build every binary for the host too.
#[cfg(not(bare))]
fn main() {}
