//! The connection task of a vif: it connects, watches the backend, and connects again.
//!
//! ```text
//!   find F ─► reset ─► B is 2: publish, F = 4 ─► B is 4: Up ─► B is 5, 6 or gone: Stop, F = 5, 6, Release ─► wait ─┐
//!     ▲                  │                                                                                         │
//!     │                  └ late hotplug-status: the rings work already, B = 4 follows                              │
//!     └──────────────────────────────────── another backend, or the same one restarted ◄───────────────────────────┘
//! ```
//!
//! F is `device/vif/<handle>`, B the backend's directory that it names. [`Phase::next`] decides what to do in which state;
//! this task does it. The device and the stack above it stay.
//!
//! Waiting has no time limit, because a backend may be restarted at any time. A wait is logged after 5 seconds, and every
//! minute from then on.
//!
//! | file | contents |
//! |---|---|
//! | this one | [`open`], [`ConnectionTask`]: the states of a connection |
//! | `store` | the nodes of a vif in xenstore, the list of vifs, [`ConnectError`] |
//! | `handshake`, `rings` | terms, published keys, ring resources |
//! | `control_ring`, `negotiate`, `hash_setup`, `static_grants` | requests to the backend after the connection |
//! | `carrier`, `multicast` | the link behind the backend, refused multicast groups |
//! | `teardown`, `timeout` | the end of a connection, waiting with a limit |

mod carrier;
mod control_ring;
mod handshake;
mod hash_setup;
mod multicast;
mod negotiate;
mod rings;
mod static_grants;
pub(crate) mod store;
mod teardown;
mod timeout;

use crate::device::NetDevice;
use crate::device::config::Config;
use crate::device::mailbox::{Command, Mailbox, Notice, Reply};
use crate::wire::feature::Feature;
use crate::wire::misbehaviour::Misbehaviour;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use control_ring::Control;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use handshake::{Published, Terms, connection, publish};
use rings::make_rings;
use store::{ConnectError, Offers, Vif, clamp_mtu};
use timeout::within;
use xen::abi::io_xenbus::XenbusState;
use xen::xenbus::{BackendChange, BackendWatch, Frontend, Online, Phase, Step, XenbusError};
use xen::xenstore::Watch;
use xen::{DomId, Machine, Xen};

/// Nanoseconds after which a wait is logged for the first time, and in which a backend has to close.
const TIMEOUT: u64 = 5_000_000_000;
/// Nanoseconds between later log lines about the same wait.
const REMINDER: u64 = 60_000_000_000;
/// Nanoseconds before the first retry after an error. Each later pause is twice as long, up to [`REMINDER`].
const RETRY: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// The connection task of a vif. It does nothing until [`ConnectionTask::run`] is polled.
#[derive(Debug)]
pub struct ConnectionTask<M> {
    xen: Rc<Xen<M>>,
    mailbox: Rc<Mailbox>,
    ring_start: u32,
    /// The features that the operator refuses.
    refused: Feature,
    /// The largest number of queues.
    queues: usize,
    /// The control ring of the connection.
    control: RefCell<Option<Box<Control>>>,
    /// `device/vif/<handle>`.
    front: String,
    /// Whether the vif was connected since the last error.
    was_up: Cell<bool>,
}

/// What the task waits for.
#[derive(Debug)]
enum Event {
    Backend(BackendChange),
    Device(Notice),
    Carrier,
}

/// Opens a vif: reads its nodes, and makes the device for the stack and the task that keeps it connected.
///
/// # Errors
/// The configuration is out of range, or a node of the toolstack is missing or invalid.
pub async fn open<M: Machine>(
    xen: Rc<Xen<M>>,
    handle: u32,
    config: Config,
) -> Result<(NetDevice<M>, ConnectionTask<M>), ConnectError> {
    config.check().map_err(ConnectError::Config)?;
    let front = format!("device/vif/{handle}");
    let frontend = Frontend::open(&xen.store, &front).await?;
    let vif = Vif::read(&xen.store, &frontend).await?;
    let mailbox = Rc::new(Mailbox::default());
    let Config { ring_start, refuse: refused, queues, hash_key, .. } = config;
    mailbox.hash_key.set(hash_key);
    let mtu = clamp_mtu(vif.mtu, Feature::empty());
    let device = NetDevice::new(Rc::clone(&xen), Rc::clone(&mailbox), config, handle, vif.mac, mtu);
    let control = RefCell::default();
    Ok((
        device,
        ConnectionTask {
            xen,
            mailbox,
            ring_start,
            refused,
            queues,
            control,
            front,
            was_up: Cell::new(false),
        },
    ))
}

impl<M: Machine> ConnectionTask<M> {
    /// Keeps the vif connected, for ever. `sleep` waits for a number of nanoseconds. The loop has to run the device's
    /// iterations meanwhile: they run the commands of this task.
    pub async fn run(self, sleep: impl AsyncFn(u64)) {
        let mut pause = RETRY;
        loop {
            match self.follow(&sleep).await {
                Ok(()) => pause = RETRY,
                Err(error) => {
                    if self.was_up.take() {
                        pause = RETRY;
                    }
                    log::error!("{}: {error}; retrying in {} s", self.front, pause / SECOND);
                    self.abandon(&sleep).await;
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(REMINDER);
                }
            }
        }
    }

    /// Follows one backend, until the device has to be set up again.
    async fn follow(&self, sleep: &impl AsyncFn(u64)) -> Result<(), ConnectError> {
        let generation = self.xen.events.generation();
        let frontend = self.find(sleep).await?;
        let watch = frontend.watch().await?;
        let mut phase = self.begin(&frontend, sleep).await?;
        let mut carrier = None;
        let mut seen = Some(watch.now().await?);
        loop {
            // After a step of ours the same state can call for another step, without an event.
            let change = match seen.take() {
                Some(change) => change,
                None => self.change(&frontend, phase, &watch, carrier.as_ref(), sleep).await?,
            };
            if generation != self.xen.events.generation() {
                // The guest was suspended, and every watch has fired since. In a new domain no backend has to be told; in
                // the same one the backend still has our rings.
                self.abandon(sleep).await;
                return Ok(());
            }
            let online = if phase == Phase::Closed { frontend.online().await? } else { Online::Yes };
            match phase.next(&change, online) {
                Step::Wait => continue,
                Step::Publish => {
                    self.establish(&frontend).await?;
                    phase = Phase::Published;
                }
                Step::Up => {
                    self.mailbox.ask(Command::Up).await;
                    // The watch fires at once; then the node is read.
                    carrier = self.watch_carrier(&frontend).await;
                    self.negotiate(sleep).await;
                    self.was_up.set(true);
                    phase = Phase::Connected;
                }
                Step::Close => {
                    self.note(&frontend, "is closing", phase, &change);
                    self.close(&frontend, &change, sleep).await?;
                    phase = Phase::Closed;
                }
                Step::Detach => {
                    self.note(&frontend, "is gone", phase, &change);
                    self.revoke().await;
                    self.say_closed().await;
                    phase = Phase::Closed;
                }
                Step::Restart => {
                    self.note(&frontend, "restarts", phase, &change);
                    self.take_down().await;
                    return Ok(());
                }
            }
            seen = Some(watch.now().await?);
        }
    }

    /// Logs what the backend does.
    fn note(&self, frontend: &Frontend, does: &str, phase: Phase, change: &BackendChange) {
        let domid = frontend.backend().domid;
        log::info!("{}: the backend in domain {domid} {does}: {change:?} while {phase:?}", self.front);
    }

    /// Waits for the directory of the vif.
    async fn find(&self, sleep: &impl AsyncFn(u64)) -> Result<Frontend, ConnectError> {
        let store = &self.xen.store;
        let watch = store.watch(&format!("{}/backend", self.front)).await?;
        loop {
            match Frontend::open(store, &self.front).await {
                Err(XenbusError::Removed { .. }) => {}
                found => return Ok(found?),
            }
            self.wait_for(sleep, "the toolstack to attach the vif", watch.changed()).await;
        }
    }

    /// Brings both ends to the initial state. A backend that is gone, or that the toolstack removes, is left alone: a new
    /// start would only confuse it.
    async fn begin(&self, frontend: &Frontend, sleep: &impl AsyncFn(u64)) -> Result<Phase, ConnectError> {
        let state = frontend.backend_state().await?;
        if state == Some(XenbusState::Closed) && frontend.online().await? == Online::No {
            return Ok(Phase::Closed);
        }
        match self.wait_for(sleep, "the backend to be ready", frontend.reset()).await {
            Ok(()) => Ok(Phase::Initialising),
            Err(XenbusError::BackendGone { .. }) => Ok(Phase::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// The next change of the backend's state. Handles everything else that happens until then.
    async fn change(
        &self,
        frontend: &Frontend,
        phase: Phase,
        watch: &BackendWatch,
        carrier: Option<&Watch>,
        sleep: &impl AsyncFn(u64),
    ) -> Result<BackendChange, ConnectError> {
        loop {
            match self.event(phase, watch, carrier, sleep).await? {
                Event::Backend(change) => return Ok(change),
                Event::Carrier => self.read_carrier(frontend).await,
                Event::Device(Notice::Broken(what)) => self.publish_error(&what).await,
                Event::Device(Notice::Mappings) => self.update_mappings(sleep).await,
                Event::Device(Notice::GroupsRefused) => self.end_multicast_control(frontend).await?,
            }
        }
    }

    /// The next event. A wait is logged unless the vif is connected.
    async fn event(
        &self,
        phase: Phase,
        watch: &BackendWatch,
        carrier: Option<&Watch>,
        sleep: &impl AsyncFn(u64),
    ) -> Result<Event, ConnectError> {
        let mut changed = pin!(watch.changed());
        let event = poll_fn(|cx| {
            if let Some(notice) = self.mailbox.poll_notice(cx) {
                return Poll::Ready(Ok(Event::Device(notice)));
            }
            if carrier.is_some_and(|carrier| carrier.poll_changed(cx).is_ready()) {
                return Poll::Ready(Ok(Event::Carrier));
            }
            changed.as_mut().poll(cx).map(|change| change.map(Event::Backend))
        });
        let event = match phase {
            Phase::Connected => event.await,
            Phase::Initialising => self.wait_for(sleep, "the backend to be ready", event).await,
            Phase::Published => self.wait_for(sleep, "the backend to connect", event).await,
            Phase::Closed => self.wait_for(sleep, "a backend", event).await,
        };
        Ok(event?)
    }

    /// Makes the rings, has the device fill them, publishes them, and sets our state.
    async fn establish(&self, frontend: &Frontend) -> Result<(), ConnectError> {
        let backend = frontend.backend().domid;
        if backend >= DomId::SELF {
            let wanted = "the number of a domain";
            return Err(ConnectError::Invalid {
                path: frontend.node("backend-id"),
                value: format!("{backend}"),
                wanted,
            });
        }
        let vif = Vif::read(&self.xen.store, frontend).await?;
        let offers = Offers::read(&self.xen.store, frontend).await?;
        if !offers.rx_copy {
            let path = frontend.backend_node("feature-rx-copy");
            return Err(ConnectError::Invalid {
                path,
                value: "0".into(),
                wanted: "1: this frontend needs it",
            });
        }
        let terms = Terms::new(&offers, self.refused, self.queues);
        let rings = make_rings(&self.xen, backend, terms.queues, terms.channels, self.ring_start)
            .map_err(|error| ConnectError::Resources(format!("{error}")))?;
        let hash = self.mailbox.hash_key.get().filter(|_| terms.hash);
        let hash = hash.map(|key| (key, terms.queues));
        let control = self.open_control(backend, hash, if terms.gref { terms.queues } else { 0 }).await;
        let published: Vec<Published> = rings.iter().map(Published::of).collect();
        let command = Command::Connect(Box::new(connection(backend, &vif, &offers, &terms, rings)));
        if let Reply::Failed(error) = self.mailbox.ask(command).await {
            return Err(ConnectError::Resources(format!("{error}")));
        }
        publish(&self.xen.store, &self.front, &offers, &terms, &published, control).await?;
        frontend.switch_state(XenbusState::Connected).await?;
        Ok(())
    }

    /// Writes the error to the node where toolstacks look for it, if we may. The vif stays broken until its backend
    /// restarts.
    async fn publish_error(&self, what: &Misbehaviour) {
        let path = format!("error/{}/error", self.front);
        if let Err(error) = self.xen.store.write(&path, format!("broken by the backend: {what}")).await {
            log::warn!("{error}");
        }
    }

    /// Waits for a future. Logs `what` when the wait is long.
    async fn wait_for<T>(&self, sleep: &impl AsyncFn(u64), what: &str, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let began = self.xen.machine.now();
        let mut limit = TIMEOUT;
        loop {
            if let Some(value) = within(sleep, limit, future.as_mut()).await {
                return value;
            }
            let seconds = self.xen.machine.now().since(began) / SECOND;
            log::warn!("{}: waiting for {what} for {seconds} s", self.front);
            limit = REMINDER;
        }
    }
}
