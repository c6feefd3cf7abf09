//! What is settled with the backend over the control ring, once frames flow.
//!
//! ```text
//!   connected ─► how queues are chosen (hash.rs) ─► agreed, or as before            each within a second or two, or not at all
//!             └► pages that stay mapped (statics.rs) ─► as many as there is room for, or none
//! ```
//!
//! Nothing here is needed: a backend that refuses, falls silent or answers nonsense costs the connection nothing but what
//! it refused.

use crate::ctrl::{Control, CtrlError};
use crate::hash;
use crate::life::Life;
use crate::mailbox::{Asked, Command};
use crate::patience::within;
use crate::toeplitz::HashKey;
use crate::wiring::make_control;
use alloc::boxed::Box;
use xen::{DomId, Gref, Machine};

/// Nanoseconds in which a backend has to answer all that it is asked about one thing.
const PATIENCE: u64 = 2_000_000_000;

impl<M: Machine> Life<M> {
    /// Makes a control ring, if it is of any use and that is possible; what xenstore is to be told of it.
    pub(crate) async fn open_control(
        &self,
        backend: DomId,
        hash: Option<(HashKey, u32)>,
        mapping_queues: u32,
    ) -> Option<(Gref, u32)> {
        self.close_control().await;
        if hash.is_none() && mapping_queues == 0 {
            return None;
        }
        match make_control(&self.xen, backend) {
            Ok(mut control) => {
                (control.hash, control.mapping_queues) = (hash, mapping_queues);
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
    pub(crate) async fn close_control(&self) {
        let lost = self.control.take().map(|control| control.close(&self.xen)).unwrap_or_default();
        if !lost.is_empty() {
            self.mailbox.ask(Command::Lost(lost)).await;
        }
    }

    /// Settles what there is to be settled.
    pub(crate) async fn configure(&self, sleep: &impl AsyncFn(u64)) {
        let Some(mut control) = self.control.take() else { return };
        let mut asked = Asked::default();
        if let Some((key, queues)) = control.hash {
            let done = within(sleep, PATIENCE, self.set_hash(&mut control, key, queues)).await;
            self.judge(&mut control, &mut asked, "hashes", done);
            if control.is_usable() && matches!(done, Some(Err(CtrlError::Refused(..)))) {
                let done = within(sleep, PATIENCE, hash::end(&mut control, &self.xen)).await;
                self.judge(&mut control, &mut asked, "hashes", done);
            }
        }
        if control.is_usable() {
            self.map_pages(&mut control, &mut asked, sleep).await;
        }
        self.report(&mut control, asked).await;
        self.control.replace(Some(control));
    }

    /// Has counted what was asked since the last time.
    pub(crate) async fn report(&self, control: &mut Control, mut asked: Asked) {
        asked.answered = core::mem::take(&mut control.answered);
        asked.refused = core::mem::take(&mut control.refused);
        self.mailbox.ask(Command::Control(asked)).await;
    }

    async fn set_hash(&self, control: &mut Control, key: HashKey, queues: u32) -> Result<(), CtrlError> {
        let hashing = hash::prepare(control, &self.xen, key, queues).await?;
        // Before the backend sends the first: what was not agreed upon is dropped.
        self.mailbox.ask(Command::Hash { hashing, agreed: false }).await;
        hash::begin(control, &self.xen, &hashing).await?;
        self.mailbox.ask(Command::Hash { hashing, agreed: true }).await;
        log::info!("{}: {queues} queues chosen by hash, table of {}", self.front, hashing.size);
        Ok(())
    }

    /// Says and notes what came of something.
    pub(crate) fn judge(
        &self,
        control: &mut Control,
        asked: &mut Asked,
        what: &str,
        done: Option<Result<(), CtrlError>>,
    ) {
        match done {
            Some(Ok(())) => {}
            Some(Err(CtrlError::Refused(kind, status))) => {
                log::info!("{}: no {what}: the backend answers {kind} with {status}", self.front);
            }
            Some(Err(CtrlError::Broken(rule))) => {
                log::warn!("{}: no {what}: {rule}; the control ring is left alone", self.front);
                asked.broken = Some(rule);
            }
            None => {
                log::warn!("{}: no {what}: the backend does not answer on the control ring", self.front);
                control.give_up(&self.xen);
                asked.silent = true;
            }
        }
    }
}
