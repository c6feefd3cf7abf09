//! The system as drivers use it: hypervisor, grant table, event channels and xenstore in one struct.

use crate::evtchn::EventChannels;
use crate::gnttab::{GrantError, GrantTable, Quarantined};
use crate::hypervisor::Machine;
use crate::ids::DomId;
use crate::memory::page::{Access, Granted, Page};
use crate::xenstore::XenStore;

pub use crate::gnttab::granted_pages::ShareError;

/// One domain's view of Xen: made once at boot, shared by all drivers of a vCPU by `Rc`.
#[derive(Debug)]
pub struct Xen<M> {
    /// Hypercalls, pages and the clock.
    pub machine: M,
    /// The grant table.
    pub grants: GrantTable,
    /// The event channels.
    pub events: EventChannels,
    /// The xenstore client.
    pub store: XenStore,
}

impl<M: Machine> Xen<M> {
    /// A page of zeros, granted to another domain.
    ///
    /// # Errors
    /// There is no page, or no room for a grant.
    pub fn share<A: Access>(&self, with: DomId) -> Result<Page<Granted<A>>, ShareError> {
        let page = self.machine.alloc_page().ok_or(ShareError::Memory)?;
        self.grants.grant(page, with).map_err(|GrantError { page, reason }| {
            self.machine.free_page(page);
            ShareError::Grant(reason)
        })
    }

    /// Ends a grant and frees the page; the page, if the other domain still uses it.
    #[must_use = "a page that is still in use is lost, if nobody keeps it"]
    pub fn take_back<A: Access>(&self, page: Page<Granted<A>>) -> Option<Page<Granted<A>>> {
        match self.grants.end(page) {
            Ok(page) => {
                self.machine.free_page(page);
                None
            }
            Err(Quarantined(page)) => Some(page),
        }
    }

    /// The same of a page that the other domain still used when it was to be taken back before.
    #[must_use = "a page that is still in use is lost, if nobody keeps it"]
    pub fn take_back_again<A: Access>(&self, page: Page<Granted<A>>) -> Option<Page<Granted<A>>> {
        match self.grants.end_again(Quarantined(page)) {
            Ok(page) => {
                self.machine.free_page(page);
                None
            }
            Err(Quarantined(page)) => Some(page),
        }
    }
}
