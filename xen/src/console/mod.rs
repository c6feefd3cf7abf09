//! The console: text out, lines in, and never a wait for the other side.
//!
//! ```text
//!   write ──► Output: queue of 32 KiB ──pump──► out[2048] ──► xenconsoled
//!                 full: the oldest whole lines go, "[N lines lost]" stands in their place
//!   read_line ◄── Lines: up to 16 ◄──pump── in[1024] ◄────── xenconsoled
//! ```
//!
//! The other end may not read, read slowly, or write impossible indexes; the guest goes on in each case. Lines that
//! find no room are lost and counted.
//!
//! `output` and `input` do not depend on rings; `byte_ring` does not depend on lines.

mod input;
mod output;
#[cfg(test)]
mod tests;

use crate::abi::io_console::{DISCONNECTED, IN_BYTES, OUT_BYTES, offset};
use crate::hypervisor::Hypervisor;
use crate::ids::EvtchnPort;
use crate::memory::shared::Shared;
use crate::ring::byte_ring::{Incoming, Layout, Outgoing};
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::Ordering::Relaxed;
use core::task::Poll;
use input::Lines;
use output::Output;

const IN: Layout = Layout { data: offset::IN, size: 1024, cons: offset::IN_CONS, prod: offset::IN_PROD };
const OUT: Layout = Layout { data: offset::OUT, size: 2048, cons: offset::OUT_CONS, prod: offset::OUT_PROD };
const _: () = assert!(IN_BYTES == 1024 && OUT_BYTES == 2048);

crate::counters! {
    /// What the console has counted since boot.
    pub struct ConsoleStats {
        /// Lines of output dropped because they were not read in time.
        lines_lost,
        /// Lines of input cut because they were too long.
        lines_cut,
        /// Lines of input dropped because no reader took them.
        lines_refused,
        /// Ring indexes of the peer that were out of range.
        bad_indexes,
        /// Notifications sent.
        notifications,
        /// Notifications that Xen refused.
        notify_failures,
    }
}

/// The domain's first console.
#[derive(Debug)]
pub struct Console {
    page: Cell<Shared<'static>>,
    port: Cell<EvtchnPort>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    outgoing: Outgoing,
    incoming: Incoming,
    output: Output,
    lines: Lines,
    stats: ConsoleStats,
}

impl Console {
    /// A console over the ring page that the toolstack set up (`HVM_PARAM_CONSOLE_PFN`, `HVM_PARAM_CONSOLE_EVTCHN`).
    ///
    /// It goes on where the indexes in the page say: input that came for a former user of the ring is read.
    #[must_use]
    pub fn new(ring: Shared<'static>, port: EvtchnPort) -> Self {
        let state = State {
            outgoing: Outgoing::attach(ring, OUT),
            incoming: Incoming::attach(ring, IN),
            output: Output::default(),
            lines: Lines::default(),
            stats: ConsoleStats::default(),
        };
        Self { page: Cell::new(ring), port: Cell::new(port), state: RefCell::new(state) }
    }

    /// Continues over another page and port, as after a restore. Queued text stays queued.
    pub fn reconnect(&self, ring: Shared<'static>, port: EvtchnPort) {
        self.page.set(ring);
        self.port.set(port);
        let mut state = self.state.borrow_mut();
        state.outgoing = Outgoing::attach(ring, OUT);
        state.incoming = Incoming::attach(ring, IN);
    }

    /// Queues text; `\n` becomes `\r\n` for terminals. Never waits; [`Console::pump`] sends it.
    pub fn write(&self, text: &[u8]) {
        // Borrowed only if a panic comes from within: then its report goes by `write_sync_best_effort`.
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.output.write(text);
        }
    }

    /// Moves output into the ring and input out of it. Sends at most one notification, and only if something moved.
    /// Whether there was progress.
    ///
    /// # Ordering
    /// Bytes before `out_prod` (release), that before the notification; `in_prod` (acquire) before the bytes, those
    /// before `in_cons` (release).
    pub fn pump(&self, h: &impl Hypervisor) -> bool {
        let Ok(mut state) = self.state.try_borrow_mut() else { return false };
        let received = state.receive();
        let sent = state.send();
        let waker = if received { state.lines.take_waker() } else { None };
        drop(state);
        self.notify(h, received || sent);
        if let Some(waker) = waker {
            waker.wake();
        }
        received || sent
    }

    /// Whether there is nothing left to do for [`Console::pump`]: everything is in the ring, or the ring is full and
    /// the console says that it does not read it (Xen 4.21 on). Its event when it connects begins the next pump.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let nothing_to_do =
            |state: &State| state.output.is_empty() || (!self.is_connected() && state.outgoing.is_full());
        self.state.try_borrow().is_ok_and(|state| nothing_to_do(&state))
    }

    /// Whether the console reads the ring, as far as it says: before Xen 4.21 it says nothing.
    fn is_connected(&self) -> bool {
        self.page.get().load::<u8>(offset::CONNECTION, Relaxed) != DISCONNECTED
    }

    /// Waits for a line of input, without its end: at most 256 bytes of UTF-8 without control characters.
    pub async fn read_line(&self) -> String {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let (line, _dropped_outside) = {
                let mut state = self.state.borrow_mut();
                match state.lines.take() {
                    Some(line) => (Poll::Ready(line), None),
                    None => (Poll::Pending, state.lines.set_waker(waker)),
                }
            };
            line
        })
        .await
    }

    /// For a crash report: prints the queued text and then `text` while the other end reads, and yields at most
    /// `max_spins` times. May be called at any moment, also while the console is in use. Whether all of
    /// `text` is in the ring.
    pub fn write_sync_best_effort(&self, h: &impl Hypervisor, text: &[u8], max_spins: u32) -> bool {
        let Ok(mut state) = self.state.try_borrow_mut() else {
            // The crash interrupted this code; the queue is lost, and our index is the one in the page.
            let mut outgoing = Outgoing::attach(self.page.get(), OUT);
            let mut output = Output::default();
            output.write(text);
            return self.drain(h, &mut outgoing, &mut output, max_spins);
        };
        let State { outgoing, output, .. } = &mut *state;
        // The old text has half of the time; the new one is more important.
        if !self.drain(h, outgoing, output, max_spins / 2) {
            output.drop_queued();
        }
        output.write(text);
        self.drain(h, outgoing, output, max_spins.saturating_sub(max_spins / 2))
    }

    /// Sends and yields until `output` is empty, at most `max_spins` times; never if nobody reads.
    fn drain(
        &self,
        h: &impl Hypervisor,
        outgoing: &mut Outgoing,
        output: &mut Output,
        max_spins: u32,
    ) -> bool {
        let spins = if self.is_connected() { max_spins } else { 0 };
        for _ in 0..spins {
            let sent = output.send(|bytes| outgoing.write(bytes));
            match sent {
                Ok(0) => {}
                Ok(_) => self.ring_once(h),
                Err(_) => outgoing.resynchronise(),
            }
            if output.is_empty() {
                return true;
            }
            h.sched_yield();
        }
        // The text that fits is sent also with `max_spins` 0.
        if output.send(|bytes| outgoing.write(bytes)).is_ok_and(|sent| sent != 0) {
            self.ring_once(h);
        }
        output.is_empty()
    }

    /// Notifies without counting: the counters may be borrowed.
    fn ring_once(&self, h: &impl Hypervisor) {
        let _ = h.evtchn_send(self.port.get());
    }

    /// The console's counters since boot.
    #[must_use]
    pub fn stats(&self) -> ConsoleStats {
        let Ok(state) = self.state.try_borrow() else { return ConsoleStats::default() };
        ConsoleStats {
            lines_lost: state.output.lines_lost(),
            lines_cut: state.lines.cut(),
            lines_refused: state.lines.refused(),
            ..state.stats
        }
    }

    fn notify(&self, h: &impl Hypervisor, moved: bool) {
        if !moved {
            return;
        }
        let refused = h.evtchn_send(self.port.get()).is_err();
        if let Ok(mut state) = self.state.try_borrow_mut() {
            let count =
                if refused { &mut state.stats.notify_failures } else { &mut state.stats.notifications };
            count.bump();
        }
    }
}

impl State {
    /// Takes the bytes of the input ring. Returns whether there were any.
    fn receive(&mut self) -> bool {
        // In most iterations there is nothing: then no buffer is made.
        if !self.incoming.has_news() {
            return false;
        }
        let mut buffer = [0; IN_BYTES];
        if let Ok(bytes) = self.incoming.read(&mut buffer) {
            self.lines.push(bytes);
            return !bytes.is_empty();
        }
        self.stats.bad_indexes.bump();
        self.incoming.discard();
        false
    }

    /// Fills the ring of output; whether there was something to fill it with, and room.
    fn send(&mut self) -> bool {
        let Self { outgoing, output, stats, .. } = self;
        output.send(|bytes| outgoing.write(bytes)).map_or_else(
            |_overrun| {
                stats.bad_indexes.bump();
                outgoing.resynchronise();
                false
            },
            |sent| sent != 0,
        )
    }
}

impl fmt::Write for &Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
