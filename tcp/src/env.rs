//! The environment of a call into the engine: limits, counters and spare boxes.
//!
//! ```text
//!   one Env for a shard ─► on_segment, poll_transmit, on_timer, send, recv, ...
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::active::Active;
use crate::config::Config;
use crate::limiter::Limiter;

/// The environment, shared by all connections of a shard.
#[derive(Debug)]
pub struct Env<P> {
    /// The configuration.
    pub config: Config,
    /// Bytes for received payload that the ledger grants the connection of this call. The caller sets it before a call.
    /// The window of the connection shrinks to it as the peer uses up the offered window.
    pub receive_grant: u32,
    /// Bytes for the send buffer that the ledger grants the connection of this call.
    pub send_grant: u32,
    /// The limit on challenge ACKs of all connections together (RFC 5961 §7).
    pub challenge_acks: Limiter,
    /// Counters.
    pub counters: Counters,
    pub(crate) spares: Spares<P>,
}

impl<P> Env<P> {
    /// An environment that grants what `config` allows. `challenge_acks` limits the challenge ACKs of all connections.
    #[must_use]
    pub fn new(config: Config, challenge_acks: Limiter) -> Self {
        Self {
            receive_grant: config.receive_window_max,
            send_grant: config.send_buffer_max,
            spares: Spares { boxes: Vec::new(), most: config.spares },
            config,
            challenge_acks,
            counters: Counters::default(),
        }
    }
}

/// Boxes of connections that became idle, for those that become active. A request on a kept connection then needs no
/// allocation.
#[derive(Debug)]
pub(crate) struct Spares<P> {
    #[allow(clippy::vec_box, reason = "a connection holds the box, and takes it without a copy")]
    boxes: Vec<Box<Active<P>>>,
    /// Boxes that are kept, [`Config::spares`].
    most: usize,
}

impl<P> Spares<P> {
    pub(crate) fn take(&mut self) -> Box<Active<P>> {
        self.boxes.pop().unwrap_or_else(|| Box::new(Active::new()))
    }

    pub(crate) fn give(&mut self, mut active: Box<Active<P>>) {
        if self.boxes.len() < self.most {
            active.reset();
            self.boxes.push(active);
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// The counters, over all connections.
        #[derive(Clone, Debug, Default)]
        pub struct Counters { $($(#[doc = $doc])+ pub $name: u64,)* }

        impl Counters {
            /// Names and values, in the order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Names, help texts and values, in the order of declaration, for a status page.
            pub fn described(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Received segments.
    segments_in,
    /// Sent segments. A large segment that the device cuts counts once.
    segments_out,
    /// Segments handled by the fast path.
    fast_path,
    /// Segments outside the receive window (RFC 9293 §3.10.7.4, first).
    out_of_window,
    /// Segments dropped by PAWS: older than the newest timestamp (RFC 7323 §5.3).
    paws,
    /// Segments without ACK in a state that needs it.
    no_ack,
    /// Acknowledgments of octets that were not sent (RFC 9293 §3.10.7.4, fifth).
    ack_unsent,
    /// Acknowledgments older than the largest window (RFC 5961 §5.2).
    ack_too_old,
    /// SYNs on a synchronised connection (RFC 5961 §4.2).
    syn_in_connection,
    /// RSTs in the window, without the exact sequence number (RFC 5961 §3.2).
    rst_in_window,
    /// RSTs that closed a connection.
    rst,
    /// Challenge ACKs sent.
    challenge_acks,
    /// Challenge ACKs that a limit suppressed.
    challenge_acks_limited,
    /// Segments with payload after the peer's FIN, or after the application stopped reading.
    unwanted_data,
    /// Pieces of payload dropped at the limit of pieces of a connection.
    pieces_refused,
    /// Segments received out of order.
    out_of_order,
    /// Octets received twice.
    duplicate_octets,
    /// Retransmitted segments.
    retransmissions,
    /// Retransmission timeouts.
    timeouts,
    /// Spurious timeouts and recoveries that were undone.
    undone,
    /// Recoveries from loss without a timeout.
    recoveries,
    /// Tail loss probes.
    tail_probes,
    /// Zero-window probes.
    window_probes,
    /// Keep-alive probes.
    keep_alives,
    /// Connections that timed out.
    timed_out,
    /// Packet-too-big messages that lowered a segment size.
    path_mtu,
    /// Segments of the full size that showed that the path takes them again (RFC 4821).
    path_mtu_raised,
    /// Packet-too-big and unreachable messages that do not match data in flight.
    icmp_invalid,
    /// Segment sizes lowered because full segments were lost (RFC 4821).
    black_holes,
    /// Invalid SACK blocks.
    sack_invalid,
    /// Echoed congestion marks that lowered the rate.
    congestion_marks,
}
