//! Pages that the backend keeps mapped, as it is told of them: messages 8 to 10 of the control ring.
//!
//! ```text
//!   GET_GREF_MAPPING_SIZE ─► room ─► ADD_GREF_MAPPING, up to 512 pages at a time, until all are mapped or one is refused
//!   later: a pool has grown ─► ADD     it shrinks ─► DEL, then the grants end     the vif closes ─► DEL of everything
//! ```
//!
//! The pages of the pools stay granted, so a backend that keeps them mapped needs no grant operation a frame. One that
//! cannot, has no room, falls silent or answers nonsense goes on as if nobody had asked.

use crate::ctrl::{Control, CtrlError};
use crate::life::Life;
use crate::mailbox::{Asked, Command, Reply};
use crate::mapping::{Batch, MOST, Step};
use crate::patience::within;
use alloc::boxed::Box;
use xen::Machine;
use xen::abi::io_netif::{NetifCtrlType, NetifGref};

/// Nanoseconds in which a backend has to map or unmap what it is told of, for each queue.
const PATIENCE: u64 = 2_000_000_000;

impl<M: Machine> Life<M> {
    /// Begins: asks how much room there is for each queue, and has its pages mapped.
    pub(crate) async fn map_pages(
        &self,
        control: &mut Control,
        asked: &mut Asked,
        sleep: &impl AsyncFn(u64),
    ) {
        for queue in 0..control.mapping_queues {
            let done = within(sleep, PATIENCE, self.begin_mapping(control, queue)).await;
            if self.failed(control, asked, done).await {
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
        self.tell_mappings(control, queue).await
    }

    /// Tells the backend what there is to tell about a queue.
    async fn tell_mappings(&self, control: &mut Control, queue: u32) -> Result<(), CtrlError> {
        loop {
            let next = self.mailbox.ask(Command::Mapping(Step::Next(queue))).await;
            let Reply::Batch(Some(batch)) = next else { return Ok(()) };
            let told = self.tell(control, queue, &batch).await;
            let agreed = told.is_ok();
            if !matches!(told, Err(CtrlError::Broken(_))) {
                self.mailbox.ask(Command::Mapping(Step::Done(queue, batch, agreed))).await;
            }
            told?;
        }
    }

    async fn tell(&self, control: &mut Control, queue: u32, batch: &Batch) -> Result<(), CtrlError> {
        for (at, entry) in batch.entries().take(MOST).enumerate() {
            control.table().shared().write_record(at.wrapping_mul(size_of::<NetifGref>()), &entry);
        }
        let kind = if batch.add { NetifCtrlType::AddGrefMapping } else { NetifCtrlType::DelGrefMapping };
        let count = u32::try_from(batch.len()).unwrap_or_default();
        let table = control.table().gref().0;
        // How many it says that it unmapped, and which, is its word alone: the end of a grant tells.
        control.ask(&self.xen, kind, [queue, table, count]).await.map(drop)
    }

    /// Tells the backend about pages that came, and about those that are to go.
    pub(crate) async fn renew_mappings(&self, sleep: &impl AsyncFn(u64)) {
        let Some(mut control) = self.control.take() else { return };
        if control.is_usable() {
            self.each_mapping(&mut control, sleep).await;
        }
        self.control.replace(Some(control));
    }

    /// Has everything unmapped, before a backend is left that is still there.
    pub(crate) async fn end_mappings(&self, sleep: &impl AsyncFn(u64)) {
        if self.control.borrow().as_ref().is_some_and(|control| control.is_usable()) {
            self.mailbox.ask(Command::Mapping(Step::End)).await;
            self.renew_mappings(sleep).await;
        }
    }

    async fn each_mapping(&self, control: &mut Box<Control>, sleep: &impl AsyncFn(u64)) {
        let mut asked = Asked::default();
        for queue in 0..control.mapping_queues {
            let done = within(sleep, PATIENCE, self.tell_mappings(control, queue)).await;
            if self.failed(control, &mut asked, done).await {
                break;
            }
        }
        self.report(control, asked).await;
    }

    /// Whether there is no use in going on.
    async fn failed(
        &self,
        control: &mut Control,
        asked: &mut Asked,
        done: Option<Result<(), CtrlError>>,
    ) -> bool {
        self.judge(control, asked, "pages that stay mapped", done);
        if !control.is_usable() {
            self.mailbox.ask(Command::Mapping(Step::GiveUp)).await;
        }
        !matches!(done, Some(Ok(())))
    }
}
