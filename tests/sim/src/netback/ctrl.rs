//! The control ring: the answers of Linux's netback, over a third ring of the device.
//!
//! After `connect_ctrl_ring` of Linux 6.1, `xenbus.c`, and what `hash.c` there accepts; this crate's own code.

use super::ring::BackRing;
use super::rules::Violation as Rule;
use super::{Inner, Packet};
use crate::netback::packet::headers;
use crate::peer::Peer;
use crate::store::Xenstored;
use xen::abi::io_netif::{NetifCtrlRequest, NetifCtrlResponse};
use xen::{DomId, EvtchnPort, Gref};

/// `XEN_NETBK_MAX_HASH_KEY_SIZE`, `XEN_NETBK_MAX_HASH_MAPPING_SIZE`.
const MOST_KEY: usize = 40;
const MOST_MAPPING: u32 = 128;

const OK: u32 = 0;
const NOT_SUPPORTED: u32 = 1;
const INVALID: u32 = 2;

/// How frames are given to queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashing {
    /// Toeplitz was asked for.
    pub toeplitz: bool,
    /// Bits of `XEN_NETIF_CTRL_HASH_TYPE_*`.
    pub flags: u32,
    /// The key.
    pub key: Vec<u8>,
    /// Queues by hash.
    pub mapping: Vec<u32>,
}

impl Hashing {
    /// The hash of a frame as its extra says it: type, and value; `None` if it has none.
    pub(crate) fn of(&self, data: &[u8]) -> Option<(u8, u32)> {
        let ipv4 = data.get(12..14) == Some(&[8, 0]);
        let addresses = if ipv4 {
            data.get(26..34)?
        } else {
            data.get(22..54).filter(|_| data[12..14] == [0x86, 0xdd])?
        };
        let tcp = headers(data).transport.filter(|(_, field)| *field == 16);
        let (plain, with_ports) = if ipv4 { (0, 1) } else { (2, 3) };
        let (kind, input) = match tcp {
            Some((at, _)) if self.flags >> with_ports & 1 == 1 => {
                (with_ports, [addresses, data.get(at..at + 4)?].concat())
            }
            _ if self.flags >> plain & 1 == 1 => (plain, addresses.to_vec()),
            _ => return None,
        };
        Some((kind as u8, toeplitz(&self.key, &input)))
    }

    /// The queue for a frame.
    pub(crate) fn queue(&self, packet: &Packet, queues: usize) -> Option<usize> {
        if !self.toeplitz {
            return None;
        }
        let hash = self.of(&packet.data).map_or(0, |(_, hash)| hash) as usize;
        if self.mapping.is_empty() {
            hash.checked_rem(queues)
        } else {
            Some(self.mapping[hash % self.mapping.len()] as usize)
        }
    }
}

/// Bit by bit, over a key as long as it takes.
fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let key_bit = |at: usize| key.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let mut hash = 0;
    for at in 0..input.len() * 8 {
        if input[at / 8] >> (7 - at % 8) & 1 == 1 {
            hash ^= (0..32).fold(0, |word, bit| word << 1 | u32::from(key_bit(at + bit)));
        }
    }
    hash
}

/// The ring and its channel.
#[derive(Debug)]
pub(crate) struct Ctrl {
    ring: BackRing,
    port: EvtchnPort,
}

impl Ctrl {
    /// Takes the ring that the frontend has published, if it has.
    pub(super) fn connect(
        peer: &Peer,
        guest: DomId,
        refs: (Option<u32>, Option<u32>),
    ) -> Result<Option<Self>, Rule> {
        match refs {
            (None, None) => Ok(None),
            (Some(gref), Some(port)) => {
                let page = peer.map(guest, Gref(gref), true).map_err(|_| Rule::RingUnusable)?;
                let ring = BackRing::attach(page, size_of::<NetifCtrlRequest>())?;
                let port = peer.evtchn_bind(guest, EvtchnPort(port)).map_err(|_| Rule::RingUnusable)?;
                Ok(Some(Self { ring, port }))
            }
            _ => Err(Rule::MissingKey),
        }
    }

    pub(super) fn close(self, peer: &Peer) {
        let _ = peer.evtchn_close(self.port);
    }
}

impl Inner {
    /// Whether the guest has a control ring, from xenstore.
    pub(super) fn connect_ctrl(&mut self, store: &Xenstored) -> Result<(), Rule> {
        let number = |key: &str| store.read(&format!("{}/{key}", self.frontend))?.parse().ok();
        let refs = (number("ctrl-ring-ref"), number("event-channel-ctrl"));
        let offered =
            self.config.features.iter().any(|(key, value)| key == "feature-ctrl-ring" && value == "1");
        self.ctrl = Ctrl::connect(&self.peer, self.guest, if offered { refs } else { (None, None) })?;
        self.hashing = Hashing::default();
        Ok(())
    }

    /// Answers pending requests; returns whether there were any.
    pub(super) fn run_ctrl(&mut self) -> bool {
        let Some(mut ctrl) = self.ctrl.take() else { return false };
        let event = self.peer.take_event(ctrl.port);
        if event {
            while let Some(ready) = ctrl.ring.unconsumed() {
                if ready == 0 {
                    if ctrl.ring.final_check() { continue } else { break }
                }
                let Some(request) = ctrl.ring.get_request::<NetifCtrlRequest>() else { break };
                self.stats.ctrl_requests += 1;
                if self.faults.ctrl_silent || self.faults.ctrl_deaf_to == Some(request.kind) {
                    continue;
                }
                let (status, data) = self.obey(&request);
                let mut response = NetifCtrlResponse { id: request.id, kind: request.kind, status, data };
                if let Some(fault) = &mut self.faults.ctrl_response {
                    fault(&mut response);
                }
                ctrl.ring.acknowledge(1);
                ctrl.ring.put_response(&response);
                let bend = &mut self.faults.ctrl_rsp_prod;
                if ctrl.ring.push(|index| bend.as_mut().map_or(index, |bend| bend(index))) {
                    let _ = self.peer.evtchn_send(ctrl.port);
                }
            }
        }
        self.ctrl = Some(ctrl);
        event
    }

    /// Does what a request says: status and data.
    fn obey(&mut self, request: &NetifCtrlRequest) -> (u32, u32) {
        let [first, second, third] = request.data;
        let fetch = |gref: u32, len: usize| self.peer.copy_from(self.guest, Gref(gref), 0, len);
        let hashing = &mut self.hashing;
        match request.kind {
            1 if hashing.toeplitz => (OK, 15),
            2 if hashing.toeplitz && first <= 15 => {
                hashing.flags = first;
                (OK, 0)
            }
            3 if second as usize <= MOST_KEY => match fetch(first, second as usize) {
                Ok(key) => {
                    hashing.key = key;
                    (OK, 0)
                }
                Err(_) => (INVALID, 0),
            },
            4 => (OK, MOST_MAPPING),
            5 if first <= MOST_MAPPING => {
                hashing.mapping = vec![0; first as usize];
                (OK, 0)
            }
            6 => {
                let Ok(bytes) = fetch(first, second as usize * 4) else { return (INVALID, 0) };
                let entries =
                    bytes.chunks(4).map(|entry| u32::from_le_bytes(entry.try_into().expect("four bytes")));
                let Some(into) = hashing.mapping.get_mut(third as usize..(third + second) as usize) else {
                    return (INVALID, 0);
                };
                into.iter_mut().zip(entries).for_each(|(into, entry)| *into = entry);
                let queues = self.queues.len() as u32;
                (if into.iter().all(|queue| *queue < queues) { OK } else { INVALID }, 0)
            }
            7 if first <= 1 => {
                hashing.toeplitz = first == 1;
                (OK, 0)
            }
            8..=10 if self.config.gref_mapping.is_some() => self.obey_gref(request),
            1 | 8..=10 => (NOT_SUPPORTED, 0),
            _ => (INVALID, 0),
        }
    }
}
