//! Event channels of the 2-level kind, as Xen keeps them.
//!
//! ```text
//!   send(port) ─► the other end's pending bit ─ was clear ─► not masked? ─► selector bit ─ was clear ─► upcall pending
//! ```
//!
//! After `evtchn_2l_set_pending` of `xen/common/event_2l.c` and the operations of `xen/common/event_channel.c`, 4.17.

use crate::domain::Domain;
use crate::world::World;
use std::sync::atomic::Ordering::SeqCst;
use xen::abi::xen::offset::{shared_info, vcpu_info};
use xen::hypervisor::Virq;
use xen::{DomId, Errno, EvtchnPort};

/// Ports that a 2-level guest on x86-64 can have.
const MAX_PORTS: usize = 4096;

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Not given out.
    Free,
    /// Port 0, which means "none".
    Reserved,
    /// Waits for `remote` to bind.
    Unbound {
        /// The domain that may bind.
        remote: DomId,
    },
    /// One end of a pair.
    Interdomain {
        /// The domain at the other end.
        remote: DomId,
        /// Its port.
        port: EvtchnPort,
    },
    /// A virtual interrupt.
    Virq(Virq),
}

impl Domain {
    fn channel(&self, port: EvtchnPort) -> Option<Channel> {
        self.channels.borrow().get(port.0 as usize).copied()
    }

    fn set_channel(&self, port: EvtchnPort, channel: Channel) {
        self.channels.borrow_mut()[port.0 as usize] = channel;
    }

    /// Gives a free port out: the lowest, as Xen does.
    pub(crate) fn new_channel(&self, channel: Channel) -> Result<EvtchnPort, Errno> {
        let mut channels = self.channels.borrow_mut();
        let index = channels.iter().position(|channel| *channel == Channel::Free).unwrap_or(channels.len());
        if index >= MAX_PORTS {
            return Err(Errno::ENOSPC);
        }
        if index == channels.len() {
            channels.push(channel);
        } else {
            channels[index] = channel;
        }
        Ok(EvtchnPort(index as u32))
    }

    /// Binds a virtual interrupt.
    pub(crate) fn bind_virq(&self, virq: Virq) -> Result<EvtchnPort, Errno> {
        if self.channels.borrow().contains(&Channel::Virq(virq)) {
            return Err(Errno::EEXIST);
        }
        self.new_channel(Channel::Virq(virq))
    }

    /// `evtchn_2l_set_pending`.
    pub(crate) fn set_pending(&self, port: EvtchnPort) {
        if !self.is_guest {
            self.events.borrow_mut().insert(port);
            return;
        }
        let shared = self.shared_info();
        let (word, bit) = (port.0 as usize / 64, 1_u64 << (port.0 % 64));
        if shared.fetch_or::<u64>(shared_info::EVTCHN_PENDING + word * 8, bit) & bit != 0 {
            return;
        }
        self.count(|counters| counters.notifications_received += 1);
        if shared.load::<u64>(shared_info::EVTCHN_MASK + word * 8, SeqCst) & bit != 0 {
            return;
        }
        let selected = shared.fetch_or::<u64>(vcpu_info::EVTCHN_PENDING_SEL, 1 << word);
        if selected & (1 << word) == 0 {
            shared.store::<u8>(vcpu_info::EVTCHN_UPCALL_PENDING, 1, SeqCst);
        }
    }

    /// Takes an event of a domain without shared info; whether there was one.
    pub(crate) fn take_event(&self, port: EvtchnPort) -> bool {
        self.events.borrow_mut().remove(&port)
    }
}

impl World {
    /// `EVTCHNOP_send`.
    pub(crate) fn evtchn_send(&self, domain: &Domain, port: EvtchnPort) -> Result<(), Errno> {
        match domain.channel(port) {
            Some(Channel::Interdomain { remote, port }) => {
                if let Some(remote) = self.domain(remote) {
                    remote.set_pending(port);
                }
                Ok(())
            }
            // The other end is not bound yet: Xen drops the event.
            Some(Channel::Unbound { .. }) => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    /// `EVTCHNOP_bind_interdomain`.
    pub(crate) fn evtchn_bind(
        &self,
        domain: &Domain,
        remote: DomId,
        port: EvtchnPort,
    ) -> Result<EvtchnPort, Errno> {
        let other = self.domain(remote).ok_or(Errno::ESRCH)?;
        if other.channel(port) != Some(Channel::Unbound { remote: domain.id() }) {
            return Err(Errno::EINVAL);
        }
        let local = domain.new_channel(Channel::Interdomain { remote, port })?;
        other.set_channel(port, Channel::Interdomain { remote: domain.id(), port: local });
        // An event that was sent before may have been lost: Xen makes one pending at the binding end.
        domain.set_pending(local);
        Ok(local)
    }

    /// `EVTCHNOP_close`.
    pub(crate) fn evtchn_close(&self, domain: &Domain, port: EvtchnPort) -> Result<(), Errno> {
        match domain.channel(port) {
            None | Some(Channel::Free | Channel::Reserved) => return Err(Errno::EINVAL),
            Some(Channel::Interdomain { remote, port: other }) => {
                if let Some(remote) = self.domain(remote) {
                    remote.set_channel(other, Channel::Unbound { remote: domain.id() });
                }
            }
            Some(Channel::Unbound { .. } | Channel::Virq(_)) => {}
        }
        domain.set_channel(port, Channel::Free);
        domain.events.borrow_mut().remove(&port);
        if domain.is_guest {
            // `evtchn_2l_clear_pending`: a port that is given out again starts without an event.
            let (word, bit) = (port.0 as usize / 64, 1_u64 << (port.0 % 64));
            domain.shared_info().fetch_and::<u64>(shared_info::EVTCHN_PENDING + word * 8, !bit);
        }
        Ok(())
    }

    /// All channels of a domain that goes away.
    pub(crate) fn evtchn_close_all(&self, domain: &Domain) {
        let nr_ports = domain.channels.borrow().len();
        for port in 1..nr_ports {
            let _ = self.evtchn_close(domain, EvtchnPort(port as u32));
        }
    }

    /// The one-shot timer ran out.
    pub(crate) fn raise_timer(&self, domain: &Domain) {
        let bound =
            domain.channels.borrow().iter().position(|channel| *channel == Channel::Virq(Virq::Timer));
        if let Some(port) = bound {
            domain.set_pending(EvtchnPort(port as u32));
        }
    }
}
