//! datafront for appliances: the channel over which dom0 pushes blocks, at the usual place in xenstore.
//!
//! ```text
//!   /local/domain/<us>/data/vchan/0/<port>/{ring-ref, event-channel}
//! ```

use crate::machine::DomU;
use crate::system::System;
pub use ::datafront::{block, vchan};
use alloc::rc::Rc;
use netfront::pool::{Mismatch, Pond, PoolCounts};
use vchan::{Client, Path, PathError, Server, ServerError, Settings, Sizes};
use xen::xenstore::XsError;
use xen::{DomId, GrantedPages};

/// Who pushes.
pub(crate) const DOM0: DomId = DomId(0);

/// Why an appliance has no channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The name of the port makes the path too long, or is none.
    Path(PathError),
    /// This domain's number is not to be had.
    Store(XsError),
    /// xenstore does not know this domain's number.
    NoDomid,
    /// Pages or grants are missing.
    Server(ServerError),
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::NoDomid => f.write_str("xenstore does not say which domain this is"),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl System {
    /// Takes the pages of a channel that dom0 finds under this name.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn data_channel(&self, port: &str, sizes: Sizes) -> Result<Server<DomU>, OpenError> {
        let own = self.own_domid().await?;
        let path = Path::usual(DomId(own), DOM0, port).map_err(OpenError::Path)?;
        let settings = Settings { sizes, ..Settings::new(path, DomId(own)) };
        let pages: Rc<dyn GrantedPages> = Rc::<Pond<_>>::clone(&self.0.pond);
        Server::open(self.xen(), &pages, settings).map_err(OpenError::Server)
    }

    /// Where the pages of all such channels are. Those in quarantine are mapped by senders that have gone.
    ///
    /// # Errors
    /// The counts, when they do not add up.
    pub fn data_pages(&self) -> Result<PoolCounts, Mismatch> {
        self.0.pond.account()
    }

    /// A client of the channel that dom0 shows under this name, `/local/domain/0/data/vchan/<us>/<port>`.
    ///
    /// # Errors
    /// Why its path cannot be known.
    pub async fn data_client(&self, port: &str) -> Result<Client<DomU>, OpenError> {
        let own = self.own_domid().await?;
        let path = Path::usual(DOM0, DomId(own), port).map_err(OpenError::Path)?;
        Ok(Client::new(self.xen(), path, DOM0))
    }

    /// Our number now: another one after a restore.
    async fn own_domid(&self) -> Result<u16, OpenError> {
        self.xen().store.read_number("domid").await.map_err(OpenError::Store)?.ok_or(OpenError::NoDomid)
    }
}
