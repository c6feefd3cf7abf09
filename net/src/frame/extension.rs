//! The chain of IPv6 extension headers. RFC 8200, section 4.
//!
//! Skipped: hop-by-hop and destination options unless an unknown one says otherwise, routing headers with no segment
//! left, atomic fragments (RFC 6946).

use smoltcp::wire::IpProtocol;

/// Headers of one packet that are skipped.
const MOST: usize = 8;

/// Bits of an option's type that say what to do if it is unknown; zero: skip it. RFC 8200, section 4.2.
const ACTION: u8 = 0xc0;

/// Where a chain leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// To a protocol, whose bytes begin here.
    Payload(IpProtocol, usize),
    /// To a fragment of a packet.
    Fragment {
        /// The header that the packet's first fragment begins with.
        header: IpProtocol,
        /// Where the fragment's bytes begin.
        start: usize,
        /// Their place in the packet, bytes.
        offset: usize,
        /// It is not the last one.
        more: bool,
        ident: u32,
    },
    /// A header is cut short, there are too many, or one must not be ignored.
    Broken,
}

/// Walks the chain of headers after the IPv6 header.
pub(crate) fn walk(first: IpProtocol, payload: &[u8]) -> Chain {
    let (mut next, mut start) = (first, 0_usize);
    for number in 0..MOST {
        let rest = payload.get(start..).unwrap_or_default();
        let (header, len) = match next {
            IpProtocol::Ipv6Frag => {
                let Some([header, _, high, low, a, b, c, d]) = rest.first_chunk::<8>() else {
                    return Chain::Broken;
                };
                let place = u16::from_be_bytes([*high, *low]);
                let (offset, more) = (usize::from(place & 0xfff8), place & 1 != 0);
                let header = IpProtocol::from(*header);
                if offset != 0 || more {
                    let ident = u32::from_be_bytes([*a, *b, *c, *d]);
                    let start = start.saturating_add(8);
                    return Chain::Fragment { header, start, offset, more, ident };
                }
                (header, 8)
            }
            // Only directly after the IPv6 header.
            IpProtocol::HopByHop if number > 0 => return Chain::Broken,
            IpProtocol::HopByHop | IpProtocol::Ipv6Opts | IpProtocol::Ipv6Route => match skip(next, rest) {
                Some(skipped) => skipped,
                None => return Chain::Broken,
            },
            _ => return Chain::Payload(next, start),
        };
        (next, start) = (header, start.saturating_add(len));
    }
    Chain::Broken
}

/// The header that follows one that may be skipped, and its length.
fn skip(kind: IpProtocol, rest: &[u8]) -> Option<(IpProtocol, usize)> {
    let [header, units, _, left] = *rest.first_chunk::<4>()?;
    let len = usize::from(units).checked_add(1)?.checked_mul(8)?;
    let bytes = rest.get(..len)?;
    let harmless = match kind {
        IpProtocol::Ipv6Route => left == 0,
        _ => options_are_harmless(bytes.get(2..)?),
    };
    harmless.then_some((header.into(), len))
}

fn options_are_harmless(mut options: &[u8]) -> bool {
    /// The router alert, which says nothing to a host. RFC 2711.
    const ROUTER_ALERT: u8 = 5;
    loop {
        match options {
            [] => return true,
            [0, rest @ ..] => options = rest,
            [kind, len, rest @ ..] => {
                let known = *kind == ROUTER_ALERT || kind & ACTION == 0;
                match rest.get(usize::from(*len)..) {
                    Some(rest) if known => options = rest,
                    _ => return false,
                }
            }
            [_] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: [u8; 8] = [6, 0, 1, 4, 0, 0, 0, 0];

    #[test]
    fn options_and_routing_with_nothing_left_are_skipped() {
        let chain =
            [&[60, 0, 5, 2, 0, 0, 1, 0], &[43, 0, 1, 4, 0, 0, 0, 0], &[6, 0, 0, 0, 0, 0, 0, 0], &[9; 4][..]];
        assert_eq!(walk(IpProtocol::HopByHop, &chain.concat()), Chain::Payload(IpProtocol::Tcp, 24));
        let left = [6, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(walk(IpProtocol::Ipv6Route, &left), Chain::Broken, "a segment is left");
    }

    #[test]
    fn an_option_that_must_not_be_ignored_ends_the_packet() {
        let mut header = OPTIONS;
        assert_eq!(walk(IpProtocol::Ipv6Opts, &header), Chain::Payload(IpProtocol::Tcp, 8));
        for kind in [0x40, 0x80, 0xc0] {
            header[2] = kind;
            assert_eq!(walk(IpProtocol::Ipv6Opts, &header), Chain::Broken, "{kind:#x}");
        }
    }

    #[test]
    fn an_atomic_fragment_is_no_fragment() {
        let atomic = [17, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(walk(IpProtocol::Ipv6Frag, &atomic), Chain::Payload(IpProtocol::Udp, 8));
        let first = [17, 0, 0, 1, 0, 0, 0, 7];
        let expected = Chain::Fragment { header: IpProtocol::Udp, start: 8, offset: 0, more: true, ident: 7 };
        assert_eq!(walk(IpProtocol::Ipv6Frag, &first), expected);
        for len in 0..8 {
            assert_eq!(walk(IpProtocol::Ipv6Frag, &first[..len]), Chain::Broken);
        }
    }

    #[test]
    fn a_long_chain_ends() {
        let chain = [[60, 0, 1, 4, 0, 0, 0, 0]; 20].concat();
        assert_eq!(walk(IpProtocol::Ipv6Opts, &chain), Chain::Broken);
        assert_eq!(walk(IpProtocol::Ipv6Opts, &[43, 0, 1, 4, 0, 0, 0, 0, 0, 0]), Chain::Broken);
    }
}
