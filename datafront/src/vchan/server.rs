//! The side that owns the pages: one client after another.
//!
//! ```text
//!   open:    ring pages, out of the pool that the client's domain may access ── the same ones for all clients ──┐
//!   offer:   a control page out of it, and a port ──► nodes in xenstore
//!   accept:  a client comes ──► Channel
//!   end:     srv_live = 0, event, port closed; the control page returns to the pool, and waits until it is unmapped
//! ```
//!
//! Each client gets another control page while the last one's kernel has the old page, in which it clears
//! `cli_live` at some later time. The ring pages stay: they contain only bytes between us and the same
//! domain.

use super::endpoint::{Endpoint, Peer};
use super::error::{ChannelError, ServerError};
use super::link::Link;
use super::order::Sizes;
use super::path::Path;
use super::ring::Rings;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use embedded_io_async::{ErrorType, Read, Write};
use xen::abi::io_libxenvchan::offset;
use xen::backoff::Backoff;
use xen::xenstore::Permission;
use xen::{DomId, GrantedPage, GrantedPages, Machine, Xen};

/// What a server is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where a client finds it.
    pub path: Path,
    /// Our domain: the owner of the nodes.
    pub own: DomId,
    /// The sizes of the rings.
    pub sizes: Sizes,
    /// Where all four indexes begin. 0, but for tests: a client takes them as it finds them.
    pub first_index: u32,
}

impl Settings {
    /// Rings of [`Sizes::PUSH`] at this path.
    #[must_use]
    pub const fn new(path: Path, own: DomId) -> Self {
        Self { path, own, sizes: Sizes::PUSH, first_index: 0 }
    }
}

/// What a server has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Clients that came.
    pub clients: u64,
    /// Bytes read from them.
    pub read_bytes: u64,
    /// Bytes written to them.
    pub written_bytes: u64,
    /// Events sent to them.
    pub events: u64,
    /// Channels that were closed because a client broke a rule.
    pub broken: u64,
}

/// The server's side of one channel at a time.
#[derive(Debug)]
pub struct Server<M: Machine> {
    xen: Rc<Xen<M>>,
    /// Of the domain that may connect.
    pages: Rc<dyn GrantedPages>,
    settings: Settings,
    /// Here between two clients.
    rings: Option<Rings<GrantedPage>>,
    link: Option<Link<M, GrantedPage>>,
    /// The nodes of `link` are in xenstore, and no client was waited for yet.
    offered: bool,
    stats: Stats,
    /// Of the event channels; another one after a suspend.
    generation: u32,
}

impl<M: Machine> Server<M> {
    /// Takes the pages of the rings from the pool of pages that the clients' domain may access.
    ///
    /// # Errors
    /// If there are too few pages or grants; everything taken is returned.
    pub fn open(
        xen: &Rc<Xen<M>>,
        pages: &Rc<dyn GrantedPages>,
        settings: Settings,
    ) -> Result<Self, ServerError> {
        let nr_pages = settings.sizes.left().nr_pages().saturating_add(settings.sizes.right().nr_pages());
        Ok(Self {
            rings: Some(Rings::new(settings.sizes, pages.take_all(nr_pages)?)),
            xen: Rc::clone(xen),
            pages: Rc::clone(pages),
            settings,
            link: None,
            offered: false,
            stats: Stats::default(),
            generation: xen.events.generation(),
        })
    }

    /// Where clients find it.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.settings.path
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (read, written, events) = self.link.as_ref().map_or((0, 0, 0), |link| link.moved);
        Stats {
            read_bytes: self.stats.read_bytes.wrapping_add(read),
            written_bytes: self.stats.written_bytes.wrapping_add(written),
            events: self.stats.events.wrapping_add(events),
            ..self.stats
        }
    }

    /// Shows the nodes of the next channel, which [`Self::accept`] would do otherwise. An error is followed by another
    /// attempt, after a pause that grows from a second to a minute; `failed` gets each error that differs from the one
    /// before. `sleep` waits for a number of nanoseconds.
    ///
    /// # Errors
    /// [`ServerError::Moved`].
    pub async fn offer(
        &mut self,
        sleep: &impl AsyncFn(u64),
        mut failed: impl FnMut(&ServerError),
    ) -> Result<(), ServerError> {
        let mut backoff = Backoff::new();
        loop {
            match self.try_offer().await {
                Err(error) if error != ServerError::Moved => {
                    let wait = backoff.failed(error.clone());
                    if wait.is_news {
                        failed(&error);
                    }
                    sleep(wait.ns).await;
                }
                offered => return offered,
            }
        }
    }

    async fn try_offer(&mut self) -> Result<(), ServerError> {
        self.end_link();
        if self.xen.events.generation() != self.generation {
            return Err(ServerError::Moved);
        }
        let gref = self.begin_link()?;
        self.publish(gref.0).await?;
        self.offered = true;
        Ok(())
    }

    /// Waits for the next client. Unread bytes of the former one are lost.
    ///
    /// # Errors
    /// If the channel cannot be set up. It can be tried again, but for [`ServerError::Moved`].
    pub async fn accept(&mut self) -> Result<Channel<'_, M>, ServerError> {
        loop {
            if !self.offered {
                self.try_offer().await?;
            }
            self.offered = false;
            let Some(link) = &mut self.link else { continue };
            // A client that broke a rule before it came, or left before we looked, is followed by the next.
            if let Ok(Peer::Here | Peer::Gone) = link.awaited().await {
                self.stats.clients = self.stats.clients.wrapping_add(1);
                return Ok(Channel { server: self });
            }
        }
    }

    fn begin_link(&mut self) -> Result<xen::Gref, ServerError> {
        let control = self.pages.take()?;
        let port = match self.xen.machine.evtchn_alloc_unbound(self.pages.granted_to()) {
            Ok(port) => port,
            Err(errno) => {
                self.pages.put(control);
                return Err(ServerError::Event(errno));
            }
        };
        let gref = control.gref();
        let sizes = self.settings.sizes;
        let rings = self.rings.take().unwrap_or_else(|| Rings::new(sizes, Vec::new()));
        let mut at = offset::GRANTS;
        for page in rings.left.pages().iter().chain(rings.right.pages()) {
            control.shared().store(at, page.gref().0, Relaxed);
            at = at.wrapping_add(size_of::<u32>());
        }
        let endpoint = Endpoint::serve(control, rings, sizes, self.settings.first_index);
        self.link = Some(Link::new(Rc::clone(&self.xen), endpoint, port));
        Ok(gref)
    }

    /// Shows both nodes at once. Their directory comes first, because they inherit its permissions.
    async fn publish(&self, gref: u32) -> Result<(), ServerError> {
        let (Settings { path, own, .. }, client) = (&self.settings, self.pages.granted_to());
        let port = self.link.as_ref().map_or(0, |link| link.port().0);
        let store = &self.xen.store;
        store.mkdir(path.as_str()).await?;
        store.set_permissions(path.as_str(), &[Permission::Nothing(*own), Permission::Read(client)]).await?;
        let (ring_ref, event_channel) = (path.ring_ref(), path.event_channel());
        let body = async |transaction: &xen::xenstore::Transaction<'_>| {
            transaction.write(&ring_ref, gref.to_string()).await?;
            transaction.write(&event_channel, port.to_string()).await
        };
        Ok(store.transaction(body).await?)
    }

    /// Ends the channel, if there is one.
    fn end_link(&mut self) {
        self.offered = false;
        let Some(link) = self.link.take() else { return };
        let (read, written, events) = link.moved;
        self.stats.read_bytes = self.stats.read_bytes.wrapping_add(read);
        self.stats.written_bytes = self.stats.written_bytes.wrapping_add(written);
        self.stats.events = self.stats.events.wrapping_add(events);
        if let Some(ChannelError::Misbehaved(_)) = link.fault() {
            self.stats.broken = self.stats.broken.wrapping_add(1);
        }
        let (control, rings) = link.close().into_parts();
        self.pages.put(control);
        self.rings = Some(rings);
    }

    /// Ends the channel and removes the nodes.
    ///
    /// # Errors
    /// xenstored's error; the channel is closed in any case.
    pub async fn close(mut self) -> Result<(), ServerError> {
        self.end_link();
        Ok(self.xen.store.remove(self.settings.path.as_str()).await?)
    }
}

impl<M: Machine> Drop for Server<M> {
    fn drop(&mut self) {
        self.end_link();
        let Some(Rings { left, right }) = self.rings.take() else { return };
        left.into_pages().into_iter().chain(right.into_pages()).for_each(|page| self.pages.put(page));
    }
}

/// A client's channel, closed when it is dropped.
#[derive(Debug)]
pub struct Channel<'a, M: Machine> {
    server: &'a mut Server<M>,
}

impl<M: Machine> Channel<'_, M> {
    /// The server's counters, this client included.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.server.stats()
    }
}

impl<M: Machine> Drop for Channel<'_, M> {
    fn drop(&mut self) {
        self.server.end_link();
    }
}

impl<M: Machine> ErrorType for Channel<'_, M> {
    type Error = ChannelError;
}

impl<M: Machine> Read for Channel<'_, M> {
    /// Reads available bytes, or waits for some; 0 once the client has gone and everything is read.
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ChannelError> {
        match &mut self.server.link {
            Some(link) => link.read(into).await,
            None => Err(ChannelError::Gone),
        }
    }
}

impl<M: Machine> Write for Channel<'_, M> {
    /// Writes as many bytes as there is room for; waits if there is none.
    async fn write(&mut self, from: &[u8]) -> Result<usize, ChannelError> {
        match &mut self.server.link {
            Some(link) => link.write(from).await,
            None => Err(ChannelError::Gone),
        }
    }

    /// Does nothing: written bytes are in the ring.
    async fn flush(&mut self) -> Result<(), ChannelError> {
        Ok(())
    }
}
