//! A packet between netback and the network, with its metadata in the rings.

/// How a large packet is to be segmented, or was merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Payload bytes of a segment.
    pub size: u16,
    /// `XEN_NETIF_GSO_TYPE_*`.
    pub kind: u8,
}

/// An Ethernet frame, without its check sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The bytes.
    pub data: Vec<u8>,
    /// The TCP or UDP checksum field holds only the sum of the pseudo-header.
    pub csum_blank: bool,
    /// The data need not be checked again.
    pub data_validated: bool,
    /// Set if it is larger than the MTU.
    pub gso: Option<Gso>,
}

impl From<Vec<u8>> for Packet {
    fn from(data: Vec<u8>) -> Self {
        Self { data, ..Self::default() }
    }
}

impl From<&[u8]> for Packet {
    fn from(data: &[u8]) -> Self {
        Self::from(data.to_vec())
    }
}

/// Where the headers of a frame end and where its checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Bytes up to the end of the last header that netback looks at.
    pub(crate) len: usize,
    /// Where the TCP or UDP header starts, and where in it the checksum is.
    pub(crate) transport: Option<(usize, usize)>,
}

/// Finds the headers of a frame: Ethernet, IPv4 or IPv6, TCP or UDP. A frame that ends within one has just that much.
pub(crate) fn headers(data: &[u8]) -> Headers {
    let byte = |at: usize| data.get(at).copied();
    let be16 = |at: usize| Some(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
    let network = match be16(12) {
        Some(0x0800) => byte(14).map(|first| (14 + usize::from(first & 15) * 4, byte(14 + 9))),
        Some(0x86dd) => Some((14 + 40, byte(14 + 6))),
        _ => None,
    };
    // A fragment other than the first has no transport header.
    let later_fragment = be16(12) == Some(0x0800) && be16(14 + 6).is_some_and(|field| field & 0x1fff != 0);
    let Some((start, protocol)) = network else {
        return Headers { len: 14.min(data.len()), transport: None };
    };
    let (len, transport) = match protocol {
        _ if later_fragment => (start, None),
        Some(6) => {
            (start + byte(start + 12).map_or(20, |offset| usize::from(offset >> 4) * 4), Some((start, 16)))
        }
        Some(17) => (start + 8, Some((start, 6))),
        _ => (start, None),
    };
    Headers { len: len.min(data.len()), transport }
}

/// The Internet checksum over several pieces, each of which is padded to an even length. (RFC 1071)
pub(crate) fn internet_checksum(pieces: &[&[u8]]) -> u16 {
    let word = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = pieces.iter().flat_map(|piece| piece.chunks(2)).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Packet {
    /// Completes a blank checksum, as Linux's `skb_checksum_help` does: the field has the pseudo-header's sum already.
    pub(crate) fn finish_checksum(&mut self) {
        if !std::mem::take(&mut self.csum_blank) {
            return;
        }
        let Some((start, field)) = headers(&self.data).transport else { return };
        if start + field + 2 > self.data.len() {
            return;
        }
        let udp = field == 6;
        let folded = internet_checksum(&[&self.data[start..]]);
        let checksum = if udp && folded == 0 { 0xffff } else { folded };
        self.data[start + field..start + field + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}
