//! Multicast control in xenstore: asking a backend to let all groups in.
//!
//! ```text
//!   the backend refuses a group ─► feature-dynamic-multicast-control? ─ yes ─► F/request-multicast-control = 0
//!                                                                     └ no ──► frames to some groups are lost
//! ```

use super::ConnectionTask;
use super::handshake::MULTICAST_KEY;
use super::store::{ConnectError, read_number};
use xen::Machine;
use xen::xenbus::Frontend;

impl<M: Machine> ConnectionTask<M> {
    /// Ends multicast control with a backend that takes too few groups: unwanted frames are better than lost ones.
    pub(super) async fn end_multicast_control(&self, frontend: &Frontend) -> Result<(), ConnectError> {
        let dynamic = frontend.backend_node("feature-dynamic-multicast-control");
        if read_number(&self.xen.store, &dynamic).await?.is_some_and(|value| value != 0) {
            log::warn!("{}: the backend takes no more groups: it is asked to let all of them in", self.front);
            self.xen.store.write(&frontend.node(MULTICAST_KEY), "0").await?;
        } else {
            log::warn!("{}: the backend takes no more groups: frames to some groups are lost", self.front);
        }
        Ok(())
    }
}
