//! The running guest as the source of the status pages.

use crate::push_channels::Pushes;
use crate::tls_service::Secure;
use alloc::rc::Rc;
use alloc::string::ToString;
use kernel::System;
use kernel::datafront::block::Outbox;
use web::site::status::{Build, Status};
use web::site::{Source, snapshot};

/// The running guest.
#[derive(Debug)]
pub(crate) struct GuestStatus {
    pub(crate) system: System,
    pub(crate) pushes: Rc<Pushes>,
    /// Of a guest that sends its log.
    pub(crate) outbox: Option<Rc<Outbox>>,
    /// Of a guest that serves over TLS.
    pub(crate) secure: Option<Rc<Secure>>,
}

impl Source for GuestStatus {
    fn status(&self) -> Status {
        let datafront = self.pushes.status(&self.system, self.outbox.as_deref());
        let mut status = snapshot::status(&self.system.stats(), self.system.host(), build());
        status.groups.0.extend(self.secure.as_ref().map(|secure| secure.numbers()));
        Status { datafront, ..status }
    }
}

fn build() -> Build {
    let kernel::build::Build { commit, dependencies } = kernel::build::build();
    Build { id: kernel::build::BuildId.to_string(), commit, dependencies }
}
