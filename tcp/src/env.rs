//! What a call into the engine may use: limits, counters and spare boxes.
//!
//! ```text
//!   one Env for a shard ─► on_segment, poll_transmit, on_timer, send, recv, ...
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::active::Active;
use crate::config::Config;
use crate::limiter::Limiter;

/// Shared by all connections of a shard.
#[derive(Debug)]
pub struct Env<P> {
    /// Choices.
    pub config: Config,
    /// Bytes that the ledger grants the connection of this call for what it receives. The caller sets it before a
    /// call; a connection's window goes down to it as the peer uses up what was promised.
    pub receive_grant: u32,
    /// Bytes that the ledger grants the connection of this call for what it sends.
    pub send_grant: u32,
    /// Challenge ACKs of all connections together (RFC 5961 §7).
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

/// Boxes of connections that became idle, kept for those that become active: a request on a kept connection allocates
/// nothing.
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
        /// What happened, all connections together.
        #[derive(Clone, Debug, Default)]
        pub struct Counters { $($(#[doc = $doc])+ pub $name: u64,)* }

        impl Counters {
            /// Names and values, in the order of their declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Names, help texts and values, in the order of their declaration: what a status page publishes.
            pub fn described(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Segments in.
    segments_in,
    /// Segments out; a train that the device cuts counts once.
    segments_out,
    /// Segments that the fast path took.
    fast_path,
    /// Outside the window, or an empty segment beside it (RFC 9293 §3.10.7.4, first).
    out_of_window,
    /// Older than the newest timestamp (RFC 7323 §5.3).
    paws,
    /// No ACK bit in a state that needs one.
    no_ack,
    /// Acknowledges what was not sent (RFC 9293 §3.10.7.4, fifth).
    ack_unsent,
    /// Acknowledges what is older than the largest window (RFC 5961 §5.2).
    ack_too_old,
    /// SYN on a synchronised connection (RFC 5961 §4.2).
    syn_in_connection,
    /// RST whose number is in the window but not the next one (RFC 5961 §3.2).
    rst_in_window,
    /// RST that closed a connection.
    rst,
    /// Challenge ACKs sent.
    challenge_acks,
    /// Challenge ACKs not sent because of a limit.
    challenge_acks_limited,
    /// Payload after the peer's FIN, or for an application that does not read any more.
    unwanted_data,
    /// Pieces that were dropped since a connection keeps as many as it may.
    pieces_refused,
    /// Segments that came out of order.
    out_of_order,
    /// Octets that were received twice.
    duplicate_octets,
    /// Segments sent again.
    retransmissions,
    /// Retransmission timeouts.
    timeouts,
    /// Timeouts and recoveries that were found needless and undone.
    undone,
    /// Recoveries from loss without a timeout.
    recoveries,
    /// Tail loss probes.
    tail_probes,
    /// Zero-window probes.
    window_probes,
    /// Keep-alive probes.
    keep_alives,
    /// Connections given up: no answer.
    timed_out,
    /// Packet-too-big messages that were taken.
    path_mtu,
    /// Packet-too-big and unreachable messages that were not about data in flight.
    icmp_invalid,
    /// Segment sizes lowered because full segments vanish (RFC 4821).
    black_holes,
    /// SACK blocks that cannot be.
    sack_invalid,
    /// Congestion marks that the peer echoed and that lowered the rate.
    congestion_marks,
}
