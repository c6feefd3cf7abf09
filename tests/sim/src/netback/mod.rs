//! A simulated netback: to a frontend it looks like Linux 6.1's, but it is stricter.
//!
//! ```text
//!   xenstore nodes ─► xenbus.rs: states, connect ─► queue.rs ┬─ tx.rs: requests ─► rules ─► packets ─► recv()
//!                                                            └─ rx.rs: send() ─► packets ─► posted pages
//!   faults.rs: everything that a backend can do wrong, at the moment at which it writes
//! ```
//!
//! It works when an event arrives, when xenstore changes, and when the test gives it a frame; and at no other time.

mod config;
mod ctrl;
mod faults;
mod link;
mod pace;
mod packet;
mod queue;
mod raw;
mod ring;
mod rules;
mod rx;
mod segment;
mod statics;
mod tx;
mod xenbus;

pub use config::{Hotplug, VifConfig};
pub use ctrl::Hashing;
pub use faults::{Faults, Notify, Order, RxSlot};
pub(crate) use link::wire;
pub use pace::Pace;
pub use packet::{Gso, Packet};
pub use raw::{Index, RawRing, Side};
pub use rules::{Penalty, Violation};
pub use rx::Posted;

use crate::peer::{MappedPage, Peer};
use crate::toolstack;
use crate::world::{Service, World};
use queue::Queue;
use statics::Statics;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use xen::DomId;
use xen::abi::io_xenbus::XenbusState as State;

/// The poison in a page that the frontend has posted and not got back.
pub const POISON: u8 = 0xa5;

/// What a netback has done since it was attached. `rx` and `tx` are the guest's directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that the guest sent.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Transmit requests seen.
    pub tx_requests: u64,
    /// Transmit responses written.
    pub tx_responses: u64,
    /// Frames that the guest was given.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Receive requests seen.
    pub rx_requests: u64,
    /// Receive responses written.
    pub rx_responses: u64,
    /// How often there were too few receive requests.
    pub rx_short: u64,
    /// Events sent to the guest.
    pub notifications_sent: u64,
    /// Events from the guest.
    pub notifications_received: u64,
    /// Those without work: Linux delays the next one.
    pub spurious_notifications: u64,
    /// Pages of the guest copied to or from.
    pub grant_copies: u64,
    /// Pages of the guest mapped for data.
    pub grant_maps: u64,
    /// How often the frontend connected.
    pub connects: u64,
    /// Frames to groups that the guest had not joined.
    pub rx_filtered: u64,
    /// Requests on the control ring.
    pub ctrl_requests: u64,
}

/// The features that the frontend wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are nodes that are 0 or 1")]
pub struct FrontendFlags {
    /// `request-rx-copy`.
    pub rx_copy: bool,
    /// `feature-rx-notify`.
    pub rx_notify: bool,
    /// `feature-sg`.
    pub sg: bool,
    /// `feature-gso-tcpv4`.
    pub gso_tcpv4: bool,
    /// `feature-gso-tcpv6`.
    pub gso_tcpv6: bool,
    /// Not `feature-no-csum-offload`.
    pub csum_offload: bool,
    /// `feature-ipv6-csum-offload`.
    pub ipv6_csum_offload: bool,
    /// `request-multicast-control`.
    pub multicast_control: bool,
}

#[derive(Debug)]
struct Inner {
    peer: Peer,
    guest: DomId,
    config: VifConfig,
    /// The backend's directory.
    backend: String,
    /// The frontend's.
    frontend: String,
    /// The backend's state, and how much of it is published.
    state: State,
    shown: State,
    waits_for_hotplug: bool,
    /// xenstore as it was at the last look.
    store_version: u64,
    /// The change number of the frontend's state that was last seen.
    frontend_generation: Option<u64>,
    /// The module is loaded and its domain alive.
    present: bool,
    /// A fatal error: nothing works until the frontend connects again.
    disabled: bool,
    queues: Vec<Queue>,
    flags: FrontendFlags,
    /// Frames for a guest that is not connected.
    waiting: VecDeque<Packet>,
    from_guest: VecDeque<Packet>,
    /// Groups that the guest has joined.
    groups: BTreeSet<[u8; 6]>,
    ctrl: Option<ctrl::Ctrl>,
    hashing: Hashing,
    /// Pages that stay mapped, because the frontend asked for it.
    statics: Statics,
    stats: Stats,
    faults: Faults,
    violations: Vec<Violation>,
    /// Ring pages that are kept beyond their time.
    kept: Vec<MappedPage>,
    /// The test gave frames or changed faults.
    kicked: bool,
    /// The virtual time of this run.
    now: u64,
    /// When a slow backend works again without being told.
    wake: Option<u64>,
}

#[derive(Debug)]
struct Device(RefCell<Inner>);

/// A vif's backend, in a test's hands. Clones are the same vif.
#[derive(Clone, Debug)]
pub struct Netback {
    device: Rc<Device>,
    world: Weak<World>,
}

impl Netback {
    /// The toolstack attaches a vif, and netback probes it.
    pub(crate) fn attach(world: &Rc<World>, guest: DomId, config: VifConfig) -> Self {
        if world.domain(config.backend).is_none() {
            world.add_domain(crate::domain::Domain::service(config.backend));
        }
        toolstack::create_vif(&world.store, guest, config.backend, &config);
        let mut inner = Inner {
            peer: Peer::new(Rc::downgrade(world), config.backend),
            guest,
            backend: toolstack::backend_path(config.backend, guest, config.handle),
            frontend: toolstack::frontend_path(guest, config.handle),
            state: State::Initialising,
            shown: State::Initialising,
            waits_for_hotplug: false,
            store_version: 0,
            frontend_generation: None,
            present: true,
            disabled: false,
            queues: Vec::new(),
            flags: FrontendFlags::default(),
            waiting: VecDeque::new(),
            from_guest: VecDeque::new(),
            groups: BTreeSet::new(),
            ctrl: None,
            hashing: Hashing::default(),
            statics: Statics::new(),
            stats: Stats::default(),
            faults: Faults::default(),
            violations: Vec::new(),
            kept: Vec::new(),
            kicked: false,
            now: 0,
            wake: None,
            config,
        };
        inner.probe(&world.store);
        // The state that a guest before this one left: seen already, and the backend stands where that one left it.
        inner.frontend_generation = world.store.generation(&format!("{}/state", inner.frontend));
        if let Ok(left @ (State::Connected | State::Closed)) = State::try_from(inner.config.frontend_state) {
            inner.state = left;
            inner.switch(&world.store, left);
        }
        let hotplug = inner.config.hotplug;
        let netback = Self { device: Rc::new(Device(RefCell::new(inner))), world: Rc::downgrade(world) };
        world.add_service(Rc::clone(&netback.device) as Rc<dyn Service>);
        match hotplug {
            Hotplug::Done => netback.hotplug(),
            Hotplug::After(ns) => {
                let later = netback.clone();
                world.agenda.enter(world.now() + ns, move |_| later.hotplug());
            }
            Hotplug::Manual => {}
        }
        netback
    }

    fn world(&self) -> Rc<World> {
        self.world.upgrade().expect("the machine is gone; keep the Sim or a Guest")
    }

    fn inner<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.device.0.borrow_mut())
    }

    /// Queues a frame for the guest, unchanged. The guest gets it when the machine runs; before it is connected,
    /// frames wait.
    pub fn send(&self, packet: impl Into<Packet>) {
        let packet = packet.into();
        let queue = self.inner(|inner| inner.hashing.queue(&packet, inner.queues.len()));
        self.send_to(queue.unwrap_or(0), packet);
    }

    /// The frontend's algorithm for the choice of queues.
    #[must_use]
    pub fn hashing(&self) -> Hashing {
        self.inner(|inner| inner.hashing.clone())
    }

    /// Pages that stay mapped: to write to, and to read.
    #[must_use]
    pub fn mapped_pages(&self) -> (usize, usize) {
        self.inner(|inner| {
            let writable = inner.statics.values().filter(|page| page.is_writable()).count();
            (writable, inner.statics.len() - writable)
        })
    }

    /// Whether there is a control ring.
    #[must_use]
    pub fn has_ctrl(&self) -> bool {
        self.inner(|inner| inner.ctrl.is_some())
    }

    /// A frame for one of the guest's queues.
    pub fn send_to(&self, queue: usize, packet: impl Into<Packet>) {
        let packet = packet.into();
        self.inner(|inner| {
            inner.kicked = true;
            if inner.keeps_out(&packet) {
                inner.stats.rx_filtered += 1;
                return;
            }
            let queue = inner.queues.get_mut(queue).map(|queue| &mut queue.to_guest);
            queue.unwrap_or(&mut inner.waiting).push_back(packet);
        });
    }

    /// A packet of another guest: in a form that this one takes.
    fn forward(&self, packet: Packet) {
        let flags = self.frontend_flags();
        let fits = match packet.gso {
            Some(gso) if gso.kind == 1 => flags.sg && flags.gso_tcpv4,
            Some(_) => flags.sg && flags.gso_tcpv6,
            None => true,
        };
        if fits {
            self.send(packet);
        } else {
            packet.segmented().into_iter().for_each(|segment| self.send(segment));
        }
    }

    /// The next frame that the guest sent.
    #[must_use]
    pub fn recv(&self) -> Option<Packet> {
        self.inner(|inner| inner.from_guest.pop_front())
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner(|inner| inner.stats)
    }

    /// The features that the frontend wrote.
    #[must_use]
    pub fn frontend_flags(&self) -> FrontendFlags {
        self.inner(|inner| inner.flags)
    }

    /// Groups that the guest has joined.
    #[must_use]
    pub fn groups(&self) -> Vec<[u8; 6]> {
        self.inner(|inner| inner.groups.iter().copied().collect())
    }

    /// Rules that the frontend broke, for a lenient vif.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.inner(|inner| inner.violations.clone())
    }

    /// The state that the backend shows.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner(|inner| inner.shown)
    }

    /// Whether the rings are in use; the frontend may not know it yet.
    #[must_use]
    pub fn has_rings(&self) -> bool {
        self.inner(|inner| !inner.queues.is_empty())
    }

    /// Frames that wait for receive requests.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.inner(|inner| {
            inner.waiting.len() + inner.queues.iter().map(|queue| queue.to_guest.len()).sum::<usize>()
        })
    }

    /// Receive requests that were seen and not used yet, in the order of use.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.inner(|inner| inner.queues.iter().flat_map(|queue| queue.posted.iter().copied()).collect())
    }

    /// Transmit requests without a response.
    #[must_use]
    pub fn tx_in_flight(&self) -> usize {
        self.inner(|inner| inner.queues.iter().map(|queue| queue.tx_in_flight.len()).sum())
    }

    /// The path of the backend's directory.
    #[must_use]
    pub fn backend_path(&self) -> String {
        self.inner(|inner| inner.backend.clone())
    }

    /// The path of the frontend's directory.
    #[must_use]
    pub fn frontend_path(&self) -> String {
        self.inner(|inner| inner.frontend.clone())
    }

    /// Changes the faults from now on.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.inner(|inner| {
            change(&mut inner.faults);
            inner.kicked = true;
            if !inner.faults.keep_mapped {
                inner.kept.clear();
                inner.queues.iter_mut().for_each(|queue| queue.kept.clear());
            }
        });
    }
}

impl Inner {
    /// `xenvif_start_xmit`: frames to a group that was not joined are dropped, broadcast frames are not.
    fn keeps_out(&self, packet: &Packet) -> bool {
        let Some(to) = packet.data.first_chunk::<6>() else { return false };
        let group = to[0] & 1 == 1 && *to != [0xff; 6];
        self.flags.multicast_control && !self.queues.is_empty() && group && !self.groups.contains(to)
    }
}

impl Device {
    /// Work on the rings: for events, and for the test's frames.
    fn run_queues(inner: &mut Inner) -> bool {
        let kicked = std::mem::take(&mut inner.kicked);
        let (alive, worked) = inner.with_context(|queues, cx| {
            let (mut alive, mut worked) = (true, kicked);
            for queue in queues {
                let tx_event = cx.peer.take_event(queue.tx_port);
                let rx_event =
                    if queue.rx_port == queue.tx_port { tx_event } else { cx.peer.take_event(queue.rx_port) };
                let events = u64::from(tx_event) + u64::from(rx_event && queue.rx_port != queue.tx_port);
                cx.stats.notifications_received += events;
                let seen = cx.stats.tx_requests + cx.stats.rx_requests;
                if tx_event {
                    alive &= queue.run_tx(cx);
                } else if kicked {
                    queue.answer(cx);
                }
                alive &= queue.see_rx_requests(cx);
                if rx_event {
                    queue.rx_waits = false;
                }
                // A frame that waits for an event on requests waits on: it was promised one.
                if alive && !queue.rx_waits && (rx_event || kicked) {
                    worked |= queue.run_rx(cx);
                }
                if events > 0 && cx.stats.tx_requests + cx.stats.rx_requests == seen {
                    cx.stats.spurious_notifications += events;
                }
                worked |= tx_event || rx_event;
            }
            (alive, worked)
        });
        inner.disabled |= !alive;
        worked
    }
}

impl Service for Device {
    fn run(&self, world: &World) -> bool {
        let mut inner = self.0.borrow_mut();
        if !inner.present {
            return false;
        }
        inner.now = world.now();
        if inner.wake.take_if(|at| *at <= world.now()).is_some() {
            inner.kicked = true;
        }
        let before = inner.wake;
        let changed = inner.watch_store(&world.store);
        let worked = !inner.disabled && Self::run_queues(&mut inner);
        let asked = inner.run_ctrl();
        if let Some(at) = inner.wake.filter(|_| inner.wake != before) {
            world.agenda.enter(at, |_| ());
        }
        changed || worked || asked
    }

    fn describe(&self) -> String {
        let inner = self.0.borrow();
        let queues: Vec<String> = inner.queues.iter().map(Queue::describe).collect();
        format!(
            "netback {}: {:?} (shown {:?}) {:?}\n  {:?}",
            inner.backend, inner.state, inner.shown, queues, inner.stats
        )
    }
}
