//! The event channels of a queue: one for both directions, or one for each.
//!
//! ```text
//!   EVTCHNOP_alloc_unbound ─► port ─► listen ─► Signal ◄── upcall sets it ── event from the backend
//!                                                 └─► take_events, once an iteration ─► Moderation
//! ```

use crate::queue::moderation::{Change, Moderation};
use alloc::rc::Rc;
use xen::signal::Signal;
use xen::{DomId, Errno, EvtchnPort, Machine, SystemTime, Xen};

/// An event channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Our port.
    port: EvtchnPort,
    /// Set by each event.
    signal: Rc<Signal>,
    /// The generation of event channels to which the port belongs. A resume in a new domain voids all ports.
    generation: u32,
    moderation: Moderation,
}

impl Channel {
    /// Allocates a port for `backend` and listens on it.
    ///
    /// # Errors
    /// What Xen says to `EVTCHNOP_alloc_unbound`.
    pub(crate) fn open<M: Machine>(xen: &Xen<M>, backend: DomId) -> Result<Self, Errno> {
        let port = xen.machine.evtchn_alloc_unbound(backend)?;
        Ok(Self {
            port,
            signal: xen.events.listen(port),
            generation: xen.events.generation(),
            moderation: Moderation::default(),
        })
    }

    /// Our port.
    pub(crate) const fn port(&self) -> EvtchnPort {
        self.port
    }

    /// The flag that each event sets.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Whether the port is still ours: after a resume in a new domain, the number may belong to another channel.
    fn is_current<M: Machine>(&self, xen: &Xen<M>) -> bool {
        self.generation == xen.events.generation()
    }

    /// Masks the channel.
    pub(crate) fn mask<M: Machine>(&self, xen: &Xen<M>) {
        if self.is_current(xen) {
            xen.events.mask(self.port);
        }
    }

    /// Unmasks the channel.
    pub(crate) fn unmask<M: Machine>(&self, xen: &Xen<M>) {
        if self.is_current(xen) {
            xen.events.unmask(self.port);
        }
    }

    /// Stops listening and closes the port.
    pub(crate) fn close<M: Machine>(&self, xen: &Xen<M>) {
        if !self.is_current(xen) {
            return;
        }
        xen.events.stop(self.port);
        if let Err(errno) = xen.machine.evtchn_close(self.port) {
            log::warn!("EVTCHNOP_close of port {}: {errno:?}", self.port);
        }
    }

    /// Takes the event since the last call: 1 or 0. `responses` is the number of responses that the iteration found.
    #[inline]
    fn take_event(&mut self, responses: u32) -> u64 {
        let event = self.signal.take();
        self.moderation.note(event, responses);
        u64::from(event)
    }

    /// Masks or unmasks the channel when it is due. Returns the number of times that it was masked, and the next time to
    /// call this.
    pub(crate) fn moderate<M: Machine>(
        &mut self,
        xen: &Xen<M>,
        now: SystemTime,
    ) -> (u64, Option<SystemTime>) {
        match self.moderation.poll(now) {
            Some(Change::Mask) => {
                self.mask(xen);
                (1, self.moderation.masked_until())
            }
            Some(Change::Unmask) => {
                self.unmask(xen);
                // A response may have come since the last look at the ring; unmasking has consumed its event.
                (0, Some(now))
            }
            None => (0, self.moderation.masked_until()),
        }
    }
}

/// The event channels of a queue.
#[derive(Debug)]
pub(crate) enum Channels {
    /// One for both directions: at most one notification in an iteration.
    Shared(Channel),
    /// One for each direction.
    Split {
        /// The rx channel.
        rx: Channel,
        /// The tx channel.
        tx: Channel,
    },
}

/// How many event channels a queue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelLayout {
    /// One for both directions.
    Shared,
    /// One for each direction.
    Split,
}

impl Channels {
    /// Opens the channels of a queue; all of them, or none.
    ///
    /// # Errors
    /// What Xen says to `EVTCHNOP_alloc_unbound`.
    pub(crate) fn open<M: Machine>(
        xen: &Xen<M>,
        backend: DomId,
        layout: ChannelLayout,
    ) -> Result<Self, Errno> {
        let rx = Channel::open(xen, backend)?;
        if layout == ChannelLayout::Shared {
            return Ok(Self::Shared(rx));
        }
        match Channel::open(xen, backend) {
            Ok(tx) => Ok(Self::Split { rx, tx }),
            Err(errno) => {
                rx.close(xen);
                Err(errno)
            }
        }
    }

    fn each(&self) -> impl Iterator<Item = &Channel> {
        let (one, two) = match self {
            Self::Shared(channel) => (channel, None),
            Self::Split { rx, tx } => (rx, Some(tx)),
        };
        core::iter::once(one).chain(two)
    }

    /// Each channel once.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        let (one, two) = match self {
            Self::Shared(channel) => (channel, None),
            Self::Split { rx, tx } => (rx, Some(tx)),
        };
        core::iter::once(one).chain(two)
    }

    /// Whether no channel is masked or has to be.
    #[inline]
    pub(crate) const fn are_idle(&self) -> bool {
        match self {
            Self::Shared(channel) => channel.moderation.is_idle(),
            Self::Split { rx, tx } => rx.moderation.is_idle() && tx.moderation.is_idle(),
        }
    }

    /// Masks every channel.
    pub(crate) fn mask<M: Machine>(&self, xen: &Xen<M>) {
        self.each().for_each(|channel| channel.mask(xen));
    }

    /// Stops listening and closes the ports.
    pub(crate) fn close<M: Machine>(&self, xen: &Xen<M>) {
        self.each().for_each(|channel| channel.close(xen));
    }

    /// Takes the events since the last call. Returns the number of channels that had one.
    #[inline]
    pub(crate) fn take_events(&mut self, rx_responses: u32, tx_responses: u32) -> u64 {
        match self {
            Self::Shared(channel) => channel.take_event(rx_responses.saturating_add(tx_responses)),
            Self::Split { rx, tx } => rx.take_event(rx_responses).wrapping_add(tx.take_event(tx_responses)),
        }
    }
}
