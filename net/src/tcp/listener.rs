//! Listening: a port, its connections that wait to be accepted, and the tasks that wait for one.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::frame::demux::Tuple;
use crate::tcp::conn::Owner;
use crate::tcp::life::End;
use crate::tcp::stream::TcpStream;
use crate::turn::state::{Shared, State};

/// The stack's side of a listener.
pub(crate) struct Listener {
    pub(crate) options: TcpOptions,
    pub(crate) half_open: usize,
    pub(crate) ready: VecDeque<usize>,
    pub(crate) waiting: Waiting,
}

impl Listener {
    /// Connections that count against the backlog.
    pub(crate) fn pending(&self) -> usize {
        self.half_open.saturating_add(self.ready.len())
    }
}

/// Tasks that wait for the same thing, served in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    tasks: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl Waiting {
    /// Takes a place in the line, or keeps the one that `ticket` names; returns the ticket.
    fn queue(&mut self, ticket: Option<u64>, waker: &Waker) -> u64 {
        if let Some(place) = self.tasks.iter_mut().find(|(known, _)| Some(*known) == ticket) {
            place.1.clone_from(waker);
            return place.0;
        }
        self.tickets = self.tickets.wrapping_add(1);
        self.tasks.push_back((self.tickets, waker.clone()));
        self.tickets
    }

    /// Leaves the line; `false` if the ticket was called already.
    fn leave(&mut self, ticket: u64) -> bool {
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

/// Accepts TCP connections on a port. Dropping it closes the port: connections that were not accepted are reset.
pub struct TcpListener {
    state: Shared,
    port: u16,
}

impl TcpListener {
    pub(crate) fn new(state: &Shared, port: u16, options: TcpOptions) -> Result<Self, NetError> {
        if port == 0 {
            return Err(NetError::Unaddressable);
        }
        let mut shared = state.borrow_mut();
        if shared.listeners.contains_key(&port) {
            return Err(NetError::PortInUse);
        }
        let listener =
            Listener { options, half_open: 0, ready: VecDeque::new(), waiting: Waiting::default() };
        shared.listeners.insert(port, listener);
        drop(shared);
        Ok(Self { state: Rc::clone(state), port })
    }

    /// Waits for a connection. Any number of tasks may wait; each connection goes to one of them.
    ///
    /// A connection that the peer reset meanwhile is handed out too: its first read says so.
    pub async fn accept(&self) -> TcpStream {
        Accept { listener: self, ticket: None }.await
    }

    /// The port listened on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let mut state = self.state.borrow_mut();
        let Some(listener) = state.listeners.remove(&self.port) else { return };
        for id in listener.ready {
            state.orphan(id, End::Abort);
        }
        // Half-open connections find no listener when their handshake ends, and are reset then.
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("port", &self.port).finish_non_exhaustive()
    }
}

struct Accept<'a> {
    listener: &'a TcpListener,
    ticket: Option<u64>,
}

impl Future for Accept<'_> {
    type Output = TcpStream;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TcpStream> {
        let this = &mut *self;
        let mut state = this.listener.state.borrow_mut();
        if let Some((id, ends)) = take_ready(&mut state, this.listener.port) {
            if let (Some(ticket), Some(listener)) =
                (this.ticket.take(), state.listeners.get_mut(&this.listener.port))
            {
                listener.waiting.leave(ticket);
            }
            drop(state);
            return Poll::Ready(TcpStream::new(Rc::clone(&this.listener.state), id, ends));
        }
        if let Some(listener) = state.listeners.get_mut(&this.listener.port) {
            this.ticket = Some(listener.waiting.queue(this.ticket, cx.waker()));
        }
        Poll::Pending
    }
}

impl Drop for Accept<'_> {
    /// A task that was woken and then cancelled passes the connection on to the next in line.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.listener.state.borrow_mut();
        if let Some(listener) = state.listeners.get_mut(&self.listener.port)
            && !listener.waiting.leave(ticket)
            && !listener.ready.is_empty()
        {
            listener.waiting.wake_one();
        }
    }
}

fn take_ready(state: &mut State, port: u16) -> Option<(usize, Tuple)> {
    let id = state.listeners.get_mut(&port)?.ready.pop_front()?;
    let conn = state.conns.get_mut(id)?;
    conn.owner = Owner::Held;
    state.counters.accepted.bump();
    Some((id, conn.tuple))
}
