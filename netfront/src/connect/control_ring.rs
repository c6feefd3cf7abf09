//! The control ring: requests to the backend that are not packets, one at a time.
//!
//! ```text
//!   Control::ask(type, data) ─► request, pushed ─► notification ─► backend ─► response ─► id, type, status validated
//!                                                                    └ none in time: the ring is not used any more
//! ```
//!
//! The ring belongs to the connection task, not to the device, and is not on the packet path. Frames flow whatever the
//! backend answers. A backend that breaks a rule of this ring is not asked again in this connection. Tables are in one
//! page of ours that is granted for as long as the ring.

use crate::device::mailbox::ControlCounts;
use crate::queue::channel::Channel;
use crate::wire::misbehaviour::Misbehaviour;
use alloc::vec::Vec;
use nic::HashKey;
use xen::abi::io_netif::{
    NETIF_CTRL_RING_SIZE, NetifCtrlRequest, NetifCtrlResponse, NetifCtrlStatus, NetifCtrlType,
};
use xen::ring::FrontRing;
use xen::{Counter, GrantedPage, Gref, Machine, Xen};

/// The control ring.
pub(super) type CtrlRing = FrontRing<NetifCtrlRequest, NetifCtrlResponse, NETIF_CTRL_RING_SIZE>;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CtrlError {
    /// The backend refuses it.
    Refused(NetifCtrlType, NetifCtrlStatus),
    /// The backend broke a rule.
    Broken(Misbehaviour),
}

/// The control ring of a connection.
#[derive(Debug)]
pub(super) struct Control {
    ring: CtrlRing,
    channel: Channel,
    /// The page for keys and tables.
    table: GrantedPage,
    next_id: u16,
    /// The ring is not used any more: the backend did not answer in time, or broke a rule.
    abandoned: bool,
    /// The key and the number of queues, if flows are to be hashed.
    hash: Option<(HashKey, u32)>,
    /// The number of queues whose pages are to stay mapped.
    mapping_queues: u32,
    counts: ControlCounts,
}

impl Control {
    pub(super) const fn new(
        ring: CtrlRing,
        channel: Channel,
        table: GrantedPage,
        hash: Option<(HashKey, u32)>,
        mapping_queues: u32,
    ) -> Self {
        Self {
            ring,
            channel,
            table,
            next_id: 0,
            abandoned: false,
            hash,
            mapping_queues,
            counts: ControlCounts { answered: Counter::new(0), refused: Counter::new(0) },
        }
    }

    /// The grant reference of the ring and our port, for xenstore.
    pub(super) const fn published(&self) -> (Gref, u32) {
        (self.ring.page().gref(), self.channel.port().0)
    }

    /// The page for keys and tables.
    pub(super) const fn table(&self) -> &GrantedPage {
        &self.table
    }

    /// The key and the number of queues, if flows are to be hashed.
    pub(super) const fn hash(&self) -> Option<(HashKey, u32)> {
        self.hash
    }

    /// The number of queues whose pages are to stay mapped.
    pub(super) const fn mapping_queues(&self) -> u32 {
        self.mapping_queues
    }

    /// Whether requests can be sent.
    pub(super) const fn is_usable(&self) -> bool {
        !self.abandoned
    }

    /// Takes the counts since the last call.
    pub(super) fn take_counts(&mut self) -> ControlCounts {
        core::mem::take(&mut self.counts)
    }

    /// Stops using the ring: a late response would be taken for one to another request.
    pub(super) fn abandon<M: Machine>(&mut self, xen: &Xen<M>) {
        self.abandoned = true;
        self.rest(xen);
    }

    /// Masks the channel while no response is expected.
    pub(super) fn rest<M: Machine>(&self, xen: &Xen<M>) {
        self.channel.mask(xen);
    }

    /// Sends a request and waits for its response without a limit. A caller with a limit abandons the ring then.
    pub(super) async fn ask<M: Machine>(
        &mut self,
        xen: &Xen<M>,
        kind: NetifCtrlType,
        data: [u32; 3],
    ) -> Result<u32, CtrlError> {
        self.channel.unmask(xen);
        let result = self.exchange(xen, kind, data).await;
        self.rest(xen);
        match result {
            Ok(_) => self.counts.answered.bump(),
            Err(CtrlError::Refused(..)) => {
                self.counts.answered.bump();
                self.counts.refused.bump();
            }
            Err(CtrlError::Broken(_)) => self.abandon(xen),
        }
        result
    }

    async fn exchange<M: Machine>(
        &mut self,
        xen: &Xen<M>,
        kind: NetifCtrlType,
        data: [u32; 3],
    ) -> Result<u32, CtrlError> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        // One request at a time: the ring is never full.
        self.ring.write_request(&NetifCtrlRequest { id, kind: kind.raw(), data });
        if self.ring.push_requests_and_check_notify()
            && let Err(errno) = xen.machine.evtchn_send(self.channel.port())
        {
            log::warn!("EVTCHNOP_send of port {}: {errno:?}", self.channel.port());
        }
        let response = self.response().await.map_err(CtrlError::Broken)?;
        let status = validate(response, id, kind).map_err(CtrlError::Broken)?;
        if status == NetifCtrlStatus::Success {
            Ok(response.data)
        } else {
            Err(CtrlError::Refused(kind, status))
        }
    }

    /// The next response.
    async fn response(&mut self) -> Result<NetifCtrlResponse, Misbehaviour> {
        loop {
            let there = self.ring.final_check_for_responses().map_err(Misbehaviour::CtrlRing)?;
            if there && let Some(response) = self.ring.take_response() {
                return Ok(response);
            }
            self.channel.signal().wait().await;
        }
    }

    /// Closes the channel and ends the grants. Returns the pages that the backend still uses.
    pub(super) fn close<M: Machine>(self, xen: &Xen<M>) -> Vec<GrantedPage> {
        self.channel.close(xen);
        [self.ring.into_page(), self.table].into_iter().filter_map(|page| xen.take_back(page)).collect()
    }
}

/// Validates that a response answers this request. Returns its status.
fn validate(
    response: NetifCtrlResponse,
    id: u16,
    kind: NetifCtrlType,
) -> Result<NetifCtrlStatus, Misbehaviour> {
    if response.id != id {
        return Err(Misbehaviour::CtrlId { expected: id, found: response.id });
    }
    if response.kind != kind.raw() {
        return Err(Misbehaviour::CtrlType { expected: kind, found: response.kind });
    }
    NetifCtrlStatus::try_from(response.status).map_err(|unknown| Misbehaviour::CtrlStatus(unknown.0))
}
