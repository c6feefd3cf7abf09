//! The guest transmits: requests, extras and fragments are taken off the ring, checked, copied or mapped, answered.
//!
//! ```text
//!   first request (size of all) [+ extras] [+ fragments] ─► rules ─► first 128 bytes copied, the rest mapped ─► packet
//!                                                                         └─► answers, in order or not ─► rsp ring
//! ```
//!
//! After `xenvif_tx_build_gops` and `xenvif_count_requests` of Linux 6.1, `drivers/net/xen-netback/netback.c`.

use super::packet::{Gso, Packet, headers};
use super::queue::{Context, Queue};
use super::rules::{Penalty, Violation as Rule};
use crate::peer::MappedPage;
use xen::Gref;
use xen::abi::io_netif::{NETIF_NR_SLOTS_MIN, NetTxFlags, NetifRsp, NetifTxRequest, NetifTxResponse};
use xen::ids::PAGE_SIZE;

/// Bytes of a packet that netback copies; the rest it maps. `XEN_NETBACK_TX_COPY_LEN`.
const COPY_LEN: usize = 128;
/// Slots after the first from which on a frontend is malicious. `fatal_skb_slots`.
const FATAL_SLOTS: usize = 20;

/// `XEN_NETBK_MCAST_MAX`.
const MOST_GROUPS: usize = 64;

/// A response that is due.
#[derive(Debug)]
pub(crate) struct Answer {
    response: NetifTxResponse,
    map: Option<MappedPage>,
    /// The source of the bytes and a copy, to see that they do not change.
    source: Option<(Gref, usize, Vec<u8>)>,
}

/// The slots of a packet.
#[derive(Debug, Default)]
struct Chain {
    requests: Vec<NetifTxRequest>,
    extras: Vec<[u8; 8]>,
}

impl Queue {
    /// Works on everything that the guest has shown; `false` if the device is to be disabled.
    pub(crate) fn run_tx(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(ready) = self.tx.unconsumed() else {
                let detail = format!("req_prod {}, rsp_prod {}", self.tx.req_prod(), self.tx.rsp_prod());
                cx.broken(Rule::TxRingOverrun, &detail);
                return false;
            };
            if ready == 0 {
                if self.tx.final_check() { continue } else { break }
            }
            let mut chain = Chain::default();
            let taken = self.take_chain(cx, &mut chain, ready);
            if taken.is_ok() && self.join_or_leave(cx, &chain) {
                continue;
            }
            let outcome = taken.and_then(|()| self.fetch(cx, &chain));
            match outcome {
                Ok(packet) => {
                    cx.stats.tx_frames += 1;
                    cx.stats.tx_bytes += packet.data.len() as u64;
                    cx.from_guest.push_back(packet);
                }
                Err(rule) if rule.penalty() == Penalty::Fatal => return false,
                Err(_) => self.refuse(&chain),
            }
        }
        self.answer(cx);
        true
    }

    /// Takes the slots of the next packet off the ring.
    fn take_chain(&mut self, cx: &mut Context<'_>, chain: &mut Chain, ready: u32) -> Result<(), Rule> {
        let end = self.tx.req_cons().wrapping_add(ready);
        let first = self.take_request(cx, chain);
        let flags = NetTxFlags::from_bits_retain(first.flags);
        if flags.contains(NetTxFlags::EXTRA_INFO) {
            loop {
                let Some(bytes) = self.tx.get_request::<[u8; 8]>() else {
                    return Err(cx.broken(Rule::MissingExtra, &format!("{first:?}")));
                };
                chain.extras.push(bytes);
                if !(1..=4).contains(&bytes[0]) {
                    return Err(cx.broken(Rule::ExtraType, &format!("extra {bytes:?}")));
                }
                if bytes[1] & 1 == 0 {
                    break;
                }
            }
        }
        let mut more = flags.contains(NetTxFlags::MORE_DATA);
        while more {
            if self.tx.req_cons() == end {
                return Err(cx.broken(Rule::MoreDataWithoutSlot, &format!("{:?}", chain.requests.last())));
            }
            if chain.requests.len() > FATAL_SLOTS {
                return Err(cx.broken(Rule::FatalSlots, &format!("{} slots", chain.requests.len())));
            }
            let next = self.take_request(cx, chain);
            more = NetTxFlags::from_bits_retain(next.flags).contains(NetTxFlags::MORE_DATA);
        }
        Ok(())
    }

    /// A request about a group: it carries nothing else. Whether it was one.
    fn join_or_leave(&mut self, cx: &mut Context<'_>, chain: &Chain) -> bool {
        let Some(extra) = chain.extras.iter().find(|extra| [2, 3].contains(&extra[0])) else { return false };
        let group: [u8; 6] = extra[2..].try_into().expect("six bytes");
        let [request] = chain.requests[..] else {
            cx.broken(Rule::GroupRequest, &format!("{:?}", chain.requests));
            self.refuse(chain);
            return true;
        };
        if !cx.flags.multicast_control || group[0] & 1 == 0 || request.size != 0 || chain.extras.len() != 1 {
            cx.broken(Rule::GroupRequest, &format!("{request:?} {extra:?}"));
        }
        let known = cx.groups.contains(&group);
        let done = if extra[0] == 2 {
            (known || cx.groups.len() < MOST_GROUPS) && { cx.groups.insert(group) || known }
        } else {
            cx.groups.remove(&group);
            true
        };
        let status = if done { NetifRsp::Okay } else { NetifRsp::Error };
        self.tx_in_flight.remove(&request.id);
        let response = NetifTxResponse { id: request.id, status: status.raw() };
        let null = NetifTxResponse { id: 0, status: NetifRsp::Null.raw() };
        self.answers.extend([response, null].map(|response| Answer { response, map: None, source: None }));
        true
    }

    fn take_request(&mut self, cx: &mut Context<'_>, chain: &mut Chain) -> NetifTxRequest {
        let request: NetifTxRequest = self.tx.get_request().expect("counted by the caller");
        cx.stats.tx_requests += 1;
        chain.requests.push(request);
        if !self.tx_in_flight.insert(request.id) {
            cx.broken(Rule::TxIdInFlight, &format!("{request:?}"));
        }
        request
    }

    /// Checks a whole packet by the rules, gets its bytes, and notes its answers.
    fn fetch(&mut self, cx: &mut Context<'_>, chain: &Chain) -> Result<Packet, Rule> {
        let lens = slot_lengths(chain).map_err(|rule| cx.broken(rule, &format!("{:?}", chain.requests)))?;
        let gso = gso(chain).map_err(|rule| cx.broken(rule, &format!("{:?}", chain.extras)))?;
        let flags = NetTxFlags::from_bits_retain(chain.requests[0].flags);
        let mut data = Vec::with_capacity(usize::from(chain.requests[0].size));
        let mut answers = Vec::new();
        for (request, len) in chain.requests.iter().zip(&lens) {
            let head = if data.is_empty() { COPY_LEN } else { 0 };
            let (bytes, map) = fetch_slot(cx, request, *len, head)?;
            data.extend_from_slice(&bytes);
            let response = NetifTxResponse { id: request.id, status: NetifRsp::Okay.raw() };
            answers.push(Answer {
                response,
                map,
                source: Some((Gref(request.gref), usize::from(request.offset), bytes)),
            });
        }
        let null = NetifTxResponse { id: 0, status: NetifRsp::Null.raw() };
        answers.extend(chain.extras.iter().map(|_| Answer { response: null, map: None, source: None }));
        let packet = Packet {
            data,
            csum_blank: flags.contains(NetTxFlags::CSUM_BLANK),
            data_validated: flags.contains(NetTxFlags::DATA_VALIDATED),
            gso,
        };
        check_manners(cx, chain, lens[0], &packet);
        self.answers.append(&mut answers);
        Ok(packet)
    }

    /// `xenvif_tx_err`: every request of the packet is answered with an error.
    fn refuse(&mut self, chain: &Chain) {
        for request in &chain.requests {
            let response = NetifTxResponse { id: request.id, status: NetifRsp::Error.raw() };
            self.answers.push(Answer { response, map: None, source: None });
        }
        let null = NetifTxResponse { id: 0, status: NetifRsp::Null.raw() };
        self.answers.extend(chain.extras.iter().map(|_| Answer { response: null, map: None, source: None }));
    }

    /// Writes the answers that are due, shows them, and notifies.
    pub(crate) fn answer(&mut self, cx: &mut Context<'_>) {
        let part = self.tx_due.part(cx.faults.tx_pace, self.answers.len(), cx.now, cx.wake);
        if cx.faults.hold_tx || part == 0 {
            return;
        }
        let mut answers: Vec<_> = self.answers.drain(..part).collect();
        cx.faults.order.apply(&mut answers);
        let mut responses = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Some((gref, offset, bytes)) = &answer.source {
                let now = cx.peer.copy_from(cx.guest, *gref, *offset, bytes.len());
                if cx.config.strict && now.as_ref() != Ok(bytes) {
                    cx.broken(Rule::ChangedInFlight, &format!("{gref} from {offset} on"));
                }
                self.tx_in_flight.remove(&answer.response.id);
            }
            responses.push(answer.response);
            if cx.faults.keep_mapped {
                self.kept.extend(answer.map);
            }
        }
        self.tx.acknowledge(responses.len());
        if let Some(fault) = &mut cx.faults.tx_responses {
            fault(&mut responses);
        }
        for response in &responses {
            self.tx.put_response(response);
            cx.stats.tx_responses += 1;
        }
        self.push_tx(cx);
    }

    /// Shows the guest the responses written so far.
    pub(crate) fn push_tx(&mut self, cx: &mut Context<'_>) {
        let wanted = self.tx.push(|index| cx.faults.tx_rsp_prod.as_mut().map_or(index, |bend| bend(index)));
        cx.notify(self.tx_port, wanted);
    }
}

/// The bytes of each slot: the first one's own length is the packet's minus the others'.
fn slot_lengths(chain: &Chain) -> Result<Vec<usize>, Rule> {
    let (first, rest) = chain.requests.split_first().expect("a packet has a first request");
    let mut left = usize::from(first.size);
    let mut lens = vec![0];
    for request in rest {
        let len = usize::from(request.size);
        left = left.checked_sub(len).ok_or(Rule::FragmentTooLarge)?;
        lens.push(len);
    }
    lens[0] = left;
    for (request, len) in chain.requests.iter().zip(&lens) {
        if usize::from(request.offset) + len > PAGE_SIZE {
            return Err(Rule::SlotCrossesPage);
        }
    }
    if chain.requests.len() > NETIF_NR_SLOTS_MIN {
        return Err(Rule::TooManySlots);
    }
    if left < 14 { Err(Rule::FirstSlotShort) } else { Ok(lens) }
}

fn gso(chain: &Chain) -> Result<Option<Gso>, Rule> {
    let Some(extra) = chain.extras.iter().find(|extra| extra[0] == 1) else { return Ok(None) };
    let gso = Gso { size: u16::from_le_bytes([extra[2], extra[3]]), kind: extra[4] };
    match gso {
        Gso { size: 0, .. } => Err(Rule::GsoSizeZero),
        Gso { kind: 1 | 2, .. } => Ok(Some(gso)),
        _ => Err(Rule::GsoType),
    }
}

/// Gets the bytes of one slot: up to `head` by grant copy, the rest from the page, mapped to read.
fn fetch_slot(
    cx: &mut Context<'_>,
    request: &NetifTxRequest,
    len: usize,
    head: usize,
) -> Result<(Vec<u8>, Option<MappedPage>), Rule> {
    let (gref, offset) = (Gref(request.gref), usize::from(request.offset));
    if let Some(page) = cx.statics.get(&request.gref) {
        let mut bytes = vec![0; len];
        page.read(offset, &mut bytes);
        return Ok((bytes, None));
    }
    let copied = len.min(head);
    let mut bytes = Vec::new();
    if copied > 0 {
        cx.stats.grant_copies += 1;
        let got = cx.peer.copy_from(cx.guest, gref, offset, copied);
        bytes = got.map_err(|status| cx.broken(Rule::TxGrant, &format!("{request:?}: {status}")))?;
    }
    if copied == len {
        return Ok((bytes, None));
    }
    cx.stats.grant_maps += 1;
    let map = cx.peer.map(cx.guest, gref, false);
    let map = map.map_err(|status| cx.broken(Rule::TxGrant, &format!("{request:?}: {status}")))?;
    bytes.resize(len, 0);
    map.read(offset + copied, &mut bytes[copied..]);
    Ok((bytes, Some(map)))
}

/// The rules that Linux does not check, and that other backends, or other eyes, would.
fn check_manners(cx: &mut Context<'_>, chain: &Chain, first_len: usize, packet: &Packet) {
    let detail = format!("{:?} {:?}", chain.requests, chain.extras);
    let known = NetTxFlags::all().bits();
    let later = NetTxFlags::MORE_DATA.bits();
    let flags = |index: usize, request: &NetifTxRequest| {
        request.flags & !(if index == 0 { known } else { later }) == 0
    };
    if !chain.requests.iter().enumerate().all(|(index, request)| flags(index, request)) {
        cx.broken(Rule::UnknownFlags, &detail);
    }
    if chain.requests.iter().any(|request| request.size == 0) {
        cx.broken(Rule::EmptySlot, &detail);
    }
    if headers(&packet.data).len > first_len {
        cx.broken(Rule::HeadersSplit, &detail);
    }
    if packet.gso.is_some() && !(packet.csum_blank && packet.data_validated) {
        cx.broken(Rule::GsoWithoutBlankChecksum, &detail);
    }
    let mtu = cx.config.mtu.as_deref().and_then(|mtu| mtu.parse().ok()).unwrap_or(1500_usize);
    // A VLAN tag may come on top of the Ethernet header.
    if packet.gso.is_none() && packet.data.len() > mtu + 18 {
        cx.broken(Rule::LongerThanMtu, &detail);
    }
    let offered = |key: &str| cx.config.features.iter().any(|(known, value)| known == key && value == "1");
    let several = chain.requests.len() > 1 && !offered("feature-sg");
    let large = packet
        .gso
        .is_some_and(|gso| !offered(if gso.kind == 1 { "feature-gso-tcpv4" } else { "feature-gso-tcpv6" }));
    if several || large {
        cx.broken(Rule::NotOffered, &detail);
    }
}
