//! A listener on the stack's side: the connections that wait for a task, and the tasks that wait for a connection.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Waker;

use crate::base::options::TcpOptions;
use crate::tcp::options::ConnOptions;

/// A port with a listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) options: Rc<ConnOptions>,
    /// New connections, and parked ones with received bytes.
    pub(crate) ready: VecDeque<u32>,
    pub(crate) waiting: Waiting,
}

impl Listener {
    pub(crate) fn new(options: TcpOptions) -> Self {
        Self {
            options: Rc::new(ConnOptions::new(options)),
            ready: VecDeque::new(),
            waiting: Waiting::default(),
        }
    }

    /// Whether the backlog is full.
    pub(crate) fn is_full(&self) -> bool {
        self.ready.len() >= self.options.backlog
    }
}

/// The listeners by port. An appliance has a few: to look along them is quicker than to search.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<(u16, Listener)>);

impl Listeners {
    #[inline]
    pub(crate) fn get(&self, port: u16) -> Option<&Listener> {
        self.0.iter().find(|(known, _)| *known == port).map(|(_, listener)| listener)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, port: u16) -> Option<&mut Listener> {
        self.0.iter_mut().find(|(known, _)| *known == port).map(|(_, listener)| listener)
    }

    /// Adds a listener on a port that has none.
    pub(crate) fn insert(&mut self, port: u16, listener: Listener) {
        self.0.push((port, listener));
    }

    pub(crate) fn remove(&mut self, port: u16) {
        self.0.retain(|(known, _)| *known != port);
    }

    /// The ports, in ascending order.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<_> = self.0.iter().map(|(port, _)| *port).collect();
        ports.sort_unstable();
        ports
    }
}

/// Tasks that wait for the same event, served in order.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    tasks: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl Waiting {
    /// Joins the queue, or stays at the place of `ticket`. Returns the ticket.
    pub(crate) fn queue(&mut self, ticket: Option<u64>, waker: &Waker) -> u64 {
        if let Some(place) = self.tasks.iter_mut().find(|(known, _)| Some(*known) == ticket) {
            place.1.clone_from(waker);
            return place.0;
        }
        self.tickets = self.tickets.wrapping_add(1);
        self.tasks.push_back((self.tickets, waker.clone()));
        self.tickets
    }

    /// Leaves the queue. Returns `false` if the task was woken already.
    pub(crate) fn leave(&mut self, ticket: u64) -> bool {
        let before = self.tasks.len();
        self.tasks.retain(|(known, _)| *known != ticket);
        self.tasks.len() != before
    }

    pub(crate) fn wake_one(&mut self) {
        if let Some((_, waker)) = self.tasks.pop_front() {
            waker.wake();
        }
    }
}
