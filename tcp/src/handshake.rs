//! The handshake of a connection without a control block: the state in a SYN cache or a cookie.
//!
//! ```text
//!   SYN ─► HalfOpen ─► SYN-ACK          HalfOpen, ACK ─► Agreed ─► Tcb::established
//! ```

use smoltcp::time::{Duration, Instant};

use crate::config::{Agreed, Config, Ecn};
use crate::segment::{Flags, Segment, Timestamps};
use crate::seq::Seq;
use crate::time::{micros, millis32};

/// Numbers and options of the two SYNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfOpen {
    /// The peer's initial sequence number.
    pub irs: Seq,
    /// Our initial sequence number.
    pub iss: Seq,
    /// The peer's timestamp, if it sent the option.
    pub timestamp: Option<u32>,
    /// The peer's MSS.
    pub peer_mss: u16,
    /// The peer's window scale, if it sent the option.
    pub window_scale: Option<u8>,
    /// SACK is agreed on.
    pub sack: bool,
    /// ECN is agreed on.
    pub ecn: bool,
}

impl HalfOpen {
    /// The state for a SYN without ACK and RST. `default_mss` is the MSS of a SYN without the option: 536 for IPv4, 1220 for IPv6.
    /// (RFC 9293 §3.7.1)
    #[must_use]
    pub fn new(syn: &Segment, iss: Seq, default_mss: u16, config: &Config) -> Self {
        let marks = Flags::ECE.union(Flags::CWR);
        Self {
            irs: syn.seq,
            iss,
            timestamp: syn.timestamps.map(|stamps| stamps.value),
            peer_mss: syn.mss.unwrap_or(default_mss),
            window_scale: syn.window_scale,
            sack: syn.sack_permitted,
            // RFC 3168 §6.1.1.
            ecn: config.ecn != Ecn::Off && syn.flags.contains(marks),
        }
    }

    /// The SYN-ACK, with ports 0. `value` is our timestamp for this connection. (RFC 9293 §3.10.7.2)
    #[must_use]
    pub fn syn_ack(&self, announced_mss: u16, value: u32, config: &Config) -> Segment {
        let mut flags = Flags::SYN.union(Flags::ACK);
        flags.set(Flags::ECE, self.ecn);
        Segment {
            seq: self.iss,
            ack: self.irs.add(1),
            flags,
            window: shown_window(config),
            mss: Some(announced_mss),
            window_scale: self.window_scale.map(|_| config.window_scale()),
            sack_permitted: self.sack,
            timestamps: self.timestamp.map(|echo| Timestamps { value, echo }),
            ..Segment::default()
        }
    }

    /// Whether `segment` finishes the handshake: it acknowledges our SYN, and begins in the window of the SYN-ACK. Both are
    /// required, since one alone is easy to guess. (RFC 9293 §3.10.7.4, RFC 5961 §5)
    #[must_use]
    pub fn is_finished_by(&self, segment: &Segment, config: &Config) -> bool {
        let controls = segment.flags.intersection(Flags::SYN | Flags::RST | Flags::ACK);
        controls == Flags::ACK
            && segment.ack == self.iss.add(1)
            && segment.seq.since(self.irs.add(1)) <= u32::from(shown_window(config))
            && segment.timestamps.is_some() == self.timestamp.is_some()
    }

    /// The agreed options, for [`crate::Tcb::established`]. `rtt` is known if the SYN-ACK was sent once.
    #[must_use]
    pub fn agreed(&self, rtt: Option<Duration>, config: &Config) -> Agreed {
        Agreed {
            irs: self.irs,
            peer_mss: self.peer_mss,
            window_scale: self.window_scale.map(|peer| (peer, config.window_scale())),
            shown_window: shown_window(config),
            sack: self.sack,
            timestamp: self.timestamp,
            ecn: self.ecn,
            rtt: rtt.map(|rtt| u32::try_from(rtt.total_micros()).unwrap_or(u32::MAX)),
        }
    }
}

/// The window of a SYN-ACK: not scaled. (RFC 7323 §2.2)
fn shown_window(config: &Config) -> u16 {
    u16::try_from(config.receive_window).unwrap_or(u16::MAX)
}

/// Our timestamp for a connection with this offset, in milliseconds, as in an established connection.
#[must_use]
pub fn timestamp_clock(now: Instant, offset: u32) -> u32 {
    millis32(micros(now)).wrapping_add(offset)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A SYN with all options.
    pub(crate) fn syn(irs: u32) -> Segment {
        Segment {
            seq: Seq(irs),
            flags: Flags::SYN | Flags::ECE | Flags::CWR,
            window: 64_240,
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1000, echo: 0 }),
            ..Segment::default()
        }
    }

    /// The ACK that answers `syn_ack`.
    pub(crate) fn ack_of(syn_ack: &Segment) -> Segment {
        Segment {
            seq: syn_ack.ack,
            ack: syn_ack.seq.add(1),
            flags: Flags::ACK,
            window: 502,
            timestamps: syn_ack.timestamps.map(|stamps| Timestamps { value: 1001, echo: stamps.value }),
            ..Segment::default()
        }
    }

    #[test]
    fn options_are_agreed_on_only_if_both_have_them() {
        let config = Config::default();
        let full = HalfOpen::new(&syn(7), Seq(9), 536, &config).syn_ack(1460, 5, &config);
        assert_eq!((full.seq, full.ack, full.mss), (Seq(9), Seq(8), Some(1460)));
        assert_eq!((full.window_scale, full.sack_permitted), (Some(config.window_scale()), true));
        assert_eq!(full.timestamps, Some(Timestamps { value: 5, echo: 1000 }));
        assert_eq!(full.flags, Flags::SYN | Flags::ACK | Flags::ECE);

        let bare = Segment { seq: Seq(7), flags: Flags::SYN, ..Segment::default() };
        let half = HalfOpen::new(&bare, Seq(9), 1220, &config);
        let answer = half.syn_ack(1440, 5, &config);
        assert_eq!((answer.window_scale, answer.sack_permitted, answer.timestamps), (None, false, None));
        assert_eq!(answer.flags, Flags::SYN | Flags::ACK);
        assert_eq!(
            (half.agreed(None, &config).peer_mss, half.agreed(None, &config).window_scale),
            (1220, None)
        );
    }

    #[test]
    fn ecn_needs_both_marks_and_the_wish() {
        // RFC 3168 §6.1.1: ECE and CWR both.
        let off = Config { ecn: Ecn::Off, ..Config::default() };
        let ece = Segment { flags: Flags::SYN | Flags::ECE, ..syn(1) };
        assert!(HalfOpen::new(&syn(1), Seq(1), 536, &Config::default()).ecn);
        assert!(!HalfOpen::new(&ece, Seq(1), 536, &Config::default()).ecn);
        assert!(!HalfOpen::new(&syn(1), Seq(1), 536, &off).ecn);
    }

    #[test]
    fn only_the_right_ack_finishes() {
        let config = Config::default();
        let half = HalfOpen::new(&syn(7), Seq(9), 536, &config);
        let ack = ack_of(&half.syn_ack(1460, 5, &config));
        assert!(half.is_finished_by(&ack, &config));
        let wrong = [
            Segment { ack: Seq(9), ..ack },
            Segment { ack: Seq(11), ..ack },
            Segment { seq: Seq(7), ..ack },
            Segment { seq: Seq(8).add(65_536), ..ack },
            Segment { flags: Flags::ACK | Flags::RST, ..ack },
            Segment { flags: Flags::ACK | Flags::SYN, ..ack },
            Segment { flags: Flags::PSH, ..ack },
            Segment { timestamps: None, ..ack },
        ];
        for segment in wrong {
            assert!(!half.is_finished_by(&segment, &config), "{segment:?}");
        }
        // The ACK itself was lost: the first data finishes it too.
        assert!(half.is_finished_by(&Segment { seq: Seq(1008), payload_len: 5, ..ack }, &config));
    }
}
