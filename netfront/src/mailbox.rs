//! Between the life of a vif, which is asynchronous, and its device, which works in turns.
//!
//! ```text
//!   Life (task) ──ask(Command)──► Mailbox ──taken at the start of a turn──► NetDevice
//!        ▲                           │                                         │
//!        └────────Reply──────────────┴────────── broken(what) ◄────────────────┘
//! ```
//!
//! The device owns queues and pools; the life owns nothing that the hot path touches. So the hot path borrows nothing
//! shared, and costs one look at a flag per turn here. One command is under way at a time.

use crate::hash::Hashing;
use crate::mapping::{Batch, Step};
use crate::misbehaviour::Misbehaviour;
use crate::pool::PoolError;
use crate::queue::Wires;
use crate::rx::RxPage;
use crate::stats::Features;
use crate::vif::Rate;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use smoltcp::wire::EthernetAddress;
use xen::signal::Signal;
use xen::{DomId, TrustedBackend};

/// What the backend and we agreed on, and the rings to do it over.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The backend's domain.
    pub(crate) backend: DomId,
    /// The toolstack's word that it can be trusted.
    pub(crate) trusted: Option<TrustedBackend>,
    /// Our address.
    pub(crate) mac: EthernetAddress,
    /// IP bytes of the longest packet.
    pub(crate) mtu: u16,
    /// What the toolstack lets us send.
    pub(crate) rate: Option<Rate>,
    /// What was agreed.
    pub(crate) features: Features,
    /// Rings and channels, one set for each queue.
    pub(crate) queues: Vec<Wires>,
}

/// What the life wants of the device.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take these rings, fill the rx rings, and show the backend what is in them.
    Connect(Box<Connection>),
    /// The backend is connected: let frames flow.
    Up,
    /// The link behind the backend is up, or down.
    Carrier(bool),
    /// Frames may come with a hash; `agreed`: they do.
    Hash {
        /// How they are hashed.
        hashing: Hashing,
        /// The backend has said so.
        agreed: bool,
    },
    /// Pages that the backend keeps mapped.
    Mapping(Step),
    /// What came of requests on the control ring, to be counted.
    Control(Asked),
    /// Pages of the control ring that the backend did not let go of.
    Lost(Vec<RxPage>),
    /// The backend is about to go: leave the rings alone.
    Stop,
    /// The backend has let go: take every page back, and give up rings and channels.
    Release,
}

/// What came of requests on the control ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Answered by the backend.
    pub(crate) answered: u64,
    /// Of these, refused.
    pub(crate) refused: u64,
    /// The backend did not answer in time.
    pub(crate) silent: bool,
    /// A rule that it broke.
    pub(crate) broken: Option<Misbehaviour>,
}

/// What the device says.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done.
    Done,
    /// Pages of which the backend is to be told next, if there are any.
    Batch(Option<Batch>),
    /// The pools could not be made ready.
    Failed(PoolError),
}

/// What the device tells the life unasked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// A rule by which the backend broke the device.
    Broken(Misbehaviour),
    /// The backend lets no more groups in.
    GroupsRefused,
    /// Pages are there that the backend is to keep mapped, or is not to any more.
    Mappings,
}

/// The meeting point.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    pending: Cell<bool>,
    command: RefCell<Option<Command>>,
    reply: RefCell<Option<Reply>>,
    answered: Signal,
    notice: Cell<Option<Notice>>,
    wake_life: RefCell<Option<Waker>>,
}

impl Mailbox {
    /// Asks the device for something, and waits until a turn has done it.
    pub(crate) async fn ask(self: &Rc<Self>, command: Command) -> Reply {
        self.answered.take();
        *self.command.borrow_mut() = Some(command);
        self.pending.set(true);
        self.taken().await;
        loop {
            self.answered.wait().await;
            if let Some(reply) = self.reply.borrow_mut().take() {
                return reply;
            }
        }
    }

    /// Waits until a turn has taken the command. It keeps waking its own task meanwhile: a loop that runs tasks after
    /// interfaces, and sleeps when no task is awake, must not sleep over a command. When there is no device any more,
    /// it waits for ever.
    async fn taken(self: &Rc<Self>) {
        poll_fn(|cx| {
            if !self.pending.get() {
                return Poll::Ready(());
            }
            if Rc::strong_count(self) > 1 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether there is a command: the one look of each turn.
    #[inline]
    pub(crate) const fn is_pending(&self) -> bool {
        self.pending.get()
    }

    /// The command, for the device.
    pub(crate) fn take(&self) -> Option<Command> {
        self.pending.set(false);
        self.command.borrow_mut().take()
    }

    /// The device's answer.
    pub(crate) fn answer(&self, reply: Reply) {
        *self.reply.borrow_mut() = Some(reply);
        self.answered.set();
    }

    /// The device tells something. That it broke is the last word.
    pub(crate) fn tell(&self, notice: Notice) {
        if matches!(notice, Notice::Broken(_)) || self.notice.get().is_none() {
            self.notice.set(Some(notice));
        }
        if let Some(waker) = self.wake_life.borrow_mut().take() {
            waker.wake();
        }
    }

    /// What the device has told, once; else the task is woken when it does.
    pub(crate) fn poll_notice(&self, cx: &Context<'_>) -> Option<Notice> {
        let notice = self.notice.take();
        if notice.is_none() {
            *self.wake_life.borrow_mut() = Some(cx.waker().clone());
        }
        notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use core::sync::atomic::{AtomicUsize, Ordering};
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
    fn a_command_keeps_its_task_awake_until_a_turn_takes_it() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let life = Rc::new(Mailbox::default());
        let device = Rc::clone(&life);
        let mut ask = pin!(life.ask(Command::Stop));
        assert!(ask.as_mut().poll(&mut cx).is_pending());
        assert!(device.is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(matches!(device.take(), Some(Command::Stop)));
        assert!(!device.is_pending() && device.take().is_none());
        device.answer(Reply::Done);
        assert!(matches!(ask.as_mut().poll(&mut cx), Poll::Ready(Reply::Done)));
    }

    #[test]
    fn without_a_device_nobody_spins() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let life = Rc::new(Mailbox::default());
        let mut ask = pin!(life.ask(Command::Stop));
        assert!(ask.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    }
}
