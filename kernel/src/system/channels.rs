//! Data channels for appliances: vchan between dom0 and this domain, at the usual path in xenstore.
//!
//! ```text
//!   /local/domain/<this domain>/data/vchan/0/<port>/{ring-ref, event-channel}
//! ```

use super::System;
use crate::domain::domu::DomU;
pub use ::datafront::{block, vchan};
use alloc::rc::Rc;
use pool::{Mismatch, PoolCounts, SharedPagePool};
use vchan::{Client, Path, PathError, Server, ServerError, Settings, Sizes};
use xen::xenstore::XsError;
use xen::{DomId, GrantedPages};

/// The domain that pushes.
pub(crate) const DOM0: DomId = DomId(0);

/// Why a channel cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The name of the port is invalid or makes the path too long.
    Path(PathError),
    /// Reading this domain's number from xenstore failed.
    Store(XsError),
    /// xenstore has no number for this domain.
    NoDomid,
    /// Pages or grants are missing.
    Server(ServerError),
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::NoDomid => f.write_str("xenstore has no domid for this domain"),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl System {
    /// Offers a channel to dom0 under the name `port`.
    ///
    /// # Errors
    /// The path is invalid, the domain's number is unknown, or pages or grants are missing.
    pub async fn data_channel(&self, port: &str, sizes: Sizes) -> Result<Server<DomU>, OpenError> {
        let own = self.own_domid().await?;
        let path = Path::usual(DomId(own), DOM0, port).map_err(OpenError::Path)?;
        let settings = Settings { sizes, ..Settings::new(path, DomId(own)) };
        let pages: Rc<dyn GrantedPages> = Rc::<SharedPagePool<_>>::clone(self.shared_pages());
        Server::open(self.xen(), &pages, settings).map_err(OpenError::Server)
    }

    /// The pages of all data channels by state. Pages in quarantine are still mapped by a sender that has gone.
    ///
    /// # Errors
    /// The counts, if they do not add up.
    pub fn data_pages(&self) -> Result<PoolCounts, Mismatch> {
        self.shared_pages().account()
    }

    /// A client of the channel that dom0 offers under the name `port`, at `/local/domain/0/data/vchan/<us>/<port>`.
    ///
    /// # Errors
    /// The path is invalid, or the domain's number is unknown.
    pub async fn data_client(&self, port: &str) -> Result<Client<DomU>, OpenError> {
        let own = self.own_domid().await?;
        let path = Path::usual(DOM0, DomId(own), port).map_err(OpenError::Path)?;
        Ok(Client::new(self.xen(), path, DOM0))
    }

    /// The current number of this domain: a restore changes it.
    async fn own_domid(&self) -> Result<u16, OpenError> {
        self.xen().store.read_number("domid").await.map_err(OpenError::Store)?.ok_or(OpenError::NoDomid)
    }
}
