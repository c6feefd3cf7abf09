//! Requests of TCP handles: each is passed on to the connections, with the counters.

use core::task::{Context, Poll};

use bytes::Bytes;
use tcp::tuple::FourTuple;

use crate::base::chunk::Chunk;
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::tcp::conn::Conn;
use crate::tcp::listener::Listener;
use crate::tcp::shard::End;
use crate::turn::state::State;

impl State {
    pub(crate) fn listen(&mut self, port: u16, options: TcpOptions) -> Result<(), NetError> {
        self.tcp.listen(port, options)
    }

    pub(crate) fn unlisten(&mut self, port: u16) {
        self.tcp.unlisten(port, &mut self.counters);
    }

    pub(crate) fn listener_mut(&mut self, port: u16) -> Option<&mut Listener> {
        self.tcp.listener_mut(port)
    }

    pub(crate) fn take_ready(&mut self, port: u16) -> Option<(u32, FourTuple, bool)> {
        self.tcp.take_ready(port, &mut self.counters)
    }

    pub(crate) fn park(&mut self, id: u32) {
        self.tcp.park(id, &mut self.counters);
    }

    pub(crate) fn orphan(&mut self, id: u32, end: End) {
        self.tcp.orphan(id, end, &mut self.counters);
    }

    pub(crate) fn set_conn(&mut self, id: u32, change: impl FnOnce(&mut Conn)) {
        self.tcp.set(id, &mut self.counters, change);
    }

    pub(crate) fn abort(&mut self, id: u32) {
        self.tcp.abort(id, &mut self.counters);
    }

    pub(crate) fn shutdown(&mut self, id: u32) {
        self.tcp.shutdown(id, &mut self.counters);
    }

    pub(crate) fn poll_connected(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<(), NetError>> {
        self.tcp.poll_connected(cx, id)
    }

    pub(crate) fn poll_finished(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<(), NetError>> {
        self.tcp.poll_finished(cx, id)
    }

    pub(crate) fn try_chunk(&mut self, id: u32) -> Poll<Result<Option<Chunk>, NetError>> {
        self.tcp.try_chunk(id, &mut self.counters)
    }

    pub(crate) fn try_send(&mut self, id: u32, bytes: &mut Bytes) -> Poll<Result<(), NetError>> {
        self.tcp.try_send(id, &mut self.counters, bytes)
    }

    pub(crate) fn room(&mut self, id: u32) -> usize {
        self.tcp.room(id, &mut self.counters)
    }

    pub(crate) fn poll_chunk(&mut self, cx: &Context<'_>, id: u32) -> Poll<Result<Option<Chunk>, NetError>> {
        self.tcp.poll_chunk(cx, id, &mut self.counters)
    }

    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        read: impl FnOnce(&[u8]) -> (usize, R),
    ) -> Poll<Result<R, NetError>> {
        self.tcp.poll_read(cx, id, &mut self.counters, read)
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        bytes: &mut Bytes,
    ) -> Poll<Result<(), NetError>> {
        self.tcp.poll_send(cx, id, &mut self.counters, bytes)
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        data: &[u8],
    ) -> Poll<Result<usize, NetError>> {
        self.tcp.poll_write(cx, id, &mut self.counters, data)
    }

    pub(crate) fn poll_lend<R>(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        write: &mut Option<impl FnOnce(&mut [u8]) -> (usize, R)>,
    ) -> Poll<Result<R, NetError>> {
        self.tcp.poll_lend(cx, id, &mut self.counters, write)
    }

    pub(crate) fn is_readable(&self, id: u32) -> bool {
        self.tcp.is_readable(id)
    }

    pub(crate) fn is_writable(&mut self, id: u32) -> bool {
        self.tcp.is_writable(id, &mut self.counters)
    }
}
