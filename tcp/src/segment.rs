//! A segment's header, parsed and built (RFC 9293 §3.1, RFC 7323 §2 and §3, RFC 2018 §3).
//!
//! ```text
//!   bytes ─► Segment::parse ─► engine ─► Segment ─► emit ─► header bytes, then the caller copies the payload
//!            offset of the payload         │
//!                                          └ header_len() is known before; the checksum field is at CHECKSUM_OFFSET
//! ```
//!
//! The header is a plain value: no allocation, no reference to the packet. The caller computes checksums: it knows the
//! pseudo-header and the offloads of the device.

use bitflags::bitflags;
use smoltcp::wire::{TcpOption, TcpPacket};

use crate::seq::{Seq, len32};

bitflags! {
    /// Control bits (RFC 9293 §3.1, RFC 3168 §6.1).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u8 {
        /// No more data from the sender.
        const FIN = 0x01;
        /// Synchronize sequence numbers.
        const SYN = 0x02;
        /// Reset the connection.
        const RST = 0x04;
        /// Push function.
        const PSH = 0x08;
        /// The acknowledgment field is significant.
        const ACK = 0x10;
        /// The urgent pointer field is significant.
        const URG = 0x20;
        /// ECN echo; on a SYN, a request for ECN.
        const ECE = 0x40;
        /// Congestion window reduced; on a SYN, a request for ECN.
        const CWR = 0x80;
    }
}

/// The timestamps option (RFC 7323 §3.2), 10 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the echoed clock of the receiver; valid if ACK is set.
    pub echo: u32,
}

/// Up to four blocks of the SACK option (RFC 2018 §3): the first octet, and the octet after the last.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks(Option<Blocks>);

/// One block or more. Nearly all segments have none, and none costs one byte to write.
#[derive(Clone, Copy)]
struct Blocks {
    blocks: [(Seq, Seq); 4],
    count: u8,
}

impl SackBlocks {
    /// Blocks that an option holds at most.
    pub const MAX: usize = 4;

    /// Adds a block, unless there are four.
    pub fn push(&mut self, start: Seq, end: Seq) {
        let all = self.0.get_or_insert(Blocks { blocks: [(start, end); 4], count: 0 });
        if let Some(slot) = all.blocks.get_mut(usize::from(all.count)) {
            *slot = (start, end);
            all.count = all.count.saturating_add(1);
        }
    }

    /// The blocks in their order on the wire.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[(Seq, Seq)] {
        let all = self.0.as_ref();
        all.and_then(|all| all.blocks.get(..usize::from(all.count))).unwrap_or_default()
    }

    /// Whether there is no block.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Keeps the first `count` blocks.
    pub fn truncate(&mut self, count: u8) {
        if let Some(all) = &mut self.0 {
            all.count = all.count.min(count);
        }
        self.0 = self.0.filter(|all| all.count > 0);
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SackBlocks {}

impl core::fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The header of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// Port of the sender. The engine leaves it 0: the caller knows the connection's ports.
    pub src_port: u16,
    /// Port of the receiver. The engine leaves it 0.
    pub dst_port: u16,
    /// Sequence number of the first octet, or of the SYN.
    pub seq: Seq,
    /// Next sequence number expected; valid with [`Flags::ACK`].
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// Urgent pointer of a received segment. It is never sent.
    pub urgent: u16,
    /// Octets of payload.
    pub payload_len: u32,
    /// The IP header carries the mark "congestion experienced" (RFC 3168 §5). The caller sets it after parsing.
    pub congestion_experienced: bool,
    /// Maximum segment size option.
    pub mss: Option<u16>,
    /// Window scale option, 14 at most (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// SACK-permitted option.
    pub sack_permitted: bool,
    /// Timestamps option.
    pub timestamps: Option<Timestamps>,
    /// SACK option.
    pub sack: SackBlocks,
}

/// The reason why bytes are not a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Shorter than the data offset, or the data offset is below 20 octets.
    Truncated,
    /// The length of an option is invalid, or exceeds the header.
    Options,
}

impl core::fmt::Display for ParseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "TCP header truncated: drop the segment",
            Self::Options => "TCP option with an impossible length: drop the segment",
        })
    }
}

impl core::error::Error for ParseError {}

/// Options of nearly every segment: NOP, NOP, timestamps of 10 octets (RFC 7323 appendix A).
const TIMESTAMPS_ONLY: [u8; 4] = [1, 1, 8, 10];

impl Segment {
    /// Octets of the header without options.
    pub const MIN_HEADER_LEN: usize = 20;
    /// Octets of the header with as many options as fit.
    pub const MAX_HEADER_LEN: usize = 60;
    /// Offset of the checksum field in the header.
    pub const CHECKSUM_OFFSET: usize = 16;

    /// Parses the header of a TCP segment, and returns with it the offset of the payload.
    ///
    /// `bytes` begin with the TCP header and end with the IP payload. The checksum is not verified.
    ///
    /// # Errors
    /// [`ParseError`]: the segment must be dropped.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let packet = TcpPacket::new_checked(bytes).map_err(|_| ParseError::Truncated)?;
        let header_len = usize::from(packet.header_len());
        let segment = Self {
            src_port: packet.src_port(),
            dst_port: packet.dst_port(),
            seq: Seq(packet.seq_number().0.cast_unsigned()),
            ack: Seq(packet.ack_number().0.cast_unsigned()),
            flags: Flags::from_bits_retain(bytes.get(13).copied().unwrap_or_default()),
            window: packet.window_len(),
            urgent: packet.urgent_at(),
            payload_len: len32(bytes.len().saturating_sub(header_len)),
            ..Self::default()
        };
        let options = packet.options();
        let segment = match options {
            [] => segment,
            [a, b, c, d, rest @ ..] if [*a, *b, *c, *d] == TIMESTAMPS_ONLY && rest.len() == 8 => {
                Self { timestamps: Some(timestamps(rest)), ..segment }
            }
            _ => segment.with_options(options)?,
        };
        Ok((segment, header_len))
    }

    /// At most 40 octets, so at most 40 rounds.
    #[inline(never)]
    fn with_options(mut self, mut options: &[u8]) -> Result<Self, ParseError> {
        while !options.is_empty() {
            let (rest, option) = TcpOption::parse(options).map_err(|_| ParseError::Options)?;
            match option {
                TcpOption::EndOfList => break,
                TcpOption::MaxSegmentSize(mss) => self.mss = Some(mss),
                TcpOption::WindowScale(shift) => self.window_scale = Some(shift.min(14)),
                TcpOption::SackPermitted => self.sack_permitted = true,
                TcpOption::TimeStamp { tsval, tsecr } => {
                    self.timestamps = Some(Timestamps { value: tsval, echo: tsecr });
                }
                // smoltcp keeps three blocks; a segment without timestamps has room for four.
                TcpOption::SackRange(_) => self.parse_sack(options),
                TcpOption::NoOperation | TcpOption::Unknown { .. } => {}
            }
            options = rest;
        }
        Ok(self)
    }

    fn parse_sack(&mut self, option: &[u8]) {
        let len = option.get(1).copied().map_or(0, usize::from);
        let blocks = option.get(2..len).unwrap_or_default();
        for block in blocks.chunks_exact(8).take(SackBlocks::MAX) {
            let (start, end) = block.split_at(4);
            self.sack.push(Seq(word(start)), Seq(word(end)));
        }
    }

    /// Octets of the header with the options of `self`, a multiple of four.
    #[must_use]
    #[inline]
    pub fn header_len(&self) -> usize {
        let mut len = Self::MIN_HEADER_LEN;
        if self.timestamps.is_some() {
            len = len.saturating_add(12);
        }
        if !self.sack.is_empty() {
            len = len.saturating_add(4).saturating_add(self.sack.as_slice().len().saturating_mul(8));
        }
        if self.flags.contains(Flags::SYN) {
            len = len
                .saturating_add(if self.mss.is_some() { 4 } else { 0 })
                .saturating_add(if self.window_scale.is_some() { 4 } else { 0 })
                .saturating_add(if self.sack_permitted { 4 } else { 0 });
        }
        len
    }

    /// Writes the header, checksum field zero, into the first [`Segment::header_len`] octets of `buffer`.
    ///
    /// Returns the octets written. Returns `None`, and writes nothing, if `buffer` is too short or the options take more
    /// than 40 octets.
    #[must_use]
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Option<usize> {
        let len = self.header_len();
        if len > Self::MAX_HEADER_LEN {
            return None;
        }
        let header = buffer.get_mut(..len)?;
        let words = u8::try_from(len.wrapping_shr(2)).ok()?;
        let (fixed, options) = header.split_first_chunk_mut::<20>()?;
        let ([s0, s1], [d0, d1]) = (self.src_port.to_be_bytes(), self.dst_port.to_be_bytes());
        let ([q0, q1, q2, q3], [a0, a1, a2, a3]) = (self.seq.0.to_be_bytes(), self.ack.0.to_be_bytes());
        let ([w0, w1], [u0, u1]) = (self.window.to_be_bytes(), self.urgent.to_be_bytes());
        let (offset, flags) = (words.wrapping_shl(4), self.flags.bits());
        *fixed = [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, 0, 0, u0, u1];
        self.emit_options(options);
        Some(len)
    }

    /// NOPs before each option pad it to a multiple of four.
    fn emit_options(&self, options: &mut [u8]) {
        let mut rest = options;
        if self.flags.contains(Flags::SYN) {
            if let Some(mss) = self.mss {
                rest = put(rest, &[[2, 4], mss.to_be_bytes()]);
            }
            if let Some(shift) = self.window_scale {
                rest = put(rest, &[[1, 3], [3, shift]]);
            }
            if self.sack_permitted {
                rest = put(rest, &[[1, 1], [4, 2]]);
            }
        }
        if let Some(Timestamps { value, echo }) = self.timestamps {
            rest = put(rest, &[TIMESTAMPS_ONLY, value.to_be_bytes(), echo.to_be_bytes()]);
        }
        let blocks = self.sack.as_slice();
        if !blocks.is_empty() {
            let len = u8::try_from(blocks.len()).unwrap_or_default().wrapping_shl(3).wrapping_add(2);
            rest = put(rest, &[[1, 1, 5, len]]);
            for (start, end) in blocks {
                rest = put(rest, &[start.0.to_be_bytes(), end.0.to_be_bytes()]);
            }
        }
    }

    /// Octets in the sequence space: payload, SYN and FIN (RFC 9293 §3.3.1, SEG.LEN).
    #[must_use]
    #[inline]
    pub fn seq_len(&self) -> u32 {
        let controls = self.flags.intersection(Flags::SYN.union(Flags::FIN)).bits().count_ones();
        self.payload_len.wrapping_add(controls)
    }

    /// The sequence number after the segment's last octet.
    #[must_use]
    #[inline]
    pub fn end(&self) -> Seq {
        self.seq.add(self.seq_len())
    }

    /// The reset that answers a segment without a connection (RFC 9293 §3.10.7.1), with swapped ports. `None` for a reset.
    #[must_use]
    pub fn reset_for(&self) -> Option<Self> {
        if self.flags.contains(Flags::RST) {
            return None;
        }
        let (seq, ack, flags) = if self.flags.contains(Flags::ACK) {
            (self.ack, Seq(0), Flags::RST)
        } else {
            (Seq(0), self.end(), Flags::RST.union(Flags::ACK))
        };
        Some(Self { src_port: self.dst_port, dst_port: self.src_port, seq, ack, flags, ..Self::default() })
    }
}

/// Copies `pieces` to the front of `into` and returns the rest. `header_len` includes their length.
#[inline]
fn put<'b, const N: usize>(into: &'b mut [u8], pieces: &[[u8; N]]) -> &'b mut [u8] {
    let mut rest = into;
    for piece in pieces {
        let Some((slot, after)) = rest.split_first_chunk_mut::<N>() else { return &mut [] };
        *slot = *piece;
        rest = after;
    }
    rest
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

fn timestamps(option: &[u8]) -> Timestamps {
    Timestamps { value: word(option), echo: word(option.get(4..).unwrap_or_default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(segment: Segment) {
        let mut buffer = [0xaa; 80];
        let len = segment.emit(&mut buffer).unwrap();
        assert_eq!(len, segment.header_len());
        assert_eq!(buffer[len], 0xaa, "nothing beyond the header is written");
        let (parsed, offset) = Segment::parse(&buffer[..len]).unwrap();
        assert_eq!((parsed, offset), (segment, len));
    }

    #[test]
    fn headers_come_back_as_they_were_sent() {
        let plain = Segment {
            src_port: 80,
            dst_port: 40_000,
            seq: Seq(0xfedc_ba98),
            ack: Seq(7),
            flags: Flags::ACK.union(Flags::ECE).union(Flags::CWR),
            window: 513,
            ..Segment::default()
        };
        round_trip(plain);
        let stamps = Some(Timestamps { value: 1, echo: u32::MAX });
        round_trip(Segment { timestamps: stamps, ..plain });
        let mut sack = SackBlocks::default();
        for start in [10, 30, 50, 70, 90] {
            sack.push(Seq(start), Seq(start + 5));
        }
        assert_eq!(sack.as_slice().len(), 4, "a fifth block does not fit");
        round_trip(Segment { sack, ..plain });
        sack.truncate(3);
        round_trip(Segment { sack, timestamps: stamps, ..plain });
        let syn = Segment {
            flags: Flags::SYN,
            mss: Some(1460),
            window_scale: Some(9),
            sack_permitted: true,
            timestamps: stamps,
            ..plain
        };
        round_trip(syn);
    }

    #[test]
    fn a_window_scale_above_14_is_taken_as_14() {
        let syn = Segment { flags: Flags::SYN, window_scale: Some(200), ..Segment::default() };
        let mut buffer = [0; 60];
        let len = syn.emit(&mut buffer).unwrap();
        assert_eq!(Segment::parse(&buffer[..len]).unwrap().0.window_scale, Some(14));
    }

    #[test]
    fn malformed_headers_have_a_named_error() {
        assert_eq!(Segment::parse(&[0; 19]), Err(ParseError::Truncated));
        let mut header = [0; 24];
        header[12] = 0x40;
        assert_eq!(Segment::parse(&header), Err(ParseError::Truncated), "data offset below 5");
        header[12] = 0x70;
        assert_eq!(Segment::parse(&header), Err(ParseError::Truncated), "data offset past the end");
        header[12] = 0x60;
        header[20..].copy_from_slice(&[8, 0, 0, 0]);
        assert_eq!(Segment::parse(&header), Err(ParseError::Options), "length 0");
        header[20..].copy_from_slice(&[99, 5, 0, 0]);
        assert_eq!(Segment::parse(&header), Err(ParseError::Options), "past the header");
        header[20..].copy_from_slice(&[0, 2, 2, 2]);
        assert!(Segment::parse(&header).is_ok(), "what follows the end of the list is padding");
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let mut sack = SackBlocks::default();
        (0..4).for_each(|n| sack.push(Seq(n), Seq(n + 1)));
        let segment = Segment { sack, timestamps: Some(Timestamps::default()), ..Segment::default() };
        assert_eq!(segment.emit(&mut [0; 100]), None);
        assert_eq!(Segment::default().emit(&mut [0; 19]), None);
    }

    #[test]
    fn a_reset_answers_as_rfc_9293_says() {
        let ack = Segment { src_port: 1, dst_port: 2, ack: Seq(9), flags: Flags::ACK, ..Segment::default() };
        let reset = ack.reset_for().unwrap();
        assert_eq!((reset.seq, reset.flags, reset.src_port, reset.dst_port), (Seq(9), Flags::RST, 2, 1));
        let syn = Segment { seq: Seq(5), flags: Flags::SYN, payload_len: 3, ..Segment::default() };
        let reset = syn.reset_for().unwrap();
        assert_eq!((reset.seq, reset.ack, reset.flags), (Seq(0), Seq(9), Flags::RST.union(Flags::ACK)));
        assert_eq!(reset.reset_for(), None);
    }
}
