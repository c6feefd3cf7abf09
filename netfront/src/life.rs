//! The life of a vif: one task that connects, watches, and connects again.
//!
//! ```text
//!   find F ─► reset ─► B is 2: publish, F = 4 ─► B is 4: Up ─► B is 5, 6 or gone: Stop, F = 5, 6, Release ─► wait ─┐
//!     ▲                  │                                                                                         │
//!     │                  └ late hotplug-status: rings run already, B = 4 comes when it comes                       │
//!     └──────────────────────────────────── another backend, or the same one anew ◄────────────────────────────────┘
//! ```
//!
//! F is `device/vif/<handle>`, B the backend's directory that it names. What to do about which state is decided by
//! [`Phase::next`]; here it is done. The device and the stack above it live through all of this.
//!
//! Waiting has no end, for a backend may be restarted at any time; what is waited for is logged after 5 seconds, and
//! every minute from then on.

use crate::config::Config;
use crate::ctrl::Control;
use crate::device::NetDevice;
use crate::feature::Feature;
use crate::handshake::{Published, Terms, connection, publish};
use crate::mailbox::{Command, Mailbox, Notice, Reply};
use crate::misbehaviour::Misbehaviour;
use crate::patience::within;
use crate::toeplitz::HashKey;
use crate::vif::{ConnectError, Offers, Vif};
use crate::wiring::make_all_wires;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use xen::abi::io_xenbus::XenbusState;
use xen::xenbus::{BackendChange, BackendWatch, Frontend, Online, Phase, Step, XenbusError};
use xen::xenstore::Watch;
use xen::{DomId, Machine, Xen};

/// Nanoseconds after which a wait is logged for the first time, and for which a backend may take to close.
pub(crate) const PATIENCE: u64 = 5_000_000_000;
/// Nanoseconds between later lines about the same wait.
const REMINDER: u64 = 60_000_000_000;
/// Nanoseconds before the first new try after an error; doubled each time, up to [`REMINDER`].
const RETRY: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// The task of a vif. [`Life::run`] it, or nothing happens.
#[derive(Debug)]
pub struct Life<M> {
    pub(crate) xen: Rc<Xen<M>>,
    pub(crate) mailbox: Rc<Mailbox>,
    ring_start: u32,
    /// What the operator does not want.
    refused: Feature,
    /// How many queues the operator wants at most.
    queues: usize,
    /// The secret for hashes.
    hash_key: Option<HashKey>,
    /// The control ring of the connection.
    pub(crate) control: RefCell<Option<Box<Control>>>,
    /// `device/vif/<handle>`.
    pub(crate) front: String,
    /// The vif was connected since the last failure.
    was_up: Cell<bool>,
}

/// What a connected vif waits for.
#[derive(Debug)]
enum Event {
    Backend(BackendChange),
    Device(Notice),
    Carrier,
}

/// Opens a vif: reads its nodes, and makes the device for the stack and the task that keeps it connected.
///
/// # Errors
/// The configuration is out of range, or the toolstack's nodes are missing or make no sense.
pub async fn open<M: Machine>(
    xen: Rc<Xen<M>>,
    handle: u32,
    config: Config,
) -> Result<(NetDevice<M>, Life<M>), ConnectError> {
    config.check().map_err(ConnectError::Config)?;
    let front = format!("device/vif/{handle}");
    let frontend = Frontend::open(&xen.store, &front).await?;
    let vif = Vif::read(&xen.store, &frontend).await?;
    let mailbox = Rc::new(Mailbox::default());
    let Config { ring_start, refuse: refused, queues, hash_key, .. } = config;
    let device = NetDevice::new(Rc::clone(&xen), Rc::clone(&mailbox), config, handle, &vif);
    let control = RefCell::default();
    Ok((
        device,
        Life {
            xen,
            mailbox,
            ring_start,
            refused,
            queues,
            hash_key,
            control,
            front,
            was_up: Cell::new(false),
        },
    ))
}

impl<M: Machine> Life<M> {
    /// Keeps the vif connected, for ever. `sleep` waits so many nanoseconds. The device has to be in use meanwhile: its
    /// turns do what the life asks for.
    pub async fn run(self, sleep: impl AsyncFn(u64)) {
        let mut pause = RETRY;
        loop {
            match self.follow(&sleep).await {
                Ok(()) => pause = RETRY,
                Err(error) => {
                    if self.was_up.take() {
                        pause = RETRY;
                    }
                    log::error!("{}: {error}; trying again in {} s", self.front, pause / SECOND);
                    self.abandon(&sleep).await;
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(REMINDER);
                }
            }
        }
    }

    /// Follows one backend, until the device has to be set up anew.
    async fn follow(&self, sleep: &impl AsyncFn(u64)) -> Result<(), ConnectError> {
        let generation = self.xen.events.generation();
        let frontend = self.find(sleep).await?;
        let watch = frontend.watch().await?;
        let mut phase = self.begin(&frontend, sleep).await?;
        let mut carrier = None;
        let mut seen = Some(watch.now().await?);
        loop {
            // After a step of ours the same state may mean another one, without an event.
            let change = match seen.take() {
                Some(change) => change,
                None => self.change(&frontend, phase, &watch, carrier.as_ref(), sleep).await?,
            };
            if generation != self.xen.events.generation() {
                // The domain was suspended, and every watch has fired since. In a new domain there is nobody to tell;
                // in the same one the backend still has our rings.
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
                    // Its first event comes at once: then the node is read.
                    carrier = self.watch_carrier(&frontend).await;
                    self.configure(sleep).await;
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
                    self.take_down().await;
                    self.say_closed().await;
                    phase = Phase::Closed;
                }
                Step::Restart => {
                    self.note(&frontend, "starts anew", phase, &change);
                    self.take_down().await;
                    return Ok(());
                }
            }
            seen = Some(watch.now().await?);
        }
    }

    /// Tells an operator what the backend does, and when.
    fn note(&self, frontend: &Frontend, does: &str, phase: Phase, change: &BackendChange) {
        let domid = frontend.backend().domid;
        log::info!("{}: the backend in domain {domid} {does}: {change:?} while {phase:?}", self.front);
    }

    /// The vif's directory, as soon as there is one.
    async fn find(&self, sleep: &impl AsyncFn(u64)) -> Result<Frontend, ConnectError> {
        let store = &self.xen.store;
        let watch = store.watch(&format!("{}/backend", self.front)).await?;
        loop {
            match Frontend::open(store, &self.front).await {
                Err(XenbusError::Removed { .. }) => {}
                found => return Ok(found?),
            }
            self.patiently(sleep, "the toolstack to attach the vif", watch.changed()).await;
        }
    }

    /// Brings both ends to where a new device starts. A backend that is gone, or that the toolstack is taking away, is
    /// left alone: starting again would only confuse it.
    async fn begin(&self, frontend: &Frontend, sleep: &impl AsyncFn(u64)) -> Result<Phase, ConnectError> {
        let state = frontend.backend_state().await?;
        if state == Some(XenbusState::Closed) && frontend.online().await? == Online::No {
            return Ok(Phase::Closed);
        }
        match self.patiently(sleep, "the backend to be ready", frontend.reset()).await {
            Ok(()) => Ok(Phase::Initialising),
            Err(XenbusError::BackendGone { .. }) => Ok(Phase::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// The next change of the backend's; what else happens until then is seen to.
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
                Event::Carrier => self.follow_carrier(frontend).await,
                Event::Device(Notice::Broken(what)) => self.publish_error(&what).await,
                Event::Device(Notice::Mappings) => self.renew_mappings(sleep).await,
                Event::Device(Notice::GroupsRefused) => self.let_all_groups_in(frontend).await?,
            }
        }
    }

    /// The next thing that happens. Only waits in which something is amiss are logged.
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
            Phase::Initialising => self.patiently(sleep, "the backend to be ready", event).await,
            Phase::Published => self.patiently(sleep, "the backend to connect", event).await,
            Phase::Closed => self.patiently(sleep, "a backend", event).await,
        };
        Ok(event?)
    }

    /// Makes the rings, has the device fill them, publishes them, and says so.
    async fn establish(&self, frontend: &Frontend) -> Result<(), ConnectError> {
        let backend = frontend.backend().domid;
        if backend >= DomId::SELF {
            let wanted = "the number of a domain";
            return Err(ConnectError::Nonsense {
                path: frontend.node("backend-id"),
                value: format!("{backend}"),
                wanted,
            });
        }
        let vif = Vif::read(&self.xen.store, frontend).await?;
        let offers = Offers::read(&self.xen.store, frontend).await?;
        if !offers.rx_copy {
            let path = frontend.backend_node("feature-rx-copy");
            return Err(ConnectError::Nonsense {
                path,
                value: "0".into(),
                wanted: "1: this frontend needs it",
            });
        }
        let terms = Terms::new(&offers, self.refused, self.queues);
        let wires = make_all_wires(&self.xen, backend, terms.queues, terms.wiring, self.ring_start)
            .map_err(|error| ConnectError::Resources(format!("{error}")))?;
        let hash = self.hash_key.filter(|_| terms.hash);
        let hash = hash.map(|key| (key, terms.queues));
        let control = self.open_control(backend, hash, if terms.gref { terms.queues } else { 0 }).await;
        let published: Vec<Published> = wires.iter().map(Published::of).collect();
        let command = Command::Connect(Box::new(connection(backend, &vif, &offers, &terms, wires)));
        if let Reply::Failed(error) = self.mailbox.ask(command).await {
            return Err(ConnectError::Resources(format!("{error}")));
        }
        publish(&self.xen.store, &self.front, &offers, &terms, &published, control).await?;
        frontend.switch_state(XenbusState::Connected).await?;
        Ok(())
    }

    /// Writes where toolstacks look for it what is wrong with the vif, as far as we may. The vif stays as it is until
    /// its backend starts anew: what a backend that breaks rules would make of more requests is not to be found out.
    async fn publish_error(&self, what: &Misbehaviour) {
        let path = format!("error/{}/error", self.front);
        if let Err(error) = self.xen.store.write(&path, format!("broken by the backend: {what}")).await {
            log::warn!("{error}");
        }
    }

    /// Waits for a future, and logs what is waited for when it takes long.
    async fn patiently<T>(
        &self,
        sleep: &impl AsyncFn(u64),
        what: &str,
        future: impl Future<Output = T>,
    ) -> T {
        let mut future = pin!(future);
        let began = self.xen.machine.now();
        let mut limit = PATIENCE;
        loop {
            if let Some(value) = within(sleep, limit, future.as_mut()).await {
                return value;
            }
            let seconds = self.xen.machine.now().since(began) / SECOND;
            log::warn!("{}: waiting for {what} since {seconds} s", self.front);
            limit = REMINDER;
        }
    }
}
