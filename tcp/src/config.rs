//! What is the same for all connections, and what a connection is opened with.

use crate::seq::Seq;

/// When explicit congestion notification (RFC 3168) is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ecn {
    /// Never.
    Off,
    /// When the peer asks for it.
    #[default]
    Passive,
    /// When the peer asks for it, and asked for by us.
    Active,
}

/// Choices for all connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Receive window at the start, bytes; at most 65,535, since a SYN's window is not scaled.
    pub receive_window: u32,
    /// Receive window that auto-tuning reaches at most, bytes. The window scale that is offered goes by it.
    pub receive_window_max: u32,
    /// Bytes queued to be sent, acknowledged or not, from which on [`crate::Tcb::send`] refuses, at the start.
    pub send_buffer: u32,
    /// The same after auto-tuning: twice the congestion window, at most this.
    pub send_buffer_max: u32,
    /// First window in segments (RFC 6928: 10, and at most 14,600 bytes).
    pub initial_window: u32,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// Segment size below which we do not go, whatever the peer or a router says, bytes of payload with options.
    pub min_mss: u16,
    /// An acknowledgment waits for data to ride on for at most this long, milliseconds (RFC 9293 §3.8.6.3: under 500).
    pub delayed_ack_ms: u32,
    /// Data segments at the start of a connection that are acknowledged at once.
    pub quick_acks: u8,
    /// A SYN is given up after this long, milliseconds (RFC 9293 §3.8.3: at least 3 minutes for an active open).
    pub connect_timeout_ms: u32,
    /// Twice the maximum segment lifetime: how long TIME-WAIT lasts, milliseconds.
    pub time_wait_ms: u32,
    /// FIN-WAIT-2 of a connection that the application has let go lasts at most this long, milliseconds.
    pub fin_wait_2_ms: u32,
    /// Challenge ACKs of one connection in a second (RFC 5961 §7).
    pub challenge_acks: u8,
    /// Pieces of payload that one connection keeps in order, and the same number out of order; fewer while its window
    /// is small: one for every 512 octets of it, and at least 64.
    pub max_pieces: u16,
    /// Records of sent ranges that one connection keeps.
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

/// What a connection is opened with. The caller's generators made the secrets.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// Initial sequence number (RFC 6528).
    pub iss: Seq,
    /// Added to our clock in the timestamps option (RFC 7323 §7.1).
    pub timestamp_offset: u32,
    /// The MSS that we announce: MTU of the link less fixed IP and TCP headers (RFC 9293 §3.7.1).
    pub announced_mss: u16,
    /// Largest payload with options that the path takes: the announced MSS, or less if the path is known.
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
    /// The window that our SYN-ACK showed, not scaled.
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
