//! An endpoint with its event channel: reads and writes that wait.
//!
//! ```text
//!   read:  liveness ─► ring ─ bytes? give them ─ none: gone? end of stream ─ request an event, look again ─► wait for the event
//! ```
//!
//! Liveness is read before the ring, so that bytes of a client that has left are still read. One task at a time.

use super::endpoint::{Endpoint, Misbehaviour, Peer};
use super::error::ChannelError;
use super::stats::Stats;
use alloc::rc::Rc;
use xen::abi::io_libxenvchan::VchanNotify;
use xen::signal::Signal;
use xen::{EvtchnPort, Machine, SharedPage, Xen};

/// A channel in use.
#[derive(Debug)]
pub(crate) struct Link<M, P> {
    xen: Rc<Xen<M>>,
    pub(crate) endpoint: Endpoint<P>,
    port: EvtchnPort,
    signal: Rc<Signal>,
    /// The generation of the event channels: after a suspend the port is void.
    generation: u32,
    fault: Option<ChannelError>,
    /// Bytes and events of this link.
    pub(crate) stats: Stats,
}

impl<M: Machine, P: SharedPage> Link<M, P> {
    pub(crate) fn new(xen: Rc<Xen<M>>, endpoint: Endpoint<P>, port: EvtchnPort) -> Self {
        let signal = xen.events.listen(port);
        let generation = xen.events.generation();
        Self { xen, endpoint, port, signal, generation, fault: None, stats: Stats::default() }
    }

    /// The local port.
    pub(crate) const fn port(&self) -> EvtchnPort {
        self.port
    }

    /// Why the link broke, if it did.
    pub(crate) const fn fault(&self) -> Option<ChannelError> {
        self.fault
    }

    /// An error if the guest was suspended since the link was made: waiting tasks are woken, and the peer is gone.
    fn here_still(&mut self) -> Result<(), ChannelError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.xen.events.generation() == self.generation {
            return Ok(());
        }
        Err(*self.fault.get_or_insert(ChannelError::Suspended))
    }

    /// Notifies the peer without a request for an event: it may sleep.
    pub(crate) fn ring(&mut self) -> Result<(), ChannelError> {
        self.stats.events.bump();
        self.xen.machine.evtchn_send(self.port).map_err(ChannelError::Event)
    }

    /// Waits for a client, or for the bytes of a client that has left.
    pub(crate) async fn awaited(&mut self) -> Result<Peer, ChannelError> {
        loop {
            self.here_still()?;
            match self.endpoint.look_at_peer().map_err(|rule| self.break_off(rule))? {
                Peer::Awaited => self.signal.wait().await,
                peer => return Ok(peer),
            }
        }
    }

    /// Ends the link after a broken rule. The first one is reported.
    fn break_off(&mut self, rule: Misbehaviour) -> ChannelError {
        let fault = ChannelError::Misbehaved(rule);
        self.endpoint.leave();
        *self.fault.get_or_insert(fault)
    }

    fn tell(&mut self, of: VchanNotify) -> Result<(), ChannelError> {
        if self.endpoint.is_wished(of) {
            self.ring()?;
        }
        Ok(())
    }

    /// Reads available bytes; 0 at the end of the stream, `None` if there are none yet.
    pub(crate) fn read_now(&mut self, into: &mut [u8]) -> Result<Option<usize>, ChannelError> {
        self.here_still()?;
        if into.is_empty() {
            return Ok(Some(0));
        }
        for last_look in [false, true] {
            let peer = self.endpoint.look_at_peer().map_err(|rule| self.break_off(rule))?;
            let len = self.endpoint.take(into).map_err(|rule| self.break_off(rule))?;
            if len > 0 {
                self.stats.read_bytes.add_len(len);
                self.tell(VchanNotify::READ)?;
                return Ok(Some(len));
            }
            if peer == Peer::Gone {
                return Ok(Some(0));
            }
            if !last_look {
                self.endpoint.wish(VchanNotify::WRITE);
            }
        }
        Ok(None)
    }

    /// Writes as many bytes as there is room for; `None` if there is none yet.
    pub(crate) fn write_now(&mut self, from: &[u8]) -> Result<Option<usize>, ChannelError> {
        self.here_still()?;
        if from.is_empty() {
            return Ok(Some(0));
        }
        for last_look in [false, true] {
            if self.endpoint.look_at_peer().map_err(|rule| self.break_off(rule))? == Peer::Gone {
                return Err(ChannelError::Gone);
            }
            let len = self.endpoint.put(from).map_err(|rule| self.break_off(rule))?;
            if len > 0 {
                self.stats.written_bytes.add_len(len);
                self.tell(VchanNotify::WRITE)?;
                return Ok(Some(len));
            }
            if !last_look {
                self.endpoint.wish(VchanNotify::READ);
            }
        }
        Ok(None)
    }

    /// [`Self::read_now`], waiting.
    pub(crate) async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        loop {
            if let Some(len) = self.read_now(into)? {
                return Ok(len);
            }
            self.signal.wait().await;
        }
    }

    /// [`Self::write_now`], waiting.
    pub(crate) async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        loop {
            if let Some(len) = self.write_now(from)? {
                return Ok(len);
            }
            self.signal.wait().await;
        }
    }

    /// Marks this side as gone and closes the port. Returns the endpoint with its pages.
    pub(crate) fn close(self) -> Endpoint<P> {
        self.endpoint.leave();
        if self.xen.events.generation() != self.generation {
            return self.endpoint;
        }
        // The peer may sleep: it is notified in any case. Neither call can fail for a port that we have.
        let _ = self.xen.machine.evtchn_send(self.port);
        self.xen.events.stop(self.port);
        let _ = self.xen.machine.evtchn_close(self.port);
        self.endpoint
    }
}
