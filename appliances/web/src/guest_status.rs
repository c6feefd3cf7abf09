//! The running guest as the source of the status pages.

use crate::push_channels::Pushes;
use crate::tls_service::Secure;
use alloc::rc::Rc;
use alloc::string::ToString;
use kernel::System;
use kernel::datafront::block::Outbox;
use kernel::net::{Net, Observer};
use web::site::capture::Frames;
use web::site::status::{Build, Status};
use web::site::{Source, snapshot};

/// The running guest.
#[derive(Debug)]
pub(crate) struct GuestStatus {
    pub(crate) system: System,
    pub(crate) net: Net,
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

    fn frames(&self) -> Option<Rc<dyn Frames>> {
        Some(Rc::new(Interface { system: self.system.clone(), net: self.net.clone() }))
    }
}

/// The first interface, for captures.
struct Interface {
    system: System,
    net: Net,
}

impl Frames for Interface {
    fn observe(&self, observer: Option<Rc<dyn Observer>>) {
        self.net.observe(observer);
    }

    fn boot_unix_us(&self) -> u64 {
        let unix_ns = self.system.xen().machine.unix_time_ns();
        unix_ns.map_or(0, |unix_ns| unix_ns.saturating_sub(self.system.since_boot()) / 1000)
    }
}

fn build() -> Build {
    let kernel::build::Build { commit, dependencies } = kernel::build::build();
    Build { id: kernel::build::BuildId.to_string(), commit, dependencies }
}
