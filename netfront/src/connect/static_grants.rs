//! Pages that the backend keeps mapped: messages 8 to 10 of the control ring.
//!
//! ```text
//!   GET_GREF_MAPPING_SIZE ─► room ─► ADD_GREF_MAPPING, up to 512 pages at a time, until all are mapped or one is refused
//!   later: a pool grows ─► ADD      a pool shrinks ─► DEL, then the grants end      the vif closes ─► DEL of all pages
//! ```
//!
//! The pages of the pools stay granted, so a backend that keeps them mapped needs no grant operation for each frame. A
//! backend that cannot, has no room, does not answer or breaks a rule goes on without.

use super::ConnectionTask;
use super::control_ring::{Control, CtrlError};
use super::timeout::within;
use crate::device::mailbox::{Command, ControlReport, Reply, Step};
use crate::queue::gref_batch::{Batch, MAX_ENTRIES};
use alloc::boxed::Box;
use xen::Machine;
use xen::abi::io_netif::{NetifCtrlType, NetifGref};

/// Nanoseconds in which a backend has to map or unmap the pages of a queue.
const TIMEOUT: u64 = 2_000_000_000;

impl<M: Machine> ConnectionTask<M> {
    /// Asks for the room for each queue, and has its pages mapped.
    pub(super) async fn map_pages(
        &self,
        control: &mut Control,
        report: &mut ControlReport,
        sleep: &impl AsyncFn(u64),
    ) {
        for queue in 0..control.mapping_queues() {
            let done = within(sleep, TIMEOUT, self.begin_mapping(control, queue)).await;
            if self.mapping_failed(control, report, done).await {
                return;
            }
        }
    }

    async fn begin_mapping(&self, control: &mut Control, queue: u32) -> Result<(), CtrlError> {
        let room = control.ask(&self.xen, NetifCtrlType::GetGrefMappingSize, [queue, 0, 0]).await?;
        if room == 0 {
            return Ok(());
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.mailbox.ask(Command::Mapping(Step::Begin(queue, room))).await;
        self.send_batches(control, queue).await
    }

    /// Tells the backend of the pages of a queue, batch by batch.
    async fn send_batches(&self, control: &mut Control, queue: u32) -> Result<(), CtrlError> {
        loop {
            let next = self.mailbox.ask(Command::Mapping(Step::Next(queue))).await;
            let Reply::Batch(Some(batch)) = next else { return Ok(()) };
            let sent = self.send_batch(control, queue, &batch).await;
            let agreed = sent.is_ok();
            if !matches!(sent, Err(CtrlError::Broken(_))) {
                self.mailbox.ask(Command::Mapping(Step::Done(queue, batch, agreed))).await;
            }
            sent?;
        }
    }

    async fn send_batch(&self, control: &mut Control, queue: u32, batch: &Batch) -> Result<(), CtrlError> {
        for (at, entry) in batch.entries().take(MAX_ENTRIES).enumerate() {
            control.table().shared().write_record(at.wrapping_mul(size_of::<NetifGref>()), &entry);
        }
        let kind = if batch.is_add() { NetifCtrlType::AddGrefMapping } else { NetifCtrlType::DelGrefMapping };
        let count = u32::try_from(batch.len()).unwrap_or_default();
        let table = control.table().gref().0;
        // The count of unmapped pages in the response is not used: the end of each grant shows whether it is mapped.
        control.ask(&self.xen, kind, [queue, table, count]).await.map(drop)
    }

    /// Tells the backend of pages that came, and of pages that are to go.
    pub(super) async fn update_mappings(&self, sleep: &impl AsyncFn(u64)) {
        let Some(mut control) = self.control.take() else { return };
        if control.is_usable() {
            self.update_all_mappings(&mut control, sleep).await;
        }
        self.control.replace(Some(control));
    }

    /// Has all pages unmapped, before leaving a backend that is still there.
    pub(super) async fn end_mappings(&self, sleep: &impl AsyncFn(u64)) {
        if self.control.borrow().as_ref().is_some_and(|control| control.is_usable()) {
            self.mailbox.ask(Command::Mapping(Step::End)).await;
            self.update_mappings(sleep).await;
        }
    }

    async fn update_all_mappings(&self, control: &mut Box<Control>, sleep: &impl AsyncFn(u64)) {
        let mut report = ControlReport::default();
        for queue in 0..control.mapping_queues() {
            let done = within(sleep, TIMEOUT, self.send_batches(control, queue)).await;
            if self.mapping_failed(control, &mut report, done).await {
                break;
            }
        }
        self.send_report(control, report).await;
    }

    /// Notes a result. Returns whether there is no use in going on.
    async fn mapping_failed(
        &self,
        control: &mut Control,
        report: &mut ControlReport,
        done: Option<Result<(), CtrlError>>,
    ) -> bool {
        self.note_result(control, report, "pages that stay mapped", done);
        if !control.is_usable() {
            self.mailbox.ask(Command::Mapping(Step::Abandon)).await;
        }
        !matches!(done, Some(Ok(())))
    }
}
