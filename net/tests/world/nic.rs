//! A network interface in memory, and the link between two of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::rc::Rc;

use net::EthernetAddress;
use nic::{Checksum, Nic, Packet, Received};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use super::Dice;

/// What a link does to frames.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    /// Nanoseconds on the way.
    pub(crate) delay: u64,
    /// Frames lost, of a thousand.
    pub(crate) loss: usize,
    /// Frames an interface can send between two reaps.
    pub(crate) slots: usize,
    pub(crate) ip_mtu: usize,
    /// A router on the path passes IP packets of at most this many bytes, and reports larger ones.
    pub(crate) path: Option<usize>,
    /// Interfaces report the state of each frame's checksum, instead of leaving the check to smoltcp.
    pub(crate) tells_checksums: bool,
    /// Interfaces cut TCP over IPv6 into segments.
    pub(crate) cuts6: bool,
    pub(crate) seed: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            delay: 100_000,
            loss: 0,
            slots: 256,
            ip_mtu: 1500,
            path: None,
            tells_checksums: false,
            cuts6: false,
            seed: 1,
        }
    }
}

type Queue = Rc<RefCell<VecDeque<(u64, Vec<u8>)>>>;

/// Where an interface sends to.
struct Out {
    queue: Queue,
    /// The destination of a router's message: the sender of the frame.
    back: Queue,
    now: Rc<Cell<u64>>,
    wire: Wire,
    dice: Dice,
    used: usize,
    /// Bytes of the largest IP packet that was sent, before it was cut, and of the largest segment that was asked for.
    largest: usize,
    segment: u16,
    cut: Option<u16>,
}

/// What a test may change while the world runs.
#[derive(Clone)]
pub(crate) struct Switches {
    pub(crate) up: Rc<Cell<bool>>,
    pub(crate) generation: Rc<Cell<u32>>,
    pub(crate) mac: Rc<Cell<EthernetAddress>>,
    /// The backend takes nothing: no slot comes back.
    pub(crate) stalled: Rc<Cell<bool>>,
    /// Each frame is shown with this state of its checksum.
    pub(crate) checksum: Rc<Cell<Checksum>>,
    /// The groups that were asked for last.
    pub(crate) groups: Rc<RefCell<Vec<EthernetAddress>>>,
}

pub(crate) struct MemNic {
    input: Queue,
    output: Rc<RefCell<Out>>,
    now: Rc<Cell<u64>>,
    held: Option<Vec<u8>>,
    exhausted: bool,
    pub(crate) switches: Switches,
    pub(crate) flushes: u64,
    pub(crate) final_checks: u64,
}

/// The other end of a link, for a test that plays the network itself.
pub(crate) struct Raw {
    to: Queue,
    from: Queue,
    now: Rc<Cell<u64>>,
}

impl Raw {
    pub(crate) fn send(&self, frame: Vec<u8>) {
        self.to.borrow_mut().push_back((self.now.get(), frame));
    }

    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        self.from.borrow_mut().drain(..).map(|(_, frame)| frame).collect()
    }
}

impl MemNic {
    fn new(last: u8, input: &Queue, output: &Queue, now: &Rc<Cell<u64>>, wire: Wire) -> Self {
        let dice = Dice(wire.seed.wrapping_mul(0x9e37_79b9) + u64::from(last));
        let (queue, back, now_too) = (Rc::clone(output), Rc::clone(input), Rc::clone(now));
        let out = Out { queue, back, now: now_too, wire, dice, used: 0, largest: 0, segment: 0, cut: None };
        Self {
            input: Rc::clone(input),
            output: Rc::new(RefCell::new(out)),
            now: Rc::clone(now),
            held: None,
            exhausted: false,
            switches: Switches {
                up: Rc::new(Cell::new(true)),
                generation: Rc::new(Cell::new(1)),
                mac: Rc::new(Cell::new(EthernetAddress([0, 0x16, 0x3e, 0, 0, last]))),
                stalled: Rc::new(Cell::new(false)),
                checksum: Rc::default(),
                groups: Rc::default(),
            },
            flushes: 0,
            final_checks: 0,
        }
    }

    /// Two interfaces with a link between them; their MAC addresses end in 1 and 2.
    pub(crate) fn pair(now: &Rc<Cell<u64>>, wire: Wire) -> (Self, Self) {
        let (there, back) = (Queue::default(), Queue::default());
        (Self::new(1, &back, &there, now, wire), Self::new(2, &there, &back, now, wire))
    }

    /// An interface and the other end of its link, without delay.
    pub(crate) fn raw(now: &Rc<Cell<u64>>) -> (Self, Raw) {
        let (to, from) = (Queue::default(), Queue::default());
        let wire = Wire { delay: 0, ..Wire::default() };
        (Self::new(1, &to, &from, now, wire), Raw { to, from, now: Rc::clone(now) })
    }

    pub(crate) fn change_wire(&self, change: impl FnOnce(&mut Wire)) {
        change(&mut self.output.borrow_mut().wire);
    }

    /// Bytes of the largest IP packet that was sent since this was asked last.
    pub(crate) fn largest(&self) -> usize {
        std::mem::take(&mut self.output.borrow_mut().largest)
    }

    /// Payload of the largest segment into which something was to be cut.
    pub(crate) fn largest_segment(&self) -> u16 {
        std::mem::take(&mut self.output.borrow_mut().segment)
    }

    /// When the next frame that is on its way arrives, if it can be taken then.
    pub(crate) fn next_arrival(&self) -> u64 {
        self.input.borrow().front().filter(|_| self.can_send()).map_or(u64::MAX, |(due, _)| *due)
    }

    /// Whether there is a frame.
    pub(crate) fn arrived(&self) -> bool {
        self.can_send() && (self.held.is_some() || self.next_arrival() <= self.now.get())
    }

    pub(crate) fn can_send(&self) -> bool {
        self.switches.up.get() && !(self.exhausted && self.switches.stalled.get())
    }

    fn has_slot(&self) -> bool {
        let out = self.output.borrow();
        out.used < out.wire.slots && self.switches.up.get()
    }

    fn fill(&mut self) -> bool {
        if !self.has_slot() {
            self.exhausted = true;
            return false;
        }
        if self.held.is_none() && self.next_arrival() <= self.now.get() {
            self.held = self.input.borrow_mut().pop_front().map(|(_, frame)| frame);
        }
        self.held.is_some()
    }
}

impl Nic for MemNic {
    fn mac(&self) -> EthernetAddress {
        self.switches.mac.get()
    }

    fn link_up(&self) -> bool {
        self.switches.up.get()
    }

    fn link_generation(&self) -> u32 {
        self.switches.generation.get()
    }

    fn reap(&mut self) {
        if !self.switches.stalled.get() {
            self.output.borrow_mut().used = 0;
            self.exhausted = false;
        }
    }

    fn peek(&mut self) -> Option<Received<'_>> {
        self.fill();
        self.held.as_deref().map(|frame| Received { frame, checksum: self.switches.checksum.get() })
    }

    fn discard(&mut self) {
        self.held = None;
    }

    fn retain(&mut self) -> Option<Packet> {
        self.held.take().map(|frame| Packet::from_bytes(&frame))
    }

    fn set_multicast(&mut self, groups: &[EthernetAddress]) {
        *self.switches.groups.borrow_mut() = groups.to_vec();
    }

    fn set_segment_size(&mut self, payload: Option<u16>) {
        self.output.borrow_mut().cut = payload;
    }

    fn tx_exhausted(&self) -> bool {
        self.exhausted
    }

    fn flush(&mut self) {
        self.flushes += 1;
    }

    fn final_check(&mut self) -> bool {
        self.final_checks += 1;
        self.arrived()
    }
}

pub(crate) struct Frame(Vec<u8>);
pub(crate) struct Slot(Rc<RefCell<Out>>, Option<NonZeroU16>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Slot {
    fn set_meta(&mut self, meta: phy::PacketMeta) {
        self.1 = meta.segmentation_offload_size;
    }

    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut out = self.0.borrow_mut();
        out.used += 1;
        let wire = out.wire;
        let six = wire.cuts6 && frame[12..14] == [0x86, 0xdd] && frame[20] == 6;
        // Frames are segmented as a frontend does it; no other frame may exceed the link's MTU.
        let link = (wire.ip_mtu - 60) as u16;
        let asked = out.cut.filter(|cut| six && len > 74 + usize::from(*cut.min(&link)));
        let asked = self.1.map(NonZeroU16::get).or(asked).map(|asked| asked.min(link));
        assert!(len <= wire.ip_mtu + 14 || asked.is_some(), "a frame of {len} bytes");
        out.segment = out.segment.max(asked.unwrap_or(0));
        let due = out.now.get() + wire.delay;
        out.largest = out.largest.max(len - 14);
        // IPv6 and TCP have 60 bytes before each segment.
        let piece = asked.map_or(len - 14, |segment| usize::from(segment) + 60);
        if let Some(mtu) = wire.path.filter(|mtu| piece.min(len - 14) > *mtu) {
            out.back.borrow_mut().push_back((due, super::frames::big::answer(&frame, mtu)));
        } else if out.dice.below(1000) >= wire.loss {
            out.queue.borrow_mut().push_back((due, frame));
        }
        result
    }
}

impl Device for MemNic {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Slot;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Slot)> {
        self.fill();
        self.held.take().map(|frame| (Frame(frame), Slot(Rc::clone(&self.output), None)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot> {
        if !self.has_slot() {
            self.exhausted = true;
            return None;
        }
        Some(Slot(Rc::clone(&self.output), None))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.output.borrow().wire.ip_mtu + 14;
        if self.output.borrow().wire.tells_checksums {
            // Like a device that completes checksums and segments frames.
            capabilities.checksum.tcp = phy::Checksum::None;
            capabilities.checksum.udp = phy::Checksum::None;
            capabilities.segmentation.tcpv4 = std::num::NonZeroUsize::new(65_535);
        }
        if self.output.borrow().wire.cuts6 {
            capabilities.segmentation.tcpv6 = std::num::NonZeroUsize::new(65_535);
        }
        capabilities
    }
}
