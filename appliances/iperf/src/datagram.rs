//! The headers of datagrams, and the statistics of a stream of them.
//!
//! ```text
//!   iperf3   sec 4 | usec 4 | number 4, or 8 with --udp-counters-64bit | …          numbers from 1
//!   iperf    number 4 | sec 4 | usec 4 | upper half of the number 4 | …             numbers from 0; the last is negative
//! ```
//! All of it in network order.

/// iperf3's greeting of a stream; the answer tells the client that its datagrams arrive. Both are in the byte order of the
/// client.
const HELLO: u32 = 0x3637_3839;
/// The answer to [`HELLO`].
const WELCOME: u32 = 0x3938_3736;

/// The answer to a greeting; `None`: it is none.
#[must_use]
pub fn welcome(datagram: &[u8]) -> Option<[u8; 4]> {
    let bytes: [u8; 4] = datagram.try_into().ok()?;
    if bytes == HELLO.to_le_bytes() {
        Some(WELCOME.to_le_bytes())
    } else {
        (bytes == HELLO.to_be_bytes()).then(|| WELCOME.to_be_bytes())
    }
}

/// The head of a datagram of iperf3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// When it was sent, by the sender's clock.
    pub microseconds: u64,
    /// Its number, from 1.
    pub number: u64,
}

impl Head {
    /// Reads it; `None`: the datagram is too short.
    #[must_use]
    pub fn parse(datagram: &[u8], wide: bool) -> Option<Self> {
        let (seconds, rest) = datagram.split_first_chunk()?;
        let (microseconds, rest) = rest.split_first_chunk()?;
        let number = if wide {
            u64::from_be_bytes(*rest.first_chunk()?)
        } else {
            u64::from(u32::from_be_bytes(*rest.first_chunk()?))
        };
        let seconds = u64::from(u32::from_be_bytes(*seconds)).saturating_mul(1_000_000);
        let microseconds = seconds.saturating_add(u64::from(u32::from_be_bytes(*microseconds)));
        Some(Self { microseconds, number })
    }

    /// Writes it to the front of a datagram of 16 bytes or more.
    pub fn emit(self, datagram: &mut [u8], wide: bool) {
        let word = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0).to_be_bytes();
        let seconds = word(self.microseconds / 1_000_000);
        let microseconds = word(self.microseconds % 1_000_000);
        let [high, low] = [word(self.number >> 32), word(self.number)];
        let number = if wide { [high, low] } else { [low, [0; 4]] };
        let head = [seconds, microseconds, number[0], number[1]];
        let len = if wide { 16 } else { 12 };
        if let Some(front) = datagram.get_mut(..len) {
            front.copy_from_slice(head.as_flattened().get(..len).unwrap_or_default());
        }
    }
}

/// The statistics of a stream of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Received datagrams.
    pub received: u64,
    /// Received bytes.
    pub bytes: u64,
    /// The highest number so far, counted from 1.
    pub highest: u64,
    /// Numbers that are missing so far.
    pub lost: u64,
    /// Datagrams received after one with a higher number.
    pub out_of_order: u64,
    /// The jitter of RFC 1889: the smoothed variation of the transit time, in microseconds.
    pub jitter: f64,
    transit: Option<i64>,
}

impl Tally {
    /// Counts a datagram that was received at `now`, in microseconds of this guest's clock.
    pub fn count(&mut self, number: u64, sent: u64, now: u64, len: usize) {
        self.received = self.received.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(0));
        if number > self.highest {
            let gap = number.saturating_sub(self.highest).saturating_sub(1);
            self.lost = self.lost.saturating_add(gap);
            self.highest = number;
        } else {
            self.out_of_order = self.out_of_order.saturating_add(1);
            self.lost = self.lost.saturating_sub(1);
        }
        let transit = now.wrapping_sub(sent).cast_signed();
        if let Some(before) = self.transit.replace(transit) {
            // A clock that jumps makes the jitter wrong, and nothing else.
            let change = transit.saturating_sub(before).unsigned_abs().min(1 << 40);
            #[allow(clippy::as_conversions, clippy::cast_precision_loss, reason = "below 2^53")]
            let change = change as f64;
            self.jitter += (change - self.jitter) / 16.0;
        }
    }
}

/// The position of a datagram in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one with this number, from 0.
    Number(u64),
    /// One of the last: its number is negative, and the client waits for a report.
    Last,
}

/// The position of a datagram of iperf; `None` if it is too short.
#[must_use]
pub fn iperf2_place(datagram: &[u8]) -> Option<Place> {
    let id = i32::from_be_bytes(*datagram.first_chunk()?);
    Some(if id < 0 { Place::Last } else { Place::Number(u64::from(id.unsigned_abs())) })
}

/// The time at which iperf sent a datagram, in microseconds of the sender's clock.
#[must_use]
pub fn iperf2_sent(datagram: &[u8]) -> u64 {
    let word = |at: usize| {
        datagram
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .map_or(0, |bytes| u64::from(u32::from_be_bytes(*bytes)))
    };
    word(4).saturating_mul(1_000_000).saturating_add(word(8))
}

/// The length of [`iperf2_report`].
pub const IPERF2_REPORT_LEN: usize = 16 + 40;

/// The report to iperf's last datagram: its header and the statistics (`server_hdr_v1`).
#[must_use]
pub fn iperf2_report(last: &[u8], tally: &Tally, microseconds: u64) -> [u8; IPERF2_REPORT_LEN] {
    const VERSION_1: u64 = 0x8000_0000;
    let jitter = if tally.jitter.is_finite() && tally.jitter > 0.0 { tally.jitter } else { 0.0 };
    #[allow(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 or more"
    )]
    let jitter = jitter as u64;
    let words = [
        VERSION_1,
        tally.bytes >> 32,
        tally.bytes,
        microseconds / 1_000_000,
        microseconds % 1_000_000,
        tally.lost,
        tally.out_of_order,
        tally.highest,
        jitter / 1_000_000,
        jitter % 1_000_000,
    ];
    let mut report = [0; IPERF2_REPORT_LEN];
    let (head, body) = report.split_at_mut(16);
    for (to, from) in head.iter_mut().zip(last) {
        *to = *from;
    }
    for (to, word) in body.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&u32::try_from(word & 0xffff_ffff).unwrap_or(0).to_be_bytes());
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was_written() {
        for wide in [false, true] {
            let head = Head { microseconds: 7_000_009, number: 0xabcd_ef01 };
            let mut datagram = [0xff; 20];
            head.emit(&mut datagram, wide);
            assert_eq!(Head::parse(&datagram, wide), Some(head));
            assert_eq!(datagram[16..], [0xff; 4], "what follows is left alone");
        }
        assert_eq!(Head::parse(&[0; 11], false), None);
        assert_eq!(Head::parse(&[0; 12], true), None);
        Head { microseconds: 0, number: 1 }.emit(&mut [0; 3], true);
    }

    #[test]
    fn a_greeting_is_answered_in_its_byte_order() {
        assert_eq!(welcome(&[0x39, 0x38, 0x37, 0x36]), Some([0x36, 0x37, 0x38, 0x39]));
        assert_eq!(welcome(&[0x36, 0x37, 0x38, 0x39]), Some([0x39, 0x38, 0x37, 0x36]));
        assert_eq!((welcome(&[1, 2, 3, 4]), welcome(&[0x39; 5])), (None, None));
    }

    #[test]
    fn losses_are_gaps_that_nothing_filled() {
        let mut tally = Tally::default();
        for number in [1, 2, 5, 4, 7] {
            tally.count(number, number * 10, number * 10 + 100, 8);
        }
        assert_eq!((tally.received, tally.bytes, tally.highest), (5, 40, 7));
        assert_eq!((tally.lost, tally.out_of_order), (2, 1));
        assert!(tally.jitter.abs() < 1e-9, "every one took as long: {}", tally.jitter);
        tally.count(8, 80, 80 + 116, 8);
        assert!((tally.jitter - 1.0).abs() < 1e-9, "a sixteenth of 16 µs");
    }

    #[test]
    fn a_clock_that_jumps_ends_nothing() {
        let mut tally = Tally::default();
        tally.count(1, u64::MAX, 0, 0);
        tally.count(u64::MAX, 0, u64::MAX, 0);
        tally.count(0, 0, 0, usize::MAX);
        assert!(tally.jitter.is_finite());
    }

    #[test]
    fn iperfs_last_datagram_is_answered_with_what_arrived() {
        let mut last = [0; 32];
        last[..4].copy_from_slice(&(-5_i32).to_be_bytes());
        assert_eq!(iperf2_place(&last), Some(Place::Last));
        assert_eq!((iperf2_place(&[0, 0, 0, 9]), iperf2_place(&[0; 3])), (Some(Place::Number(9)), None));
        let tally = Tally { bytes: 0x1_0000_0002, lost: 3, highest: 5, ..Tally::default() };
        let report = iperf2_report(&last, &tally, 2_000_001);
        assert_eq!(report[..4], (-5_i32).to_be_bytes());
        let word = |at: usize| u32::from_be_bytes(report[16 + 4 * at..][..4].try_into().unwrap());
        let words: [u32; 8] = core::array::from_fn(word);
        assert_eq!(words, [0x8000_0000, 1, 2, 2, 1, 3, 0, 5]);
    }
}
