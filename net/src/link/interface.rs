//! smoltcp interfaces: one for each set of capabilities that a connection may need.

use alloc::boxed::Box;

use nic::Nic;
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::base::rng::Rng;

/// How long the first fragments of a datagram wait for the others. With smoltcp's default of a minute, a few incomplete
/// datagrams block its reassembly buffers.
const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the one real interface is told that its device can: not to cut TCP over IPv6, see [`crate::path`].
pub(crate) fn abilities<N: Nic>(nic: &N) -> DeviceCapabilities {
    let mut abilities = nic.capabilities();
    abilities.segmentation.tcpv6 = None;
    abilities
}

/// An interface for a device with these capabilities. It is several KiB, too large for the call stack.
#[inline(never)]
pub(crate) fn interface(
    abilities: DeviceCapabilities,
    mac: &EthernetAddress,
    rng: &mut Rng,
    now: Instant,
) -> Box<Interface> {
    let mut config = Config::new((*mac).into());
    config.random_seed = rng.next_u64();
    let mut iface = Box::new(Interface::new(config, &mut Abilities(abilities), now));
    iface.set_reassembly_timeout(REASSEMBLY_TIMEOUT);
    iface
}

/// An interface that verifies every checksum, if the device's own does not.
pub(crate) fn strict<N: Nic>(nic: &N, rng: &mut Rng, now: Instant) -> Option<Box<Interface>> {
    let mut abilities = abilities(nic);
    if abilities.checksum.tcp.rx() {
        return None;
    }
    for checksum in [&mut abilities.checksum.tcp, &mut abilities.checksum.udp] {
        *checksum = if checksum.tx() { Checksum::Both } else { Checksum::Rx };
    }
    Some(interface(abilities, &nic.mac(), rng, now))
}

/// An interface for long packets of IPv6, if the device cuts them.
pub(crate) fn wide<N: Nic>(nic: &N, rng: &mut Rng, now: Instant) -> Option<Box<Interface>> {
    let mut abilities = nic.capabilities();
    let header = abilities.max_transmission_unit.saturating_sub(abilities.ip_mtu());
    abilities.max_transmission_unit = abilities.segmentation.tcpv6?.get().saturating_add(header);
    Some(interface(abilities, &nic.mac(), rng, now))
}

/// A device with these capabilities that neither gives nor takes a frame.
pub(crate) struct Abilities(pub(crate) DeviceCapabilities);

pub(crate) enum Never {}

impl RxToken for Never {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, _: F) -> R {
        match self {}
    }
}

impl TxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
        match self {}
    }
}

impl Device for Abilities {
    type RxToken<'a> = Never;
    type TxToken<'a> = Never;

    fn receive(&mut self, _: Instant) -> Option<(Never, Never)> {
        None
    }

    fn transmit(&mut self, _: Instant) -> Option<Never> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}
