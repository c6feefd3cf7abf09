//! The carrier of the backend: the state of the link behind it, in its node `carrier`.
//!
//! ```text
//!   B/carrier ──watch──► connection task ──Carrier(up)──► device: frames flow while the backend has carrier
//!             missing, or not a number: up
//! ```
//!
//! Without carrier nothing is sent or received, and the rings stay as they are. When the carrier comes back, the link may
//! lead into another network, so the stack announces its addresses again.

use super::ConnectionTask;
use super::store::read_number;
use crate::device::mailbox::Command;
use xen::Machine;
use xen::xenbus::Frontend;
use xen::xenstore::Watch;

impl<M: Machine> ConnectionTask<M> {
    /// Watches the backend's carrier. If xenstored refuses the watch, the link counts as up.
    pub(super) async fn watch_carrier(&self, frontend: &Frontend) -> Option<Watch> {
        match self.xen.store.watch(&frontend.backend_node("carrier")).await {
            Ok(watch) => Some(watch),
            Err(error) => {
                log::warn!("{error}; the link counts as up");
                None
            }
        }
    }

    /// Tells the device the value of the node. A node that cannot be read belongs to a former backend: after a restore
    /// every watch fires, and the path names the old domain. The watch on the backend's state handles that.
    pub(super) async fn read_carrier(&self, frontend: &Frontend) {
        match read_number(&self.xen.store, &frontend.backend_node("carrier")).await {
            Ok(carrier) => _ = self.mailbox.ask(Command::Carrier(carrier != Some(0))).await,
            Err(error) => log::debug!("{}: {error}; the link stays as it is", self.front),
        }
    }
}
