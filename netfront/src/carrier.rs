//! The state of the link behind the backend: its node `carrier`.
//!
//! ```text
//!   B/carrier ──watch──► life ──Carrier(up)──► device: frames flow while the backend is connected and has carrier
//!             missing, or nonsense: up
//! ```
//!
//! While the link is down nothing is sent and nothing received, and the rings stay as they are. When it comes back, it
//! may lead into another network: neighbours are told of us again.

use crate::device::NetDevice;
use crate::life::Life;
use crate::mailbox::Command;
use crate::vif::read_number;
use xen::Machine;
use xen::xenbus::Frontend;
use xen::xenstore::Watch;

impl<M: Machine> Life<M> {
    /// Watches the backend's carrier. Where xenstored has no watch for us, the link is taken to be up.
    pub(crate) async fn watch_carrier(&self, frontend: &Frontend) -> Option<Watch> {
        match self.xen.store.watch(&frontend.backend_node("carrier")).await {
            Ok(watch) => Some(watch),
            Err(error) => {
                log::warn!("{error}; the link is taken to be up");
                None
            }
        }
    }

    /// Tells the device what the node says. One that may not be read is a backend's that we have left: after a restore
    /// every watch fires, and the path is the old domain's. The backend's own watch tells what to do then.
    pub(crate) async fn follow_carrier(&self, frontend: &Frontend) {
        match read_number(&self.xen.store, &frontend.backend_node("carrier")).await {
            Ok(carrier) => _ = self.mailbox.ask(Command::Carrier(carrier != Some(0))).await,
            Err(error) => log::debug!("{}: {error}; the link is as it was", self.front),
        }
    }
}

impl<M: Machine> NetDevice<M> {
    /// The link behind the backend came or went.
    pub(crate) fn set_carrier(&mut self, up: bool) {
        if core::mem::replace(&mut self.carrier, up) == up {
            return;
        }
        log::info!("vif/{}: the backend has {}", self.handle, if up { "carrier" } else { "no carrier" });
        if up && self.connected {
            self.come_up();
        } else {
            self.link_up = false;
        }
    }
}
