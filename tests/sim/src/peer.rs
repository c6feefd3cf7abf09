//! What a backend domain may do: events, and pages that a guest granted to it.
//!
//! Backends of this crate are written on it, and so is a test that plays an application in dom0.

use crate::domain::Domain;
use crate::world::World;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering::SeqCst;
use xen::abi::grant_table::GrantStatus;
use xen::ids::PAGE_SIZE;
use xen::shared::Word;
use xen::{DomId, Errno, EvtchnPort, Gfn, Gref, Shared, SharedPage};

/// A backend domain: dom0 or a driver domain.
#[derive(Clone, Debug)]
pub struct Peer {
    world: Weak<World>,
    id: DomId,
}

impl Peer {
    pub(crate) const fn new(world: Weak<World>, id: DomId) -> Self {
        Self { world, id }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> DomId {
        self.id
    }

    fn world(&self) -> Rc<World> {
        self.world.upgrade().expect("the machine is gone; keep the Sim or a Guest")
    }

    fn domain(&self) -> Result<Rc<Domain>, Errno> {
        self.world().domain(self.id).ok_or(Errno::ESRCH)
    }

    /// A port that `remote` may bind to.
    ///
    /// # Errors
    /// `ENOSPC` when there is no free port.
    pub fn evtchn_alloc_unbound(&self, remote: DomId) -> Result<EvtchnPort, Errno> {
        self.domain()?.new_channel(crate::evtchn::Channel::Unbound { remote })
    }

    /// Binds to a port that `remote` allocated for this domain.
    ///
    /// # Errors
    /// `EINVAL` if the port is not unbound or meant for another domain; `ESRCH` if there is no such domain.
    pub fn evtchn_bind(&self, remote: DomId, port: EvtchnPort) -> Result<EvtchnPort, Errno> {
        self.world().evtchn_bind(&*self.domain()?, remote, port)
    }

    /// Notifies the other end.
    ///
    /// # Errors
    /// `EINVAL` if the port is not bound.
    pub fn evtchn_send(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.world().evtchn_send(&*self.domain()?, port)
    }

    /// Closes a port.
    ///
    /// # Errors
    /// `EINVAL` if it is free.
    pub fn evtchn_close(&self, port: EvtchnPort) -> Result<(), Errno> {
        self.world().evtchn_close(&*self.domain()?, port)
    }

    /// Whether an event came since the last call.
    #[must_use]
    pub fn take_event(&self, port: EvtchnPort) -> bool {
        self.domain().is_ok_and(|domain| domain.take_event(port))
    }

    /// `GNTTABOP_map_grant_ref`; unmapped when the result is dropped.
    ///
    /// # Errors
    /// The status with which Xen refuses.
    pub fn map(&self, granter: DomId, gref: Gref, writable: bool) -> Result<MappedPage, GrantStatus> {
        let owner = self.world().domain(granter).ok_or(GrantStatus::BadDomain)?;
        let gfn = owner.use_grant(gref, self.id, writable)?;
        owner.count(|counters| counters.maps_by_peers += 1);
        Ok(MappedPage { owner, gref, gfn, writable })
    }

    /// `GNTTABOP_copy` into a granted page.
    ///
    /// # Errors
    /// The status with which Xen refuses.
    pub fn copy_to(
        &self,
        granter: DomId,
        gref: Gref,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), GrantStatus> {
        self.copy(granter, gref, true, offset, bytes.len(), |page| page.write_bytes(offset, bytes))
    }

    /// `GNTTABOP_copy` out of a granted page.
    ///
    /// # Errors
    /// The status with which Xen refuses.
    pub fn copy_from(
        &self,
        granter: DomId,
        gref: Gref,
        offset: usize,
        len: usize,
    ) -> Result<Vec<u8>, GrantStatus> {
        let mut bytes = vec![0; len];
        self.copy(granter, gref, false, offset, len, |page| page.read_bytes(offset, &mut bytes))?;
        Ok(bytes)
    }

    fn copy(
        &self,
        granter: DomId,
        gref: Gref,
        write: bool,
        offset: usize,
        len: usize,
        work: impl FnOnce(Shared<'_>),
    ) -> Result<(), GrantStatus> {
        if offset.checked_add(len).is_none_or(|end| end > PAGE_SIZE) {
            return Err(GrantStatus::BadCopyArg);
        }
        let owner = self.world().domain(granter).ok_or(GrantStatus::BadDomain)?;
        let gfn = owner.use_grant(gref, self.id, write)?;
        owner.count(|counters| counters.copies_by_peers += 1);
        work(owner.memory.view(gfn).expect("checked by use_grant"));
        owner.end_grant_use(gref, write);
        Ok(())
    }
}

/// A page of a guest, mapped by another domain. The grant is in use until this is dropped.
#[derive(Debug)]
pub struct MappedPage {
    owner: Rc<Domain>,
    gref: Gref,
    gfn: Gfn,
    writable: bool,
}

impl MappedPage {
    /// The reference by which it was mapped.
    #[must_use]
    pub const fn gref(&self) -> Gref {
        self.gref
    }

    /// The frame of the grant, in the granter's memory.
    #[must_use]
    pub const fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// Whether it can be written to.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    fn view(&self) -> Shared<'_> {
        self.owner.memory.view(self.gfn).expect("a mapped page stays")
    }

    fn writable_view(&self) -> Shared<'_> {
        assert!(self.writable, "page fault: {} is mapped read-only", self.gref);
        self.view()
    }

    /// Copies bytes out.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        self.view().read_bytes(offset, into);
    }

    /// Copies bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.writable_view().write_bytes(offset, bytes);
    }

    /// Copies bytes out of a ring of `size` bytes at `base`, from a free-running index on.
    pub(crate) fn read_ring(&self, base: usize, size: usize, index: u32, into: &mut [u8]) {
        let at = index as usize % size;
        let before_wrap = into.len().min(size - at);
        let (first, second) = into.split_at_mut(before_wrap);
        self.read(base + at, first);
        self.read(base, second);
    }

    /// Copies bytes into such a ring.
    pub(crate) fn write_ring(&self, base: usize, size: usize, index: u32, from: &[u8]) {
        let at = index as usize % size;
        let (first, second) = from.split_at(from.len().min(size - at));
        self.write(base + at, first);
        self.write(base, second);
    }

    /// Reads one word, with all barriers.
    #[must_use]
    pub fn load<W: Word>(&self, offset: usize) -> W {
        self.view().load(offset, SeqCst)
    }

    /// Writes one word, with all barriers.
    pub fn store<W: Word>(&self, offset: usize, value: W) {
        self.writable_view().store(offset, value, SeqCst);
    }

    /// Sets bits; the word before.
    pub fn fetch_or<W: Word>(&self, offset: usize, bits: W) -> W {
        self.writable_view().fetch_or(offset, bits)
    }

    /// Keeps only these bits; the word before.
    pub fn fetch_and<W: Word>(&self, offset: usize, bits: W) -> W {
        self.writable_view().fetch_and(offset, bits)
    }
}

/// For writers, such as a ring: the page must be mapped writable.
impl SharedPage for MappedPage {
    fn shared(&self) -> Shared<'_> {
        self.writable_view()
    }
}

impl Drop for MappedPage {
    fn drop(&mut self) {
        self.owner.end_grant_use(self.gref, self.writable);
    }
}
