//! What becomes of a connection after smoltcp worked on it: accepted, faulty, waited for, gone.

use smoltcp::socket::tcp;
use smoltcp::time::Duration;

use crate::base::error::NetError;
use crate::base::sched::Job;
use crate::base::time;
use crate::tcp::conn::{Conn, Owner};
use crate::turn::state::State;

/// How long a connection that nobody holds may take to close. Also the end of FIN-WAIT-2, which smoltcp never leaves.
const ORPHAN_LIFE: Duration = Duration::from_secs(60);

/// How long an aborted connection that nobody holds may try to send its RST.
const ABORT_LIFE: Duration = Duration::from_secs(3);

impl State {
    /// Draws the consequences of the connection's state. `false`: it is gone.
    pub(crate) fn settle(&mut self, id: usize) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        match (conn.owner, conn.socket().state()) {
            (Owner::HalfOpen(_), tcp::State::SynReceived) => {}
            // A RST or a bad first segment: smoltcp went back to listening.
            (Owner::HalfOpen(_), tcp::State::Listen | tcp::State::Closed) => return self.remove(id),
            (Owner::HalfOpen(port), _) => self.promote(id, port),
            _ => {}
        }
        self.note_time_wait(id);
        let Some(conn) = self.conns.get_mut(id) else { return false };
        conn.note_debt(now);
        let orphan = conn.owner == Owner::Orphan;
        let opened = orphan && discard_received(conn);
        if conn.is_over() {
            self.conns.unmap(id);
            if orphan {
                return self.remove(id);
            }
        }
        if opened {
            self.mark(Job::Tcp(id));
        }
        true
    }

    /// Ends a connection whose time is up. `false`: it is gone.
    pub(crate) fn check_time(&mut self, id: usize) -> bool {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let state = conn.socket().state();
        if conn.gives_up(state).is_some_and(|at| at <= now) && state != tcp::State::Closed {
            conn.fault = Some(NetError::TimedOut);
            conn.socket_mut().abort();
            self.counters.timed_out.bump();
        }
        if conn.expires.is_none_or(|at| at > now) {
            return true;
        }
        match (conn.owner, conn.socket().state()) {
            (Owner::HalfOpen(_), _) => {
                self.counters.half_open_expired.bump();
                self.remove(id)
            }
            (_, tcp::State::Closed) => self.remove(id),
            (_, tcp::State::TimeWait) => true,
            _ => {
                conn.expires = Some(time::after(now, ABORT_LIFE));
                conn.socket_mut().abort();
                true
            }
        }
    }

    /// The handshake is finished: offers the connection to its listener.
    fn promote(&mut self, id: usize, port: u16) {
        self.conns.half_open = self.conns.half_open.saturating_sub(1);
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.expires = None;
        match self.listeners.get_mut(&port) {
            Some(listener) => {
                conn.owner = Owner::Ready;
                listener.half_open = listener.half_open.saturating_sub(1);
                listener.ready.push_back(id);
                listener.waiting.wake_one();
            }
            None => self.orphan(id, End::Abort),
        }
    }

    fn note_time_wait(&mut self, id: usize) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.socket().state() != tcp::State::TimeWait || conn.time_wait.is_some() {
            return;
        }
        conn.time_wait = Some(now);
        if conn.owner == Owner::Orphan {
            self.queue_time_wait(id);
        }
    }

    fn queue_time_wait(&mut self, id: usize) {
        if self.conns.time_wait.len() >= self.limits.time_wait
            && let Some(oldest) = self.conns.time_wait.front().copied()
        {
            self.counters.time_wait_recycled.bump();
            self.remove(oldest);
        }
        self.conns.time_wait.push_back(id);
    }

    /// The connection loses its owner: it closes in the background.
    pub(crate) fn orphan(&mut self, id: usize, end: End) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.owner = Owner::Orphan;
        // Nobody is there to be told that the peer lives, so it need not be asked.
        conn.socket_mut().set_keep_alive(None);
        match end {
            End::Close => conn.socket_mut().close(),
            End::Abort => conn.socket_mut().abort(),
        }
        let life = if conn.socket().state() == tcp::State::Closed { ABORT_LIFE } else { ORPHAN_LIFE };
        conn.expires = Some(time::after(now, life));
        if conn.time_wait.is_some() {
            self.queue_time_wait(id);
        }
        self.mark(Job::Tcp(id));
    }

    /// Forgets the connection at once, without a word to the peer. Always `false`: it is gone.
    pub(crate) fn remove(&mut self, id: usize) -> bool {
        if let Some(mut conn) = self.conns.remove(id) {
            self.sched.forget(Job::Tcp(id), &mut conn.slot);
            if let Owner::HalfOpen(port) = conn.owner
                && let Some(listener) = self.listeners.get_mut(&port)
            {
                listener.half_open = listener.half_open.saturating_sub(1);
            }
        }
        false
    }
}

/// How a connection loses its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN, after everything that was written.
    Close,
    /// With RST, at once.
    Abort,
}

/// Nobody reads what comes in: it makes room, so that the peer can get to its FIN. `true`: the window has opened.
fn discard_received(conn: &mut Conn) -> bool {
    let socket = conn.socket_mut();
    let opened = socket.can_recv();
    // The buffer is a ring: two pieces at most.
    for _ in 0..2 {
        if socket.can_recv() {
            let _ = socket.recv(|bytes| (bytes.len(), ()));
        }
    }
    opened
}
