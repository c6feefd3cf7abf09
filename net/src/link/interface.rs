//! smoltcp interfaces: one for each set of capabilities that a connection may need.

use alloc::boxed::Box;
use alloc::vec;

use nic::Nic;
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::base::rng::Rng;

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
    Box::new(Interface::new(config, &mut Abilities(abilities), now))
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

/// A device that gives one frame; answers go nowhere.
pub(crate) struct Ear<'a> {
    pub(crate) frame: Option<&'a [u8]>,
    pub(crate) abilities: &'a DeviceCapabilities,
}

pub(crate) struct Heard<'a>(&'a [u8]);
pub(crate) struct Unsaid;

impl RxToken for Heard<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Unsaid {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, build: F) -> R {
        build(&mut vec![0; len])
    }
}

impl Device for Ear<'_> {
    type RxToken<'a>
        = Heard<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Unsaid
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Heard<'_>, Unsaid)> {
        self.frame.take().map(|frame| (Heard(frame), Unsaid))
    }

    fn transmit(&mut self, _: Instant) -> Option<Unsaid> {
        Some(Unsaid)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.abilities.clone()
    }
}

/// A device that gives one frame that was rebuilt; answers go out.
pub(crate) struct Replay<'a, N> {
    pub(crate) frame: Option<&'a [u8]>,
    pub(crate) nic: &'a mut N,
}

impl<N: Nic> Device for Replay<'_, N> {
    type RxToken<'a>
        = Heard<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = N::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Heard<'_>, N::TxToken<'_>)> {
        let token = self.nic.transmit(now)?;
        self.frame.take().map(|frame| (Heard(frame), token))
    }

    fn transmit(&mut self, now: Instant) -> Option<N::TxToken<'_>> {
        self.nic.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.nic.capabilities()
    }
}
