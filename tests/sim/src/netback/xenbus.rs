//! The backend's states: what netback does when the frontend's state changes, and when the bridge is ready.
//!
//! ```text
//!   frontend:  1 ──────► InitWait      4 ──► connect, then Connected once hotplug-status is "connected"
//!              5 ──► disconnect, Closing     6 ──► Closed      anything else: fatal
//! ```
//!
//! After `frontend_changed`, `set_backend_state` and `backend_switch_state` of Linux 6.1,
//! `drivers/net/xen-netback/xenbus.c`.

use super::queue::{Context, Queue};
use super::rules::Violation as Rule;
use super::{FrontendFlags, Inner};
use crate::store::Xenstored;
use xen::abi::io_xenbus::XenbusState as State;
use xen::{EvtchnPort, Gref};

/// The frontend's nodes of one queue.
struct Published {
    refs: (Gref, Gref),
    ports: (EvtchnPort, EvtchnPort),
}

impl Inner {
    fn number(&self, store: &Xenstored, key: &str) -> Option<u32> {
        store.read(&format!("{}/{key}", self.frontend))?.trim().parse().ok()
    }

    /// Writes the backend's state.
    pub(super) fn switch(&mut self, store: &Xenstored, state: State) {
        self.shown = state;
        store.write(&format!("{}/state", self.backend), &state.raw().to_string());
    }

    /// Netback's probe: features, then InitWait.
    pub(super) fn probe(&mut self, store: &Xenstored) {
        for (key, value) in &self.config.features {
            store.write(&format!("{}/{key}", self.backend), value);
        }
        self.state = State::InitWait;
        self.switch(store, State::InitWait);
    }

    /// Handles changes in xenstore. Returns whether there were any.
    pub(super) fn watch_store(&mut self, store: &Xenstored) -> bool {
        if std::mem::replace(&mut self.store_version, store.version()) == store.version() {
            return false;
        }
        let mut worked = self.watch_hotplug(store);
        if !self.queues.is_empty() {
            // The one flag that is watched.
            self.flags.multicast_control = self.number(store, "request-multicast-control") == Some(1);
        }
        let seen = store.generation(&format!("{}/state", self.frontend));
        if seen != self.frontend_generation {
            self.frontend_generation = seen;
            let state = self.number(store, "state").unwrap_or_default();
            self.frontend_changed(store, state);
            worked = true;
        }
        worked
    }

    /// `hotplug_status_changed`: writes the delayed state.
    fn watch_hotplug(&mut self, store: &Xenstored) -> bool {
        let ready = store.read(&format!("{}/hotplug-status", self.backend)).as_deref() == Some("connected");
        if !(self.waits_for_hotplug && ready) {
            return false;
        }
        self.waits_for_hotplug = false;
        self.switch(store, self.state);
        true
    }

    fn frontend_changed(&mut self, store: &Xenstored, raw: u32) {
        match State::try_from(raw) {
            Ok(State::Initialising) => self.go_to(store, State::InitWait),
            Ok(State::Initialised) => {}
            Ok(State::Connected) => self.go_to(store, State::Connected),
            Ok(State::Closing) => self.go_to(store, State::Closing),
            Ok(State::Closed | State::Unknown) => self.go_to(store, State::Closed),
            Ok(State::Reconfiguring) => self.switch(store, State::Reconfigured),
            _ => {
                self.with_context(|_, cx| {
                    cx.broken(Rule::FrontendState, &format!("saw state {raw} at frontend"))
                });
                self.fatal(store);
            }
        }
    }

    /// `set_backend_state`: goes there over every state between.
    fn go_to(&mut self, store: &Xenstored, target: State) {
        while self.state != target && !self.disabled {
            let next = match (self.state, target) {
                (State::Closed, State::InitWait | State::Connected) => State::InitWait,
                (State::InitWait, State::Connected) => {
                    if self.connect(store).is_err() {
                        return self.fatal(store);
                    }
                    // Delayed until the bridge is ready.
                    self.waits_for_hotplug = true;
                    State::Connected
                }
                (State::Closing, _) => State::Closed,
                _ => {
                    self.disconnect();
                    State::Closing
                }
            };
            self.state = next;
            if !self.waits_for_hotplug {
                self.switch(store, next);
            }
        }
        self.watch_hotplug(store);
    }

    /// `xenbus_dev_fatal`: an error node, and the end until the frontend starts again.
    pub(super) fn fatal(&mut self, store: &Xenstored) {
        let guest = self.guest;
        store.write(&format!("/local/domain/{}/error/backend/vif/{guest}/error", self.peer.id()), "fatal");
        self.state = State::Closing;
        self.switch(store, State::Closing);
    }

    /// Reads the frontend's nodes, and connects the rings.
    fn connect(&mut self, store: &Xenstored) -> Result<(), Rule> {
        self.flags = self.read_flags(store);
        if !self.flags.rx_copy {
            self.with_context(|_, cx| cx.broken(Rule::RxCopyNotRequested, "connecting all the same"));
        }
        let asked = store.read(&format!("{}/multi-queue-num-queues", self.frontend));
        let nr_queues = asked.map_or(Some(1), |text| text.parse::<u32>().ok()).unwrap_or(0);
        let offered = self.config.features.iter().find(|(key, _)| key == "multi-queue-max-queues");
        let max = offered.and_then(|(_, value)| value.parse().ok()).unwrap_or(1_u32);
        if nr_queues == 0 || nr_queues > max {
            return Err(
                self.with_context(|_, cx| cx.broken(Rule::QueueCount, &format!("{nr_queues} of {max}")))
            );
        }
        let mut queues = Vec::new();
        for index in 0..nr_queues {
            let prefix = if nr_queues == 1 { String::new() } else { format!("queue-{index}/") };
            let published = self.published(store, &prefix);
            let published =
                published.map_err(|key| self.with_context(|_, cx| cx.broken(Rule::MissingKey, &key)))?;
            let queue = Queue::connect(&self.peer, self.guest, published.refs, published.ports);
            let detail = format!("{:?} {:?}", published.refs, published.ports);
            queues.push(queue.map_err(|rule| self.with_context(|_, cx| cx.broken(rule, &detail)))?);
        }
        self.connect_ctrl(store)?;
        // Frames that came before the connection go to the first queue's.
        queues[0].to_guest.append(&mut self.waiting);
        self.queues = queues;
        self.stats.connects += 1;
        Ok(())
    }

    /// The references and ports of one queue; or the key that is missing.
    fn published(&self, store: &Xenstored, prefix: &str) -> Result<Published, String> {
        let number =
            |key: &str| self.number(store, &format!("{prefix}{key}")).ok_or_else(|| format!("{prefix}{key}"));
        let refs = (Gref(number("tx-ring-ref")?), Gref(number("rx-ring-ref")?));
        let split = number("event-channel-tx").and_then(|tx| Ok((tx, number("event-channel-rx")?)));
        let (tx, rx) = match split {
            Ok(ports) => ports,
            Err(_) => number("event-channel").map(|port| (port, port))?,
        };
        Ok(Published { refs, ports: (EvtchnPort(tx), EvtchnPort(rx)) })
    }

    fn read_flags(&self, store: &Xenstored) -> FrontendFlags {
        let is_set = |key: &str| self.number(store, key) == Some(1);
        // As `read_xenbus_vif_flags`: without rx-copy, the others are not looked at.
        if !is_set("request-rx-copy") {
            return FrontendFlags::default();
        }
        FrontendFlags {
            rx_copy: true,
            rx_notify: is_set("feature-rx-notify"),
            sg: is_set("feature-sg"),
            gso_tcpv4: is_set("feature-gso-tcpv4"),
            gso_tcpv6: is_set("feature-gso-tcpv6"),
            csum_offload: !is_set("feature-no-csum-offload"),
            ipv6_csum_offload: is_set("feature-ipv6-csum-offload"),
            multicast_control: is_set("request-multicast-control"),
        }
    }

    /// Unmaps rings and closes channels. Frames in flight to the guest are lost.
    pub(super) fn disconnect(&mut self) {
        for queue in std::mem::take(&mut self.queues) {
            queue.close(&self.peer);
            if self.faults.keep_mapped {
                self.kept.extend(queue.into_pages());
            }
        }
        self.waits_for_hotplug = false;
        self.groups.clear();
        self.hashing = super::Hashing::default();
        let statics = std::mem::take(&mut self.statics);
        if self.faults.keep_mapped {
            self.kept.extend(statics.into_values());
        }
        if let Some(ctrl) = self.ctrl.take() {
            ctrl.close(&self.peer);
        }
    }

    /// Runs `work` with everything that a queue needs of the device.
    pub(super) fn with_context<T>(&mut self, work: impl FnOnce(&mut [Queue], &mut Context<'_>) -> T) -> T {
        let mut context = Context {
            peer: &self.peer,
            guest: self.guest,
            config: &self.config,
            stats: &mut self.stats,
            faults: &mut self.faults,
            violations: &mut self.violations,
            flags: &self.flags,
            from_guest: &mut self.from_guest,
            groups: &mut self.groups,
            hashing: &self.hashing,
            statics: &self.statics,
            now: self.now,
            wake: &mut self.wake,
        };
        work(&mut self.queues, &mut context)
    }
}
