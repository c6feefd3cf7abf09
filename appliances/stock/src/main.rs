//! Echo (RFC 862) on TCP port 7, with nothing of `net`: a plain smoltcp `Interface` and `SocketSet` on the vif.

#![no_std]
#![no_main]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]
extern crate alloc;
use alloc::vec;
use kernel::net::Iteration;
use kernel::netfront::{NetDevice, Nic as _};
use kernel::{DomU, System, xen::SystemTime};
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

async fn run(system: System) {
    match system.bare_vif(0).await {
        Ok(device) => serve(&system, device),
        Err(error) => kernel::log::error!("vif 0: {error}"),
    }
    core::future::pending().await
}

fn serve(system: &System, mut device: NetDevice<DomU>) {
    let mut config = Config::new(HardwareAddress::Ethernet(device.mac()));
    config.random_seed = system.random_u64();
    let mut iface = Interface::new(config, &mut device, at(system.now()));
    let mut sockets = SocketSet::new(vec![]);
    let dhcp = sockets.add(dhcpv4::Socket::new());
    let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
    let echoes = [(); 2].map(|()| sockets.add(tcp::Socket::new(buffer(), buffer()))); // One may be closing.
    system.each_iteration(move |now| {
        device.reap();
        let changed = iface.poll(at(now), &mut device, &mut sockets) == PollResult::SocketStateChanged;
        if let Some(event) = sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            lease(&mut iface, event);
        }
        echoes.iter().for_each(|echo| bounce(sockets.get_mut(*echo)));
        let maintenance = device.maintain(now);
        device.flush();
        let more = device.final_check() || changed;
        let delay = iface.poll_delay(at(now), &sockets).filter(|_| !device.tx_exhausted());
        let next = delay.map(|delay| now.after(delay.total_micros().saturating_mul(1000)));
        Iteration { next: next.into_iter().chain(maintenance).min(), more }
    });
}

fn at(now: SystemTime) -> Instant {
    Instant::from_micros(i64::try_from(now.0 / 1000).unwrap_or(i64::MAX))
}

fn lease(iface: &mut Interface, event: dhcpv4::Event<'_>) {
    iface.update_ip_addrs(|addresses| addresses.clear());
    let dhcpv4::Event::Configured(config) = event else { return };
    iface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::Ipv4(config.address)));
    _ = config.router.map(|router| iface.routes_mut().add_default_ipv4_route(router));
    kernel::log::info!("net: DHCP lease {}; listening on port 7 (TCP)", config.address);
}

/// Sends back what was received, as far as there is room.
fn bounce(socket: &mut tcp::Socket<'_>) {
    if !socket.is_open() {
        _ = socket.listen(7);
    }
    let room = socket.send_capacity().saturating_sub(socket.send_queue());
    let mut bytes = vec![0; room.min(socket.recv_queue())];
    if socket.recv_slice(&mut bytes).is_ok() {
        _ = socket.send_slice(&bytes);
    }
    if socket.may_send() && !socket.may_recv() && socket.recv_queue() == 0 {
        socket.close();
    }
}

kernel::main!(run);
kernel::note!();
