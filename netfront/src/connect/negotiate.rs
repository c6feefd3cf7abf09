//! What is negotiated over the control ring, after the connection.
//!
//! ```text
//!   connected ─► how queues are chosen (hash_setup) ─► agreed, or as before         each within a second or two, or not at all
//!             └► pages that stay mapped (static_grants) ─► as many as there is room for, or none
//! ```
//!
//! All of this is optional. If a backend refuses, does not answer or breaks a rule, the connection works without it.

use super::ConnectionTask;
use super::control_ring::{Control, CtrlError};
use super::hash_setup;
use super::rings::make_control;
use super::timeout::within;
use crate::device::mailbox::{Command, ControlReport};
use alloc::boxed::Box;
use nic::HashKey;
use xen::{DomId, Gref, Machine};

/// Nanoseconds in which a backend has to answer all requests about one subject.
const TIMEOUT: u64 = 2_000_000_000;

impl<M: Machine> ConnectionTask<M> {
    /// Makes a control ring, if it has a use and resources allow it. Returns its grant reference and port for xenstore.
    pub(super) async fn open_control(
        &self,
        backend: DomId,
        hash: Option<(HashKey, u32)>,
        mapping_queues: u32,
    ) -> Option<(Gref, u32)> {
        self.close_control().await;
        if hash.is_none() && mapping_queues == 0 {
            return None;
        }
        match make_control(&self.xen, backend, hash, mapping_queues) {
            Ok(control) => {
                control.rest(&self.xen);
                let published = control.published();
                self.control.replace(Some(Box::new(control)));
                Some(published)
            }
            Err(error) => {
                log::warn!("{}: no control ring: {error}", self.front);
                None
            }
        }
    }

    /// Takes the control ring back.
    pub(super) async fn close_control(&self) {
        let in_use = self.control.take().map(|control| control.close(&self.xen)).unwrap_or_default();
        if !in_use.is_empty() {
            self.mailbox.ask(Command::InUse(in_use)).await;
        }
    }

    /// Negotiates everything for which there is a control ring.
    pub(super) async fn negotiate(&self, sleep: &impl AsyncFn(u64)) {
        let Some(mut control) = self.control.take() else { return };
        let mut report = ControlReport::default();
        if let Some((key, queues)) = control.hash() {
            let done = within(sleep, TIMEOUT, self.set_hash(&mut control, key, queues)).await;
            self.note_result(&mut control, &mut report, "hashes", done);
            if control.is_usable() && matches!(done, Some(Err(CtrlError::Refused(..)))) {
                let done = within(sleep, TIMEOUT, hash_setup::end(&mut control, &self.xen)).await;
                self.note_result(&mut control, &mut report, "hashes", done);
            }
        }
        if control.is_usable() {
            self.map_pages(&mut control, &mut report, sleep).await;
        }
        self.send_report(&mut control, report).await;
        self.control.replace(Some(control));
    }

    /// Has the device count the requests since the last report.
    pub(super) async fn send_report(&self, control: &mut Control, mut report: ControlReport) {
        report.counts = control.take_counts();
        self.mailbox.ask(Command::Control(report)).await;
    }

    async fn set_hash(&self, control: &mut Control, key: HashKey, queues: u32) -> Result<(), CtrlError> {
        let hashing = hash_setup::prepare(control, &self.xen, key, queues).await?;
        // Before the backend sends the first hash: an extra that was not negotiated is an error.
        self.mailbox.ask(Command::Hash { hashing, agreed: false }).await;
        hash_setup::begin(control, &self.xen, &hashing).await?;
        self.mailbox.ask(Command::Hash { hashing, agreed: true }).await;
        log::info!("{}: {queues} queues chosen by hash, table of {}", self.front, hashing.size);
        Ok(())
    }

    /// Logs and notes the result of a negotiation. `what` is not used, if it failed. `None`: the time was over.
    pub(super) fn note_result(
        &self,
        control: &mut Control,
        report: &mut ControlReport,
        what: &str,
        done: Option<Result<(), CtrlError>>,
    ) {
        match done {
            Some(Ok(())) => {}
            Some(Err(CtrlError::Refused(kind, status))) => {
                log::info!("{}: no {what}: the backend answers {kind} with {status}", self.front);
            }
            Some(Err(CtrlError::Broken(rule))) => {
                log::warn!("{}: no {what}: {rule}; the control ring is not used any more", self.front);
                report.broken = Some(rule);
            }
            None => {
                log::warn!("{}: no {what}: the backend does not answer on the control ring", self.front);
                control.abandon(&self.xen);
                report.silent = true;
            }
        }
    }
}
