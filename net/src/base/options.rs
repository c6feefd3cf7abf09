//! The options of sockets.

use core::time::Duration;

/// The options of a TCP connection, or of all connections of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// The largest receive window, in bytes: received bytes that the application has not read. Memory is taken as they
    /// arrive.
    pub rx_buffer: usize,
    /// The send buffer, in bytes: written bytes that the peer has not acknowledged. Memory is taken as they are written.
    pub tx_buffer: usize,
    /// Delays small segments while others are unacknowledged (Nagle, RFC 896). Off: answers are sent at once.
    pub nagle: bool,
    /// How long an acknowledgement waits for data to carry it. `None`: not at all.
    pub ack_delay: Option<Duration>,
    /// The silence after which a keep-alive probe is sent.
    pub keep_alive: Option<Duration>,
    /// The user timeout (RFC 9293 §3.8.3): the connection ends when an acknowledgement (of data, FIN or keep-alive) is
    /// missing for this long. It does not apply to an idle connection without keep-alive. `None`: no timeout.
    pub timeout: Option<Duration>,
    /// The timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Listener only: connections that wait to be accepted. At the limit a SYN is dropped.
    pub backlog: usize,
    /// Listener only: how long a connection may be parked ([`crate::TcpStream::park`]) before it is closed. While bytes are
    /// unacknowledged, it stays while the peer takes 4 KiB of them a second, and is reset otherwise. `None`: no limit.
    pub idle: Option<Duration>,
}

impl TcpOptions {
    /// The default size of each buffer, in bytes: 10 MB/s over 100 ms.
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

/// The options of a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Datagrams in the receive queue at most. Others are dropped.
    pub rx_packets: usize,
    /// Bytes of payload in the receive queue at most.
    pub rx_bytes: usize,
    /// Datagrams in the send queue at most.
    pub tx_packets: usize,
    /// Bytes of payload in the send queue at most.
    pub tx_bytes: usize,
    /// Datagrams stay in the pages into which they were received, and [`crate::UdpSocket::recv_owned`] returns these.
    /// This saves a copy; the interface lacks the page until the datagram is dropped.
    pub in_place: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self { rx_packets: 64, rx_bytes: 64 * 1024, tx_packets: 64, tx_bytes: 32 * 1024, in_place: false }
    }
}
