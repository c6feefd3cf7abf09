//! Frames between the guests' network and the host, from QEMU's capture.
//!
//! ```text
//!   file:  24 bytes of header │ record │ record │ …
//!   record: seconds u32 │ microseconds u32 │ bytes kept u32 │ bytes on the wire u32 │ the bytes kept
//! ```

use crate::Outcome;
use bed::Bed;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Where a record says how many bytes it keeps.
const KEPT: usize = 8;

/// A capture under way.
#[derive(Debug)]
pub struct Capture {
    file: PathBuf,
}

impl Capture {
    /// Begins.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start(bed: &Bed) -> Outcome<Self> {
        let file = bed.folder().join("capture.pcap");
        bed.capture(&file)?;
        Ok(Self { file })
    }

    /// How many frames fit so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self, fits: impl Fn(&[u8]) -> bool) -> Outcome<usize> {
        Ok(frames(&fs::read(&self.file)?).filter(|frame| fits(frame)).count())
    }
}

/// The frames of a file in libpcap's format. The last one may not be there to its end yet.
pub fn frames(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file.get(FILE_HEADER..).unwrap_or_default();
    core::iter::from_fn(move || {
        let kept = rest.get(KEPT..KEPT + 4)?.try_into().ok().map(u32::from_ne_bytes)?;
        let end = RECORD_HEADER + usize::try_from(kept).ok()?;
        let frame = rest.get(RECORD_HEADER..end)?;
        rest = rest.get(end..)?;
        Some(frame)
    })
}

/// Whether a frame is for this MAC address.
#[must_use]
pub fn is_for(frame: &[u8], mac: [u8; 6]) -> bool {
    frame.starts_with(&mac)
}

/// Whether a frame announces this address to all: a broadcast ARP request for the sender's own address
/// (RFC 5227, section 3).
#[must_use]
pub fn announces(frame: &[u8], address: Ipv4Addr) -> bool {
    let field = |from: usize, len: usize| frame.get(from..from + len).unwrap_or_default();
    let own = address.octets();
    field(0, 6) == [0xff; 6] && field(12, 2) == [8, 6] && field(28, 4) == own && field(38, 4) == own
}

/// Whether a frame announces this IPv6 address to all: an unsolicited neighbour advertisement to all nodes with the
/// override flag (RFC 4861, section 7.2.6).
///
/// ```text
///   14 Ethernet │ 40 IPv6: next header at 6 │ type 136, code, checksum │ R S O and reserved u32 │ target
/// ```
#[must_use]
pub fn advertises(frame: &[u8], address: Ipv6Addr) -> bool {
    let field = |from: usize, len: usize| frame.get(from..from + len).unwrap_or_default();
    field(0, 6) == [0x33, 0x33, 0, 0, 0, 1]
        && field(12, 2) == [0x86, 0xdd]
        && (field(20, 1), field(54, 1)) == (&[58], &[136])
        && field(58, 1) == [0x20]
        && field(62, 16) == address.octets()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_told_from_questions() {
        let mut frame = vec![0xff; 42];
        frame[12..14].copy_from_slice(&[8, 6]);
        frame[28..32].copy_from_slice(&[10, 0, 2, 15]);
        frame[38..42].copy_from_slice(&[10, 0, 2, 15]);
        let ours = Ipv4Addr::new(10, 0, 2, 15);
        assert!(announces(&frame, ours));
        let mut file = vec![0; FILE_HEADER];
        for len in [42, 30, 42_u32] {
            file.extend([0; KEPT]);
            file.extend(len.to_ne_bytes());
            file.extend([0; 4]);
            file.extend(&frame[..usize::try_from(len).unwrap()]);
        }
        assert_eq!(frames(&file).filter(|frame| announces(frame, ours)).count(), 2);
        file.pop();
        assert_eq!(frames(&file).count(), 2, "the last one is not there to its end");
        frame[41] = 2;
        assert!(!announces(&frame, ours));
    }
    #[test]
    fn advertisements_to_all_are_told_from_answers() {
        let ours: Ipv6Addr = "fe80::216:3eff:fe00:1".parse().unwrap();
        let mut frame = vec![0; 86];
        frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        (frame[20], frame[54], frame[58]) = (58, 136, 0x20);
        frame[62..78].copy_from_slice(&ours.octets());
        assert!(advertises(&frame, ours));
        assert!(!advertises(&frame, Ipv6Addr::LOCALHOST));
        // Solicited: an answer to one node.
        frame[58] = 0x60;
        assert!(!advertises(&frame, ours));
        assert!(!advertises(&frame[..70], ours));
    }
}
