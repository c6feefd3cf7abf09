//! The mailbox between the connection task, which is asynchronous, and the device, which works in loop iterations.
//!
//! ```text
//!   ConnectionTask ──ask(Command)──► Mailbox ──taken at the beginning of an iteration──► NetDevice
//!        ▲  ▲                           │                                                │ │
//!        │  └────────── Reply ──────────┴────────────────────────────────────────────────┘ │
//!        └───────────── Notice ◄───────────────────────────────────────────────────────────┘
//! ```
//!
//! The device owns queues and pools; the connection task owns nothing that the packet path touches. So the packet path
//! borrows nothing shared, and the mailbox costs it one read of a flag in an iteration. A pending command is work:
//! [`Nic::final_check`](nic::Nic::final_check) reports it, so that the loop does not sleep before the device has taken it.
//! There is one command at a time.

use super::stats::Features;
use crate::queue::QueueRings;
use crate::queue::gref_batch::Batch;
use crate::wire::hashing::Hashing;
use crate::wire::misbehaviour::Misbehaviour;
use crate::wire::rate::Rate;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};
use nic::HashKey;
use pool::PoolError;
use smoltcp::wire::EthernetAddress;
use xen::signal::Signal;
use xen::{Counter, DomId, GrantedPage, TrustedBackend};

/// The terms of a connection, and its ring resources.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The backend's domain.
    pub(crate) backend: DomId,
    /// The proof that the toolstack trusts the backend.
    pub(crate) trusted: Option<TrustedBackend>,
    /// The MAC address.
    pub(crate) mac: EthernetAddress,
    /// IP bytes of the longest packet.
    pub(crate) mtu: u16,
    /// The transmit limit of the vif.
    pub(crate) rate: Option<Rate>,
    /// The negotiated features.
    pub(crate) features: Features,
    /// The ring resources of each queue.
    pub(crate) queues: Vec<QueueRings>,
}

/// What the connection task asks of the device.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take these rings into use, fill the rx rings, and show them to the backend.
    Connect(Box<Connection>),
    /// The backend is connected: let frames flow.
    Up,
    /// The link behind the backend is up, or down.
    Carrier(bool),
    /// Frames may come with a hash.
    Hash {
        /// The parameters of the hash.
        hashing: Hashing,
        /// Whether the backend has agreed.
        agreed: bool,
    },
    /// A step about the pages that the backend keeps mapped.
    Mapping(Step),
    /// Count these requests on the control ring.
    Control(ControlReport),
    /// Keep these pages of the control ring: the backend still uses them.
    InUse(Vec<GrantedPage>),
    /// The backend is closing: stop all frames.
    Stop,
    /// The backend has closed: take all pages back, and give up rings and channels.
    Release,
    /// The backend is gone: as `Release`, and end all grants.
    Revoke,
}

/// A step about the pages of a queue that the backend keeps mapped. The first number is the queue.
#[derive(Debug)]
pub(crate) enum Step {
    /// The backend has room for this many pages of the queue.
    Begin(u32, usize),
    /// Return the next batch for the queue.
    Next(u32),
    /// The backend was told of a batch; whether it agreed.
    Done(u32, Batch, bool),
    /// All pages of all queues are to be unmapped.
    End,
    /// The backend cannot be asked any more.
    Abandon,
}

/// Requests on the control ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ControlCounts {
    /// Requests that the backend answered.
    pub(crate) answered: Counter,
    /// Requests that the backend refused.
    pub(crate) refused: Counter,
}

/// Requests on the control ring, to be counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ControlReport {
    /// The requests since the last report.
    pub(crate) counts: ControlCounts,
    /// It did not answer in time.
    pub(crate) silent: bool,
    /// The rule that it broke.
    pub(crate) broken: Option<Misbehaviour>,
}

/// The device's answer to a command.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done.
    Done,
    /// The next batch, if there is one.
    Batch(Option<Batch>),
    /// The pools could not be prepared.
    Failed(PoolError),
}

/// What the device tells the connection task by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The backend broke the device by this rule.
    Broken(Misbehaviour),
    /// The backend refused a multicast group.
    GroupsRefused,
    /// The backend is to be told of pages to map or unmap.
    Mappings,
}

/// The mailbox of a vif.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    has_command: Cell<bool>,
    command: RefCell<Option<Command>>,
    reply: RefCell<Option<Reply>>,
    answered: Signal,
    /// The notices that were not taken yet, one of each kind.
    broken: Cell<Option<Misbehaviour>>,
    groups_refused: Cell<bool>,
    mappings: Cell<bool>,
    /// The secret for hashes, which the next connection tells its backend.
    pub(crate) hash_key: Cell<Option<HashKey>>,
    /// Wakes the connection task at the next notice.
    waker: RefCell<Option<Waker>>,
}

impl Mailbox {
    /// Asks the device to run a command, and waits for its answer. Without a device, waits for ever.
    pub(crate) async fn ask(&self, command: Command) -> Reply {
        self.answered.take();
        *self.command.borrow_mut() = Some(command);
        self.has_command.set(true);
        loop {
            self.answered.wait().await;
            if let Some(reply) = self.reply.borrow_mut().take() {
                return reply;
            }
        }
    }

    /// Whether there is a command. The device reads this once an iteration.
    #[inline]
    pub(crate) const fn has_command(&self) -> bool {
        self.has_command.get()
    }

    /// Takes the command, for the device.
    pub(crate) fn take(&self) -> Option<Command> {
        self.has_command.set(false);
        self.command.borrow_mut().take()
    }

    /// Answers the command.
    pub(crate) fn answer(&self, reply: Reply) {
        *self.reply.borrow_mut() = Some(reply);
        self.answered.set();
    }

    /// Leaves a notice and wakes the connection task. Each kind of notice is kept until it is taken.
    pub(crate) fn notify(&self, notice: Notice) {
        match notice {
            Notice::Broken(what) => self.broken.set(Some(what)),
            Notice::GroupsRefused => self.groups_refused.set(true),
            Notice::Mappings => self.mappings.set(true),
        }
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes a notice: the broken device first. Without one, the task is woken at the next.
    pub(crate) fn poll_notice(&self, cx: &Context<'_>) -> Option<Notice> {
        if let Some(what) = self.broken.take() {
            return Some(Notice::Broken(what));
        }
        if self.groups_refused.take() {
            return Some(Notice::GroupsRefused);
        }
        if self.mappings.take() {
            return Some(Notice::Mappings);
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use core::task::Poll;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_command_waits_for_the_device_and_wakes_nobody() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mailbox = Mailbox::default();
        let mut ask = pin!(mailbox.ask(Command::Stop));
        assert!(ask.as_mut().poll(&mut cx).is_pending());
        assert!(mailbox.has_command());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "the command is the loop's work, not the task's");
        assert!(matches!(mailbox.take(), Some(Command::Stop)));
        assert!(!mailbox.has_command() && mailbox.take().is_none());
        mailbox.answer(Reply::Done);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(matches!(ask.as_mut().poll(&mut cx), Poll::Ready(Reply::Done)));
    }

    #[test]
    fn no_notice_is_lost_to_another() {
        let mailbox = Mailbox::default();
        let cx = Context::from_waker(Waker::noop());
        let what = Misbehaviour::TxNull;
        for notices in [
            [Notice::Mappings, Notice::GroupsRefused, Notice::Broken(what)],
            [Notice::Broken(what), Notice::GroupsRefused, Notice::Mappings],
        ] {
            notices.into_iter().for_each(|notice| mailbox.notify(notice));
            let taken = core::array::from_fn(|_| mailbox.poll_notice(&cx));
            assert_eq!(taken, [Notice::Broken(what), Notice::GroupsRefused, Notice::Mappings].map(Some));
            assert_eq!(mailbox.poll_notice(&cx), None);
        }
    }
}
