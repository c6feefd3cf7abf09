//! The life of a vif: one task that connects, watches, and connects again.
//!
//! ```text
//!        ┌──────────────────────────── again ────────────────────────────────┐
//!        ▼                                                                   │
//!   read F ─► state not 1? reset ─► B is 2 ─► publish, F = 4 ─► B is 4 ─► Up ─► B is 5, 6, gone, or elsewhere
//!                                     │                                         └─► Stop, F = 5, 6, Release
//!                                     └ late hotplug-status: rings run already, B = 4 comes when it comes
//! ```
//!
//! F is `device/vif/<handle>`, B the backend's directory that it names. Decisions rest on values, read again after every
//! watch event, never on the event itself: so states that are skipped, repeated or there from the start need no case of
//! their own. The device and the stack above it live through all of this.
//!
//! Waiting has no end, for a backend may be restarted at any time; what is waited for is logged after 5 seconds, and
//! every minute from then on.

use crate::config::Config;
use crate::device::NetDevice;
use crate::handshake::{Published, Wiring, connection, make_wires, publish};
use crate::mailbox::{Command, Mailbox, Reply};
use crate::misbehaviour::Misbehaviour;
use crate::vif::{ConnectError, Front, Offers, state_of};
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use xen::abi::io_xenbus::XenbusState;
use xen::xenstore::{Watch, XsError};
use xen::{Machine, SystemTime, Xen};

/// Nanoseconds after which a wait is logged for the first time, and which a reset waits for each step.
const PATIENCE: u64 = 5_000_000_000;
/// Nanoseconds between later lines about the same wait.
const REMINDER: u64 = 60_000_000_000;
/// Nanoseconds before the first new try after an error; doubled each time, up to [`REMINDER`].
const RETRY: u64 = 1_000_000_000;

/// The task of a vif. [`Life::run`] it, or nothing happens.
#[derive(Debug)]
pub struct Life<M> {
    xen: Rc<Xen<M>>,
    mailbox: Rc<Mailbox>,
    ring_start: u32,
    front: String,
}

/// What one can see of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Its state.
    State(XenbusState),
    /// It, or our own directory, is gone.
    Gone,
    /// Our directory names another one.
    Elsewhere,
}

/// The two watches of a vif.
#[derive(Debug)]
struct Watches {
    front: Watch,
    back: Watch,
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
    let Some(found) = Front::read(&xen.store, &front).await? else {
        return Err(ConnectError::Missing(format!("{front}/backend")));
    };
    let mailbox = Rc::new(Mailbox::default());
    let ring_start = config.ring_start;
    let device = NetDevice::new(Rc::clone(&xen), Rc::clone(&mailbox), config, found.mac, found.mtu);
    Ok((device, Life { xen, mailbox, ring_start, front }))
}

impl<M: Machine> Life<M> {
    /// Keeps the vif connected, for ever. `sleep` waits so many nanoseconds. The device has to be in use
    /// meanwhile: its turns do what the life asks for.
    pub async fn run(self, sleep: impl AsyncFn(u64)) {
        let mut pause = RETRY;
        loop {
            let result = self.connect_once(&sleep).await;
            // Whatever happened: the rings are not to be touched any more, and F must not say that they are in use.
            self.mailbox.ask(Command::Stop).await;
            let closed = self.close(&sleep).await;
            self.mailbox.ask(Command::Release).await;
            if let Err(error) = result.and(closed) {
                log::error!("{}: {error}; trying again in {} s", self.front, pause / RETRY);
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(REMINDER);
            } else {
                pause = RETRY;
            }
        }
    }

    /// One connection from beginning to end.
    async fn connect_once(&self, sleep: &impl AsyncFn(u64)) -> Result<(), ConnectError> {
        let front = self.find(sleep).await?;
        let watches = self.watch(&front.backend).await?;
        self.start(&front, &watches, sleep).await?;
        let waited = self.wait(
            &front,
            &watches,
            sleep,
            "the backend to be ready",
            |seen| !matches!(seen, Seen::State(state) if state != XenbusState::InitWait),
        );
        if waited.await? != Seen::State(XenbusState::InitWait) {
            return Ok(());
        }
        let offers = Offers::read(&self.xen.store, &front.backend).await?;
        if !offers.rx_copy {
            let path = format!("{}/feature-rx-copy", front.backend);
            return Err(ConnectError::Nonsense {
                path,
                value: "0".into(),
                wanted: "1: this frontend needs it",
            });
        }
        self.establish(&front, &offers).await?;
        let waited = self.wait(&front, &watches, sleep, "the backend to connect", |seen| {
            !matches!(seen, Seen::State(XenbusState::InitWait | XenbusState::Initialised))
        });
        if waited.await? != Seen::State(XenbusState::Connected) {
            return Ok(());
        }
        self.mailbox.ask(Command::Up).await;
        log::info!(
            "{}: connected to domain {}: {}, mtu {}, {} channels, backend {}",
            self.front,
            front.domid,
            front.mac,
            front.mtu,
            if offers.split_event_channels { "split" } else { "shared" },
            if front.trusted.is_some() { "trusted" } else { "not trusted" },
        );
        let seen = self.stay(&front, &watches).await?;
        log::info!("{}: the backend in domain {} is going: {seen:?}", self.front, front.domid);
        Ok(())
    }

    /// The vif's nodes, as soon as there are any.
    async fn find(&self, sleep: &impl AsyncFn(u64)) -> Result<Front, ConnectError> {
        let store = &self.xen.store;
        if let Some(front) = Front::read(store, &self.front).await? {
            return Ok(front);
        }
        let watch = store.watch(&format!("{}/backend", self.front)).await?;
        let mut wait = Patience::new(self, "the vif to be attached");
        loop {
            if let Some(front) = Front::read(store, &self.front).await? {
                return Ok(front);
            }
            wait.event(sleep, &[&watch], None).await;
        }
    }

    async fn watch(&self, backend: &str) -> Result<Watches, XsError> {
        let store = &self.xen.store;
        Ok(Watches {
            front: store.watch(&format!("{}/backend", self.front)).await?,
            back: store.watch(&format!("{backend}/state")).await?,
        })
    }

    /// What there is to see now.
    async fn look(&self, front: &Front) -> Result<Seen, ConnectError> {
        let store = &self.xen.store;
        match store.read_opt(&format!("{}/backend", self.front)).await? {
            None => return Ok(Seen::Gone),
            Some(path) if path != front.backend => return Ok(Seen::Elsewhere),
            Some(_) => {}
        }
        Ok(state_of(store, &format!("{}/state", front.backend)).await?.map_or(Seen::Gone, Seen::State))
    }

    /// Waits until what is seen of the backend is `enough`.
    async fn wait(
        &self,
        front: &Front,
        watches: &Watches,
        sleep: &impl AsyncFn(u64),
        what: &'static str,
        enough: impl Fn(Seen) -> bool,
    ) -> Result<Seen, ConnectError> {
        self.wait_until(front, watches, sleep, what, enough, None).await
    }

    /// As [`Life::wait`], with an end: what is seen then, whether or not it is enough.
    async fn wait_until(
        &self,
        front: &Front,
        watches: &Watches,
        sleep: &impl AsyncFn(u64),
        what: &'static str,
        enough: impl Fn(Seen) -> bool,
        end: Option<SystemTime>,
    ) -> Result<Seen, ConnectError> {
        let mut patience = Patience::new(self, what);
        loop {
            let seen = self.look(front).await?;
            if enough(seen) || end.is_some_and(|end| self.xen.machine.now() >= end) {
                return Ok(seen);
            }
            patience.last = Some(seen);
            patience.event(sleep, &[&watches.front, &watches.back], end).await;
        }
    }

    /// Brings F to 1, from wherever whoever drove the vif before has left it: a former kernel, or we.
    async fn start(
        &self,
        front: &Front,
        watches: &Watches,
        sleep: &impl AsyncFn(u64),
    ) -> Result<(), ConnectError> {
        if front.state == XenbusState::Initialising {
            return Ok(());
        }
        if front.state != XenbusState::Closed {
            log::info!("{}: left in state {} by a former driver; resetting", self.front, front.state);
            self.set_state(XenbusState::Closing).await?;
            let enough = |seen| !matches!(seen, Seen::State(state) if state != XenbusState::Closing && state != XenbusState::Closed);
            self.wait_step(front, watches, sleep, "the backend to close", enough).await?;
            self.set_state(XenbusState::Closed).await?;
            let enough = |seen| !matches!(seen, Seen::State(state) if state != XenbusState::Closed);
            self.wait_step(front, watches, sleep, "the backend to be closed", enough).await?;
        }
        self.wait_online(front, watches, sleep).await?;
        self.set_state(XenbusState::Initialising).await
    }

    /// A wait of a reset: a backend that does not answer must not keep us from going on.
    async fn wait_step(
        &self,
        front: &Front,
        watches: &Watches,
        sleep: &impl AsyncFn(u64),
        what: &'static str,
        enough: impl Fn(Seen) -> bool,
    ) -> Result<(), ConnectError> {
        let end = self.xen.machine.now().after(PATIENCE);
        self.wait_until(front, watches, sleep, what, enough, Some(end)).await?;
        Ok(())
    }

    /// Waits while the backend is closed for good: the toolstack has set `online` to 0 and is taking the vif away.
    /// Starting again would only confuse it.
    async fn wait_online(
        &self,
        front: &Front,
        watches: &Watches,
        sleep: &impl AsyncFn(u64),
    ) -> Result<(), ConnectError> {
        let online = format!("{}/online", front.backend);
        let mut patience = Patience::new(self, "the toolstack to take the vif away");
        loop {
            let seen = self.look(front).await?;
            let going = seen == Seen::State(XenbusState::Closed)
                && self.xen.store.read_opt(&online).await?.is_some_and(|value| value.trim() == "0");
            if !going {
                return Ok(());
            }
            patience.last = Some(seen);
            patience.event(sleep, &[&watches.front, &watches.back], None).await;
        }
    }

    /// Makes the rings, has the device fill them, publishes them, and says so.
    async fn establish(&self, front: &Front, offers: &Offers) -> Result<(), ConnectError> {
        let wiring = if offers.split_event_channels { Wiring::Split } else { Wiring::Shared };
        let failed = |reason: &dyn core::fmt::Display| ConnectError::Resources(format!("{reason}"));
        let wires =
            make_wires(&self.xen, front.domid, wiring, self.ring_start).map_err(|error| failed(&error))?;
        let published = Published::of(&wires);
        let command = Command::Connect(Box::new(connection(front, offers, wires)));
        if let Reply::Failed(error) = self.mailbox.ask(command).await {
            return Err(failed(&error));
        }
        publish(&self.xen.store, &self.front, offers, &published).await?;
        self.set_state(XenbusState::Connected).await
    }

    /// Stays connected for as long as the backend is.
    async fn stay(&self, front: &Front, watches: &Watches) -> Result<Seen, ConnectError> {
        loop {
            let seen = self.look(front).await?;
            if seen != Seen::State(XenbusState::Connected) {
                return Ok(seen);
            }
            let broken = poll_fn(|cx| {
                let front = watches.front.poll_changed(cx).is_ready();
                let back = watches.back.poll_changed(cx).is_ready();
                match self.mailbox.poll_broken(cx) {
                    Some(what) => Poll::Ready(Some(what)),
                    None if front || back => Poll::Ready(None),
                    None => Poll::Pending,
                }
            })
            .await;
            if let Some(what) = broken {
                self.publish_error(&what).await;
            }
        }
    }

    /// Writes where toolstacks look for it what is wrong with the vif, as far as we may. The vif stays as it is until
    /// its backend starts anew: what a backend that breaks rules would make of more requests is not to be found out.
    async fn publish_error(&self, what: &Misbehaviour) {
        let path = format!("error/{}/error", self.front);
        if let Err(error) = self.xen.store.write(&path, format!("broken by the backend: {what}")).await {
            log::warn!("{error}");
        }
    }

    /// Tells the backend that we are done with it, and waits until it is done with us. Without effect on a vif that was
    /// not connected.
    async fn close(&self, sleep: &impl AsyncFn(u64)) -> Result<(), ConnectError> {
        let Some(front) = Front::read(&self.xen.store, &self.front).await? else { return Ok(()) };
        if matches!(front.state, XenbusState::Initialising | XenbusState::Closed) {
            return Ok(());
        }
        let watches = self.watch(&front.backend).await?;
        self.set_state(XenbusState::Closing).await?;
        self.set_state(XenbusState::Closed).await?;
        let enough = |seen| !matches!(seen, Seen::State(state) if state != XenbusState::Closed && state != XenbusState::InitWait);
        self.wait_step(&front, &watches, sleep, "the backend to be closed", enough).await
    }

    /// Writes F/state, if there still is an F: a vif that was taken away must not come back as a lone node.
    async fn set_state(&self, state: XenbusState) -> Result<(), ConnectError> {
        let backend = format!("{}/backend", self.front);
        let path = format!("{}/state", self.front);
        let write = async |transaction: &xen::xenstore::Transaction<'_>| {
            if transaction.exists(&backend).await? {
                transaction.write(&path, format!("{}", state.raw())).await?;
            }
            Ok(())
        };
        Ok(self.xen.store.transaction(write).await?)
    }
}

/// A wait that says what it waits for.
#[derive(Debug)]
struct Patience<'a, M> {
    life: &'a Life<M>,
    what: &'static str,
    last: Option<Seen>,
    began: SystemTime,
    next_line: SystemTime,
}

impl<'a, M: Machine> Patience<'a, M> {
    fn new(life: &'a Life<M>, what: &'static str) -> Self {
        let began = life.xen.machine.now();
        Self { life, what, last: None, began, next_line: began.after(PATIENCE) }
    }

    /// Waits for an event of one of the watches, or for `end`.
    async fn event(&mut self, sleep: &impl AsyncFn(u64), watches: &[&Watch], end: Option<SystemTime>) {
        loop {
            let deadline = end.map_or(self.next_line, |end| end.min(self.next_line));
            let mut nap = pin!(sleep(deadline.since(self.life.xen.machine.now())));
            let changed = poll_fn(|cx| {
                let mut changed = false;
                for watch in watches {
                    changed |= watch.poll_changed(cx).is_ready();
                }
                if changed {
                    return Poll::Ready(true);
                }
                nap.as_mut().poll(cx).map(|()| false)
            })
            .await;
            let now = self.life.xen.machine.now();
            if changed || end.is_some_and(|end| now >= end) {
                return;
            }
            if now >= self.next_line {
                let seconds = now.since(self.began) / 1_000_000_000;
                let front = &self.life.front;
                match self.last {
                    Some(seen) => {
                        log::warn!("{front}: {seconds} s waiting for {}; it is {seen:?}", self.what)
                    }
                    None => log::warn!("{front}: {seconds} s waiting for {}", self.what),
                }
                self.next_line = now.after(REMINDER);
            }
        }
    }
}
