//! The running guest as the source of the status pages.

use crate::push_channels::Pushes;
use alloc::rc::Rc;
use alloc::string::ToString;
use kernel::System;
use kernel::datafront::block::Outbox;
use web::site::status::{Build, Status};
use web::site::{Source, snapshot};

/// The running guest.
#[derive(Debug)]
pub(crate) struct GuestStatus(System, Rc<Pushes>, Option<Rc<Outbox>>);

impl GuestStatus {
    pub(crate) fn new(system: &System, pushes: &Rc<Pushes>, outbox: Option<Rc<Outbox>>) -> Self {
        Self(system.clone(), Rc::clone(pushes), outbox)
    }
}

impl Source for GuestStatus {
    fn status(&self) -> Status {
        let datafront = self.1.status(&self.0, self.2.as_deref());
        Status { datafront, ..snapshot::status(&self.0.stats(), self.0.host(), build()) }
    }
}

fn build() -> Build {
    let kernel::build::Build { commit, dependencies } = kernel::build::build();
    Build { id: kernel::build::BuildId.to_string(), commit, dependencies }
}
