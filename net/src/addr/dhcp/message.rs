//! DHCP messages: reading a server's, with options that overflow into other fields, and writing ours. RFC 2131, RFC
//! 2132.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, Ipv4Address};

/// Options by number.
pub(crate) mod option {
    pub(crate) const MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const DNS: u8 = 6;
    pub(crate) const HOSTNAME: u8 = 12;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const NTP: u8 = 42;
    pub(crate) const LEASE: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const KIND: u8 = 53;
    pub(crate) const SERVER: u8 = 54;
    pub(crate) const MESSAGE: u8 = 56;
    pub(crate) const RENEWAL: u8 = 58;
    pub(crate) const REBINDING: u8 = 59;
    pub(crate) const ROUTES: u8 = 121;
    /// Option 121 by its number before RFC 3442.
    pub(crate) const ROUTES_OLD: u8 = 249;
}

/// The requested options; classless routes come first (RFC 3442).
const WANTED: [u8; 10] = [
    option::ROUTES,
    option::ROUTES_OLD,
    option::MASK,
    option::ROUTER,
    option::DNS,
    option::HOSTNAME,
    option::MTU,
    option::NTP,
    option::RENEWAL,
    option::REBINDING,
];

/// Bytes of the longest message that we take: the shortest MTU that Ethernet has, less the headers.
const LONGEST: u16 = 1472;

/// The offsets of fields: server name, file, and the options after their magic number. RFC 2131, section 2.
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;
const OPTIONS: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// The longest host name, bytes.
const HOSTNAME: usize = 255;

/// A server's message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) kind: DhcpMessageType,
    pub(crate) transaction: u32,
    /// The address that is offered or confirmed.
    pub(crate) address: Ipv4Address,
    bytes: &'a [u8],
    /// Other fields that may contain options.
    overload: u8,
}

impl<'a> Reply<'a> {
    /// Reads a message to the client with this hardware address.
    pub(crate) fn parse(bytes: &'a [u8], mac: EthernetAddress) -> Option<Self> {
        /// A reply, by Ethernet.
        const REPLY: [u8; 3] = [2, 1, 6];
        let head = bytes.first_chunk::<OPTIONS>()?;
        if !head.starts_with(&REPLY) || head.get(28..34)? != mac.0 || head.get(236..)? != MAGIC {
            return None;
        }
        let [.., a, b, c, d] = *head.first_chunk::<8>()?;
        let address = Ipv4Address::from(*head.get(16..20)?.first_chunk()?);
        let mut reply = Self {
            kind: DhcpMessageType::Unknown(0),
            transaction: u32::from_be_bytes([a, b, c, d]),
            address,
            bytes,
            overload: 0,
        };
        reply.overload = reply.option(option::OVERLOAD)?.first().copied().unwrap_or(0);
        reply.kind = DhcpMessageType::from(*reply.option(option::KIND)?.first()?);
        Some(reply)
    }

    /// The value of an option, all its parts together (RFC 3396); empty: it is not there. `None`: options are
    /// malformed.
    pub(crate) fn option(&self, wanted: u8) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        let file = (self.overload & 1 != 0).then_some(FILE);
        let name = (self.overload & 2 != 0).then_some(SERVER_NAME);
        let ranges = core::iter::once(OPTIONS..self.bytes.len()).chain(file).chain(name);
        for range in ranges {
            collect(self.bytes.get(range)?, wanted, &mut value)?;
        }
        Some(value)
    }

    /// An option that is one address, or the first of several.
    pub(crate) fn address_of(&self, wanted: u8) -> Option<Ipv4Address> {
        Some(Ipv4Address::from(*self.option(wanted)?.first_chunk::<4>()?))
    }

    /// An option that is a list of addresses.
    pub(crate) fn addresses(&self, wanted: u8) -> Vec<Ipv4Address> {
        let value = self.option(wanted).unwrap_or_default();
        value.as_chunks::<4>().0.iter().map(|bytes| Ipv4Address::from(*bytes)).collect()
    }

    /// An option that is a number of 32 bits.
    pub(crate) fn number(&self, wanted: u8) -> Option<u32> {
        Some(u32::from_be_bytes(*self.option(wanted)?.first_chunk::<4>()?))
    }

    /// An option that is a number of 16 bits.
    pub(crate) fn short(&self, wanted: u8) -> Option<u16> {
        Some(u16::from_be_bytes(*self.option(wanted)?.first_chunk::<2>()?))
    }
}

/// Appends the parts of an option that are in a field.
fn collect(field: &[u8], wanted: u8, value: &mut Vec<u8>) -> Option<()> {
    let mut rest = field;
    loop {
        match rest {
            [] | [255, ..] => return Some(()),
            [0, after @ ..] => rest = after,
            [kind, len, after @ ..] => {
                let (part, after) = after.split_at_checked(usize::from(*len))?;
                if *kind == wanted {
                    value.extend(part);
                }
                rest = after;
            }
            [_] => return None,
        }
    }
}

/// A message from us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) kind: DhcpMessageType,
    pub(crate) transaction: u32,
    /// Seconds since we have been trying.
    pub(crate) secs: u16,
    pub(crate) mac: EthernetAddress,
    /// Our address while we have it.
    pub(crate) ours: Option<Ipv4Address>,
    /// The address that we request, or decline.
    pub(crate) wanted: Option<Ipv4Address>,
    pub(crate) server: Option<Ipv4Address>,
    pub(crate) hostname: &'a str,
}

impl Request<'_> {
    /// The bytes of the message.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let asks = self.kind != DhcpMessageType::Decline;
        let named = asks && !self.hostname.is_empty() && self.hostname.len() <= HOSTNAME;
        let hostname = [DhcpOption { kind: option::HOSTNAME, data: self.hostname.as_bytes() }];
        let repr = DhcpRepr {
            message_type: self.kind,
            transaction_id: self.transaction,
            secs: self.secs,
            client_hardware_address: self.mac,
            client_ip: self.ours.unwrap_or(Ipv4Address::UNSPECIFIED),
            your_ip: Ipv4Address::UNSPECIFIED,
            server_ip: Ipv4Address::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: false,
            requested_ip: self.wanted,
            client_identifier: Some(self.mac),
            server_identifier: self.server,
            parameter_request_list: asks.then_some(&WANTED),
            dns_servers: None,
            max_size: asks.then_some(LONGEST),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: if named { &hostname } else { &[] },
        };
        let mut bytes = vec![0; repr.buffer_len()];
        // It fails only for a buffer that is too small.
        let _ = repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: EthernetAddress = EthernetAddress([0, 0x16, 0x3e, 0, 0, 1]);

    fn message(options: &[u8], file: &[u8], name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 236];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[28..34].copy_from_slice(&MAC.0);
        bytes[108..108 + file.len()].copy_from_slice(file);
        bytes[44..44 + name.len()].copy_from_slice(name);
        [&bytes, &MAGIC[..], options].concat()
    }

    #[test]
    fn options_overflow_into_file_and_name() {
        let bytes = message(&[52, 1, 3, 53, 1, 2, 255], &[51, 4, 0, 0, 1, 0, 255], &[54, 4, 10, 0, 2, 2]);
        let reply = Reply::parse(&bytes, MAC).unwrap();
        assert_eq!((reply.kind, reply.number(51)), (DhcpMessageType::Offer, Some(256)));
        assert_eq!(reply.address_of(54), Some(Ipv4Address::new(10, 0, 2, 2)));
        let bytes = message(&[53, 1, 2, 255], &[51, 4, 0, 0, 1, 0, 255], &[]);
        assert_eq!(Reply::parse(&bytes, MAC).unwrap().number(51), None, "the file is a file");
    }

    #[test]
    fn parts_of_an_option_are_put_together() {
        let bytes = message(&[53, 1, 5, 6, 2, 10, 0, 0, 6, 6, 2, 9, 10, 0, 2, 8, 255], &[], &[]);
        let reply = Reply::parse(&bytes, MAC).unwrap();
        assert_eq!(reply.addresses(6), [Ipv4Address::new(10, 0, 2, 9), Ipv4Address::new(10, 0, 2, 8)]);
    }

    #[test]
    fn what_is_cut_short_is_no_message() {
        let whole = message(&[53, 1, 5, 51, 4, 0, 0, 1, 0], &[], &[]);
        assert!(Reply::parse(&whole, MAC).is_some());
        for len in 0..whole.len() {
            let reply = Reply::parse(&whole[..len], MAC);
            assert_eq!(reply.is_some(), len == OPTIONS + 3, "{len} bytes");
        }
        assert!(Reply::parse(&whole, EthernetAddress([2; 6])).is_none(), "to another host");
    }
}
