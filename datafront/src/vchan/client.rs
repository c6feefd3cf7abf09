//! The side that maps the other's pages: one server after another.
//!
//! ```text
//!   connect:  nodes in xenstore ─► bind the port ─► map the control page ─► orders, grefs: read once, checked
//!             ─► map the rings ─► cli_live = 1, event ─► Connection
//!   close:    cli_live = 0, event, port closed, everything unmapped
//! ```
//!
//! The port comes first: a server has one for one client, so the client that binds it has the channel, and two
//! clients never share one. A server that does not exist yet, or whose nodes name a channel that has ended, is waited
//! for; an impossible offer is an error. (`tools/libs/vchan/init.c`, `libxenvchan_client_init`)

use super::endpoint::{Endpoint, Offer};
use super::error::{ChannelError, ClientError};
use super::link::Link;
use super::path::Path;
use super::ring::Rings;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use embedded_io_async::{ErrorType, Read, Write};
use xen::abi::io_libxenvchan::{VchanLive, offset};
use xen::foreign::MapError;
use xen::{DomId, EvtchnPort, Foreign, Gref, Machine, Xen};

/// A client's knowledge of a server: where it shows its channels, and which domain it is.
#[derive(Debug)]
pub struct Client<M: Machine> {
    xen: Rc<Xen<M>>,
    path: Path,
    server: DomId,
}

/// The contents of the two nodes in xenstore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    gref: Gref,
    port: EvtchnPort,
}

impl<M: Machine> Client<M> {
    /// A client of the server that shows its channel at `path`.
    #[must_use]
    pub fn new(xen: &Rc<Xen<M>>, path: Path, server: DomId) -> Self {
        Self { xen: Rc::clone(xen), path, server }
    }

    /// Waits for the server, and connects. Called again after a connection has ended, it waits for the next channel.
    ///
    /// # Errors
    /// Errors that waiting does not heal: xenstore fails, no room to map, or an impossible offer of the server.
    pub async fn connect(&self) -> Result<Connection<M>, ClientError> {
        let watch = self.xen.store.watch(self.path.as_str()).await?;
        loop {
            watch.changed().await;
            if let Some(named) = self.named().await?
                && let Some(connection) = self.join(named)?
            {
                return Ok(connection);
            }
        }
    }

    /// Both nodes, if they exist with valid numbers. They may belong to two channels: then the port or the gref is
    /// invalid.
    async fn named(&self) -> Result<Option<Named>, ClientError> {
        let gref = self.number(&self.path.ring_ref()).await?;
        let port = self.number(&self.path.event_channel()).await?;
        Ok(gref.zip(port).map(|(gref, port)| Named { gref: Gref(gref), port: EvtchnPort(port) }))
    }

    /// A node's number; `None` if it is not a number, is 0 (libxenvchan's "none") or may not be read yet.
    async fn number(&self, node: &str) -> Result<Option<u32>, ClientError> {
        let text = match self.xen.store.read_opt(node).await {
            Err(error) if error.is_access() => None,
            other => other?,
        };
        Ok(text.and_then(|text| text.parse().ok()).filter(|number| *number != 0))
    }

    /// Takes the channel; `None` if it is over, or another client has it.
    fn join(&self, named: Named) -> Result<Option<Connection<M>>, ClientError> {
        let Ok(port) = self.xen.machine.evtchn_bind_interdomain(self.server, named.port) else {
            return Ok(None);
        };
        let mut pages = Mapped { xen: Rc::clone(&self.xen), pages: Vec::new() };
        let mapped = self.map_all(named.gref, &mut pages);
        let offer = match mapped {
            Ok(Some(offer)) => offer,
            Ok(None) | Err(ClientError::Map(MapError::Refused(_))) => {
                let _ = self.xen.machine.evtchn_close(port);
                return Ok(None);
            }
            Err(error) => {
                let _ = self.xen.machine.evtchn_close(port);
                return Err(error);
            }
        };
        let mut rest = core::mem::take(&mut pages.pages);
        let Some(control) = rest.pop() else { return Ok(None) };
        let endpoint = Endpoint::join(control, Rings::new(offer.sizes, rest), offer);
        let mut link = Link::new(Rc::clone(&self.xen), endpoint, port);
        let told = link.ring();
        let connection = Connection { xen: Rc::clone(&self.xen), link: Some(link) };
        match told {
            Ok(()) => Ok(Some(connection)),
            Err(ChannelError::Event(errno)) => Err(ClientError::Event(errno)),
            Err(_) => Ok(None),
        }
    }

    /// Maps the rings' pages in order, and the control page as the last one; `None` if the server has gone already.
    fn map_all(&self, gref: Gref, pages: &mut Mapped<M>) -> Result<Option<Offer>, ClientError> {
        let control = self.xen.machine.map_foreign(self.server, gref).map_err(ClientError::Map)?;
        let result = self.map_rings(&control, pages);
        pages.pages.push(control);
        result
    }

    fn map_rings(&self, control: &Foreign, pages: &mut Mapped<M>) -> Result<Option<Offer>, ClientError> {
        let page = control.shared();
        if page.load::<u8>(offset::SRV_LIVE, Relaxed) != VchanLive::Connected.raw() {
            return Ok(None);
        }
        let offer = Offer::read(page).map_err(ClientError::Misbehaved)?;
        let nr_pages = offer.sizes.left().nr_pages().saturating_add(offer.sizes.right().nr_pages());
        for index in 0..nr_pages {
            let at = offset::GRANTS.saturating_add(index.saturating_mul(size_of::<u32>()));
            let gref = Gref(page.load(at, Relaxed));
            let mapped = self.xen.machine.map_foreign(self.server, gref).map_err(ClientError::Map)?;
            pages.pages.push(mapped);
        }
        Ok(Some(offer))
    }
}

/// Pages that are unmapped when they are dropped.
struct Mapped<M: Machine> {
    xen: Rc<Xen<M>>,
    pages: Vec<Foreign>,
}

impl<M: Machine> Drop for Mapped<M> {
    fn drop(&mut self) {
        unmap(&self.xen, core::mem::take(&mut self.pages));
    }
}

/// A page that Xen does not unmap stays out of use: its place is not given again.
fn unmap<M: Machine>(xen: &Xen<M>, pages: Vec<Foreign>) {
    for page in pages {
        let _ = xen.machine.unmap_foreign(page);
    }
}

/// A client's end of a channel, closed when it is dropped.
#[derive(Debug)]
pub struct Connection<M: Machine> {
    xen: Rc<Xen<M>>,
    link: Option<Link<M, Foreign>>,
}

impl<M: Machine> Drop for Connection<M> {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        let (control, rings) = link.close().into_parts();
        let mut pages = rings.left.into_pages();
        pages.extend(rings.right.into_pages());
        pages.push(control);
        unmap(&self.xen, pages);
    }
}

impl<M: Machine> ErrorType for Connection<M> {
    type Error = ChannelError;
}

impl<M: Machine> Read for Connection<M> {
    /// Reads available bytes, or waits for some; 0 once the server has gone and everything is read.
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        match &mut self.link {
            Some(link) => link.read(into).await,
            None => Err(ChannelError::Gone),
        }
    }
}

impl<M: Machine> Write for Connection<M> {
    /// Writes as many bytes as there is room for; waits if there is none.
    async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        match &mut self.link {
            Some(link) => link.write(from).await,
            None => Err(ChannelError::Gone),
        }
    }

    /// Does nothing: written bytes are in the ring.
    async fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}
