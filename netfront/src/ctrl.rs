//! The control ring: requests to the backend that are not about packets, one at a time.
//!
//! ```text
//!   Control::ask(type, data) ─► request, pushed ─► notification ─► backend ─► response ─► id, type, status checked
//!                                                                    └ none in time: the ring is given up
//! ```
//!
//! It belongs to the life of the vif, not to the device: nothing here is on a packet's way. Whatever the backend answers,
//! or does not, frames flow; a backend that breaks a rule of this ring is not asked again before it is connected anew.
//! Tables go in one page of ours that is granted for as long as the ring.

use crate::misbehaviour::Misbehaviour;
use crate::queue::Channel;
use crate::rx::RxPage;
use crate::toeplitz::HashKey;
use alloc::vec::Vec;
use xen::abi::io_netif::{
    NETIF_CTRL_RING_SIZE, NetifCtrlRequest, NetifCtrlResponse, NetifCtrlStatus, NetifCtrlType,
};
use xen::ring::FrontRing;
use xen::{Gref, Machine, Xen};

/// The control ring.
type CtrlRing = FrontRing<NetifCtrlRequest, NetifCtrlResponse, NETIF_CTRL_RING_SIZE>;

/// Why a request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CtrlError {
    /// The backend says no.
    Refused(NetifCtrlType, NetifCtrlStatus),
    /// The backend broke a rule.
    Broken(Misbehaviour),
}

/// The control ring of a connection.
#[derive(Debug)]
pub(crate) struct Control {
    ring: CtrlRing,
    channel: Channel,
    /// For keys and tables.
    table: RxPage,
    next_id: u16,
    /// It has no future: the backend did not answer in time, or answered nonsense.
    given_up: bool,
    /// Flows are to be hashed, with that key, over so many queues.
    pub(crate) hash: Option<(HashKey, u32)>,
    /// Pages are to stay mapped, of so many queues.
    pub(crate) mapping_queues: u32,
    /// Requests that were answered, and how many of them by a refusal.
    pub(crate) answered: u64,
    pub(crate) refused: u64,
}

impl Control {
    pub(crate) const fn new(ring: CtrlRing, channel: Channel, table: RxPage) -> Self {
        Self {
            ring,
            channel,
            table,
            next_id: 0,
            given_up: false,
            hash: None,
            mapping_queues: 0,
            answered: 0,
            refused: 0,
        }
    }

    /// What xenstore is told: the ring's page, and our port.
    pub(crate) const fn published(&self) -> (Gref, u32) {
        (self.ring.page().gref(), self.channel.port.0)
    }

    /// The page for tables.
    pub(crate) const fn table(&self) -> &RxPage {
        &self.table
    }

    /// Whether it is of any use.
    pub(crate) const fn is_usable(&self) -> bool {
        !self.given_up
    }

    /// Nothing is asked any more: what comes late would be taken for an answer to something else.
    pub(crate) fn give_up<M: Machine>(&mut self, xen: &Xen<M>) {
        self.given_up = true;
        self.rest(xen);
    }

    /// Nothing is waited for: events wake nobody.
    pub(crate) fn rest<M: Machine>(&self, xen: &Xen<M>) {
        if self.channel.generation == xen.events.generation() {
            xen.events.mask(self.channel.port);
        }
    }

    fn listen<M: Machine>(&self, xen: &Xen<M>) {
        if self.channel.generation == xen.events.generation() {
            xen.events.unmask(self.channel.port);
        }
    }

    /// Asks for something, and waits for the answer, for ever: the caller limits that, and gives the ring up then.
    pub(crate) async fn ask<M: Machine>(
        &mut self,
        xen: &Xen<M>,
        kind: NetifCtrlType,
        data: [u32; 3],
    ) -> Result<u32, CtrlError> {
        self.listen(xen);
        let result = self.exchange(xen, kind, data).await;
        self.rest(xen);
        match result {
            Ok(_) => self.answered = self.answered.wrapping_add(1),
            Err(CtrlError::Refused(..)) => {
                self.answered = self.answered.wrapping_add(1);
                self.refused = self.refused.wrapping_add(1);
            }
            Err(CtrlError::Broken(_)) => self.give_up(xen),
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
        // One at a time: the ring is never full.
        self.ring.write_request(&NetifCtrlRequest { id, kind: kind.raw(), data });
        if self.ring.push_requests_and_check_notify()
            && let Err(errno) = xen.machine.evtchn_send(self.channel.port)
        {
            log::warn!("EVTCHNOP_send of port {}: {errno:?}", self.channel.port);
        }
        let response = self.response().await.map_err(CtrlError::Broken)?;
        let status = judge(response, id, kind).map_err(CtrlError::Broken)?;
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
            self.channel.signal.wait().await;
        }
    }

    /// The end: pages that the backend still uses are returned.
    pub(crate) fn close<M: Machine>(self, xen: &Xen<M>) -> Vec<RxPage> {
        self.channel.close(xen);
        [self.ring.into_page(), self.table].into_iter().filter_map(|page| xen.take_back(page)).collect()
    }
}

/// Whether a response is one to this request; its status.
fn judge(response: NetifCtrlResponse, id: u16, kind: NetifCtrlType) -> Result<NetifCtrlStatus, Misbehaviour> {
    if response.id != id {
        return Err(Misbehaviour::CtrlId { expected: id, found: response.id });
    }
    if response.kind != kind.raw() {
        return Err(Misbehaviour::CtrlType { expected: kind, found: response.kind });
    }
    NetifCtrlStatus::try_from(response.status).map_err(|unknown| Misbehaviour::CtrlStatus(unknown.0))
}
