//! The configuration of all connections, and the parameters of a new one.

use crate::seq::Seq;

/// When explicit congestion notification (RFC 3168) is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ecn {
    /// Never.
    Off,
    /// When the peer asks for it.
    #[default]
    Passive,
    /// When the peer asks for it; this host asks for it too.
    Active,
}

/// The configuration of all connections of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// The first receive window in bytes, at most 65,535: the window of a SYN is not scaled.
    pub receive_window: u32,
    /// The largest receive window of auto-tuning, in bytes. The offered window scale follows from it.
    pub receive_window_max: u32,
    /// The first size of the send buffer in bytes, sent and unsent. [`crate::Tcb::send`] refuses more.
    pub send_buffer: u32,
    /// The largest size of the send buffer in bytes. Auto-tuning gives twice the congestion window.
    pub send_buffer_max: u32,
    /// First window in segments (RFC 6928: 10, and at most 14,600 bytes).
    pub initial_window: u32,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// The smallest segment size, whatever the peer or a router asks for, in bytes of payload with options.
    pub min_mss: u16,
    /// The delay of an acknowledgment that waits for data to carry it, in milliseconds (RFC 9293 §3.8.6.3: under 500).
    pub delayed_ack_ms: u32,
    /// Data segments at the start of a connection that are acknowledged at once.
    pub quick_acks: u8,
    /// The timeout of a connection attempt in milliseconds (RFC 9293 §3.8.3: at least 3 minutes for an active open).
    pub connect_timeout_ms: u32,
    /// The duration of TIME-WAIT in milliseconds: twice the maximum segment lifetime.
    pub time_wait_ms: u32,
    /// The longest FIN-WAIT-2 of a connection that the application has closed, in milliseconds.
    pub fin_wait_2_ms: u32,
    /// Challenge ACKs of one connection in a second (RFC 5961 §7).
    pub challenge_acks: u8,
    /// Pieces of payload that a connection keeps in order at most, and as many out of order. While its window is small,
    /// the limit is one for each 512 octets of the window, and at least 64.
    pub max_pieces: u16,
    /// Records of sent ranges that a connection keeps at most.
    pub max_records: u16,
    /// States of active connections that are kept for those that become active next, about 1.1 KiB each with their lists.
    pub spares: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive_window: 65_535,
            receive_window_max: 4 * 1024 * 1024,
            send_buffer: 128 * 1024,
            send_buffer_max: 4 * 1024 * 1024,
            initial_window: 10,
            ecn: Ecn::Passive,
            min_mss: 64,
            delayed_ack_ms: 40,
            quick_acks: 16,
            connect_timeout_ms: 180_000,
            time_wait_ms: 60_000,
            fin_wait_2_ms: 60_000,
            challenge_acks: 5,
            max_pieces: 4096,
            max_records: 3072,
            spares: 64,
        }
    }
}

/// The parameters of a new connection. The caller generates the secrets.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Initial sequence number (RFC 6528).
    pub iss: Seq,
    /// Added to our clock in the timestamps option (RFC 7323 §7.1).
    pub timestamp_offset: u32,
    /// The MSS that this host announces: MTU of the link less fixed IP and TCP headers (RFC 9293 §3.7.1).
    pub announced_mss: u16,
    /// The largest payload with options for the path: the announced MSS, or less if the path MTU is known.
    pub path_mss: u16,
}

/// Options of a handshake that the caller finished without a [`crate::Tcb`] (SYN cache or cookie).
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// The peer's initial sequence number.
    pub irs: Seq,
    /// The peer's MSS option; 536 for IPv4 and 1220 for IPv6 if it sent none (RFC 9293 §3.7.1).
    pub peer_mss: u16,
    /// Window scales, the peer's and ours; `None` unless both sides sent the option.
    pub window_scale: Option<(u8, u8)>,
    /// The window of our SYN-ACK, not scaled.
    pub shown_window: u16,
    /// Both sides sent SACK-permitted.
    pub sack: bool,
    /// The peer's newest timestamp; `None` unless both sides sent the option.
    pub timestamp: Option<u32>,
    /// Both sides agreed on ECN.
    pub ecn: bool,
    /// Round-trip time of the handshake, microseconds, if known and nothing was retransmitted.
    pub rtt: Option<u32>,
}

impl Config {
    /// The window scale that is offered for [`Config::receive_window_max`] (RFC 7323 §2).
    #[must_use]
    pub fn window_scale(&self) -> u8 {
        (0_u8..14)
            .find(|shift| self.receive_window_max.wrapping_shr(u32::from(*shift)) <= 65_535)
            .unwrap_or(14)
    }
}
