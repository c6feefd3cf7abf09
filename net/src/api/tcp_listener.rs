//! A TCP listener as an application holds it.

use alloc::rc::Rc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::api::tcp_stream::TcpStream;
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::turn::state::Shared;

/// Accepts TCP connections on a port. Dropping it closes the port: connections that were not accepted, and those that are
/// parked, are reset.
pub struct TcpListener {
    state: Shared,
    port: u16,
}

impl TcpListener {
    pub(crate) fn new(state: &Shared, port: u16, options: TcpOptions) -> Result<Self, NetError> {
        if port == 0 {
            return Err(NetError::Unaddressable);
        }
        state.borrow_mut().listen(port, options)?;
        Ok(Self { state: Rc::clone(state), port })
    }

    /// Waits for a connection. Any number of tasks may wait; each connection goes to one of them.
    ///
    /// A connection that the peer reset meanwhile is handed out too: its first read says so.
    pub async fn accept(&self) -> TcpStream {
        self.ready().await
    }

    /// Waits for a connection that is new, or that was parked ([`TcpStream::park`]) and has something to read now.
    ///
    /// A server that parks its connections needs a task for each request and none for each connection.
    pub async fn ready(&self) -> TcpStream {
        Ready { listener: self, ticket: None }.await
    }

    /// The port listened on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.state.borrow_mut().unlisten(self.port);
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("port", &self.port).finish_non_exhaustive()
    }
}

struct Ready<'a> {
    listener: &'a TcpListener,
    ticket: Option<u64>,
}

impl Future for Ready<'_> {
    type Output = TcpStream;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TcpStream> {
        let this = &mut *self;
        let port = this.listener.port;
        let mut state = this.listener.state.borrow_mut();
        if let Some((id, ends, is_new)) = state.take_ready(port) {
            if let (Some(ticket), Some(listener)) = (this.ticket.take(), state.listener_mut(port)) {
                listener.waiting.leave(ticket);
            }
            drop(state);
            return Poll::Ready(TcpStream::new(&this.listener.state, id, ends, is_new));
        }
        if let Some(listener) = state.listener_mut(port) {
            this.ticket = Some(listener.waiting.queue(this.ticket, cx.waker()));
        }
        Poll::Pending
    }
}

impl Drop for Ready<'_> {
    /// A task that was woken and then cancelled passes the connection on to the next in line.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.listener.state.borrow_mut();
        if let Some(listener) = state.listener_mut(self.listener.port)
            && !listener.waiting.leave(ticket)
            && !listener.ready.is_empty()
        {
            listener.waiting.wake_one();
        }
    }
}
