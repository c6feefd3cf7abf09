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
//! Waiting has no time limit, because a backend may be restarted at any time. A wait is logged once, after 5 seconds.
//!
//! | file | contents |
//! |---|---|
//! | this one | [`open`], [`ConnectionTask`]: the states of a connection |
//! | `store` | the nodes of a vif in xenstore, the list of vifs, [`ConnectError`] |
//! | `handshake`, `rings` | terms, published keys, ring resources |
//! | `control_ring`, `negotiate`, `hash_setup`, `static_grants` | requests to the backend after the connection |
//! | `carrier`, `multicast` | the link behind the backend, refused multicast groups |
//! | `teardown`, `timeout` | the end of a connection, waiting with a limit |
//! | `retry` | the pauses between connections that do not last |

mod carrier;
mod control_ring;
mod handshake;
mod hash_setup;
mod multicast;
mod negotiate;
mod retry;
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
use retry::{End, Retry};
use rings::make_rings;
use store::{ConnectError, Offers, Vif, clamp_mtu};
use timeout::within;
use xen::abi::io_xenbus::XenbusState;
use xen::xenbus::{BackendChange, BackendWatch, Frontend, Online, Phase, Step, XenbusError};
use xen::xenstore::Watch;
use xen::{DomId, Machine, SystemTime, Xen};

/// Nanoseconds after which a wait is logged, and in which a backend has to close.
const TIMEOUT: u64 = 5_000_000_000;
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
    /// When the present connection was complete.
    up_since: Cell<Option<SystemTime>>,
    /// The last warning since a connection that lasted: it is not repeated.
    warned: RefCell<String>,
}

/// What the task waits for.
#[derive(Debug)]
enum Event {
    Backend(BackendChange),
    Device(Notice),
    Carrier,
    /// The guest was suspended and resumed.
    Resumed,
}

/// What a long wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// The directory of the vif.
    Attachment,
    /// Another backend.
    Backend,
    /// The backend's state 2.
    Ready,
    /// The backend's state 4.
    Connected,
}

impl Waited {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Attachment => "the toolstack to attach the vif",
            Self::Backend => "a backend",
            Self::Ready => "the backend to be ready",
            Self::Connected => "the backend to connect",
        }
    }

    /// A vif that is detached, or whose backend restarts, is as the operator wants it. A backend that does not answer is not.
    const fn level(self) -> log::Level {
        match self {
            Self::Attachment | Self::Backend => log::Level::Info,
            Self::Ready | Self::Connected => log::Level::Warn,
        }
    }
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
            up_since: Cell::default(),
            warned: RefCell::default(),
        },
    ))
}

impl<M: Machine> ConnectionTask<M> {
    /// Keeps the vif connected, for ever. `sleep` waits for a number of nanoseconds. The loop has to run the device's
    /// iterations meanwhile: they run the commands of this task.
    pub async fn run(self, sleep: impl AsyncFn(u64)) {
        let mut retry = Retry::default();
        loop {
            let generation = self.xen.events.generation();
            let followed = self.follow(&sleep, generation).await;
            let up_ns = self.up_since.take().map_or(0, |since| self.xen.machine.now().since(since));
            let end = if generation != self.xen.events.generation() {
                // The guest was suspended, and every watch has fired since. In a new domain no backend has to be told; in
                // the same one the backend still has our rings.
                self.abandon(&sleep).await;
                End::Resumed
            } else if let Err(error) = followed {
                self.abandon(&sleep).await;
                End::Failed(error)
            } else {
                End::Restart
            };
            if retry::is_lasting(up_ns) {
                self.warned.borrow_mut().clear();
            }
            let Some((wait, why)) = retry.pause(end, up_ns) else { continue };
            if wait.is_news {
                log::error!("{}: {why}; it is tried again after pauses of up to a minute", self.front);
            }
            sleep(wait.ns).await;
        }
    }

    /// Follows one backend, until the device has to be set up again. After a resume nothing of the former backend is read.
    async fn follow(&self, sleep: &impl AsyncFn(u64), generation: u32) -> Result<(), ConnectError> {
        let frontend = self.find(sleep).await?;
        let watch = frontend.watch().await?;
        let mut phase = self.begin(&frontend, sleep).await?;
        let mut carrier = None;
        // After a step of ours the same state can call for another step, without an event.
        let mut stepped = true;
        loop {
            let change = if !stepped {
                self.change(&frontend, (phase, generation), &watch, carrier.as_ref(), sleep).await?
            } else if generation == self.xen.events.generation() {
                Some(watch.now().await?)
            } else {
                None
            };
            let Some(change) = change else { return Ok(()) };
            stepped = true;
            let online = if phase == Phase::Closed { frontend.online().await? } else { Online::Yes };
            match phase.next(&change, online) {
                Step::Wait => stepped = false,
                Step::Publish => {
                    self.establish(&frontend).await?;
                    phase = Phase::Published;
                }
                Step::Up => {
                    self.mailbox.ask(Command::Up).await;
                    // The watch fires at once; then the node is read.
                    carrier = self.watch_carrier(&frontend).await;
                    self.negotiate(sleep).await;
                    self.up_since.set(Some(self.xen.machine.now()));
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
            self.wait_for(sleep, Waited::Attachment, watch.changed()).await;
        }
    }

    /// Brings both ends to the initial state. A backend that is gone, or that the toolstack removes, is left alone: a new
    /// start would only confuse it.
    async fn begin(&self, frontend: &Frontend, sleep: &impl AsyncFn(u64)) -> Result<Phase, ConnectError> {
        let state = frontend.backend_state().await?;
        if state == Some(XenbusState::Closed) && frontend.online().await? == Online::No {
            return Ok(Phase::Closed);
        }
        match self.wait_for(sleep, Waited::Ready, frontend.reset()).await {
            Ok(()) => Ok(Phase::Initialising),
            Err(XenbusError::BackendGone { .. }) => Ok(Phase::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// The next change of the backend's state; `None` after a resume. Handles everything else that happens until then.
    async fn change(
        &self,
        frontend: &Frontend,
        connection: (Phase, u32),
        watch: &BackendWatch,
        carrier: Option<&Watch>,
        sleep: &impl AsyncFn(u64),
    ) -> Result<Option<BackendChange>, ConnectError> {
        loop {
            match self.event(connection, watch, carrier, sleep).await? {
                Event::Backend(change) => return Ok(Some(change)),
                Event::Resumed => return Ok(None),
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
        (phase, generation): (Phase, u32),
        watch: &BackendWatch,
        carrier: Option<&Watch>,
        sleep: &impl AsyncFn(u64),
    ) -> Result<Event, ConnectError> {
        let mut changed = pin!(watch.changed());
        let event = poll_fn(|cx| {
            // Before the watches, which fire at a resume: the paths that they name are the former backend's.
            if generation != self.xen.events.generation() {
                return Poll::Ready(Ok(Event::Resumed));
            }
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
            Phase::Initialising => self.wait_for(sleep, Waited::Ready, event).await,
            Phase::Published => self.wait_for(sleep, Waited::Connected, event).await,
            Phase::Closed => self.wait_for(sleep, Waited::Backend, event).await,
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

    /// Waits for a future. Logs `what` once when the wait is long.
    async fn wait_for<T>(
        &self,
        sleep: &impl AsyncFn(u64),
        what: Waited,
        future: impl Future<Output = T>,
    ) -> T {
        let mut future = pin!(future);
        if let Some(value) = within(sleep, TIMEOUT, future.as_mut()).await {
            return value;
        }
        self.say_once(what.level(), format!("waiting for {} for {} s", what.as_str(), TIMEOUT / SECOND));
        future.await
    }

    /// Logs a line about this vif, unless it is the last one that was logged here.
    fn say_once(&self, level: log::Level, text: String) {
        if *self.warned.borrow() != text {
            log::log!(level, "{}: {text}", self.front);
            *self.warned.borrow_mut() = text;
        }
    }
}
