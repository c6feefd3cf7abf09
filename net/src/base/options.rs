//! What an application chooses for a socket.

use core::time::Duration;

/// Choices for a TCP connection, or for all connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Bytes that may be received and unread at most: the largest window that is offered. It is no memory until they are.
    pub rx_buffer: usize,
    /// Bytes that may be written and unacknowledged at most. It is no memory until they are.
    pub tx_buffer: usize,
    /// Hold small segments back while others are unacknowledged (RFC 896). Off: answers leave at once.
    pub nagle: bool,
    /// How long an acknowledgement may wait for data to ride on; `None`: never.
    pub ack_delay: Option<Duration>,
    /// After this much silence, ask whether the peer is still there.
    pub keep_alive: Option<Duration>,
    /// Give up when the peer is silent for this long while it owes us an acknowledgement (data, FIN or keep-alive).
    /// An idle connection without keep-alive is never given up. `None`: never give up.
    pub timeout: Option<Duration>,
    /// Give up connecting after this long.
    pub connect_timeout: Duration,
    /// Listener only: connections that are not accepted yet. A SYN beyond is dropped.
    pub backlog: usize,
    /// Listener only: how long a connection may be parked ([`crate::TcpStream::park`]) before it is closed. While bytes are
    /// unacknowledged it stays as long as the peer takes 4 KiB of them in a second, and is reset else. `None`: for ever.
    pub idle: Option<Duration>,
}

impl TcpOptions {
    /// Bytes of each buffer by default: enough for 10 MB/s over 100 ms.
    pub const DEFAULT_BUFFER: usize = 1024 * 1024;
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            rx_buffer: Self::DEFAULT_BUFFER,
            tx_buffer: Self::DEFAULT_BUFFER,
            nagle: false,
            ack_delay: Some(Duration::from_millis(10)),
            keep_alive: None,
            timeout: Some(Duration::from_secs(100)),
            connect_timeout: Duration::from_secs(30),
            backlog: 256,
            idle: None,
        }
    }
}

/// Choices for a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Datagrams that may wait to be received; more are dropped.
    pub rx_packets: usize,
    /// Bytes of payload that may wait to be received.
    pub rx_bytes: usize,
    /// Datagrams that may wait to be sent.
    pub tx_packets: usize,
    /// Bytes of payload that may wait to be sent.
    pub tx_bytes: usize,
    /// Datagrams wait in the pages in which they came, and [`crate::UdpSocket::recv_owned`] hands these over: a copy
    /// less for each, and a page less for the interface for as long as the datagram is kept.
    pub in_place: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { rx_packets: 64, rx_bytes: 64 * 1024, tx_packets: 64, tx_bytes: 32 * 1024, in_place: false }
    }
}
