//! A small kernel: what it does at boot, so that a driver's test can begin with the driver; and its loop.

use crate::guest::Guest;
use crate::machine::Sim;
use crate::memory::{map_shared_info, set_up_grant_table};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use xen::abi::xen::offset::shared_info;
use xen::evtchn::EventChannels;
use xen::hypervisor::{HvmParam, Hypervisor as _};
use xen::xenstore::XenStore;
use xen::{EvtchnPort, Xen};

/// Frames of the grant table that [`Sim::xen`] sets up: 2048 entries.
const NR_GRANT_FRAMES: u32 = 4;

impl Sim {
    /// Boots the first guest: shared info, event channels, grant table and xenstore client, as the kernel sets them up.
    /// A second call is a second boot, as after a kexec: Xen's state is as the first one left it.
    #[must_use]
    pub fn xen(&self) -> Rc<Xen<Guest>> {
        boot(self.guest())
    }

    /// The same, with this many frames of the grant table instead of four.
    #[must_use]
    pub fn xen_with_grant_frames(&self, nr_frames: u32) -> Rc<Xen<Guest>> {
        boot_with(self.guest(), nr_frames)
    }
}

/// Boots a guest; see [`Sim::xen`].
#[must_use]
pub fn boot(guest: Guest) -> Rc<Xen<Guest>> {
    boot_with(guest, NR_GRANT_FRAMES)
}

fn boot_with(guest: Guest, nr_grant_frames: u32) -> Rc<Xen<Guest>> {
    let (gfn, shared) = guest.domain().memory.take_frames(1).expect("memory for the shared info page");
    map_shared_info(&guest, gfn).expect("the shared info page");
    // The guest has one vCPU: its vcpu_info is the first in the page.
    let vcpu_info = guest.domain().memory.view_for_ever(gfn, 1);
    assert_eq!(shared_info::VCPU_INFO, 0, "vcpu_info begins the page");
    let events = EventChannels::new(shared, vcpu_info);
    let max = guest.grant_table_size().expect("a grant table").max_nr_frames;
    let grants = set_up_grant_table(&guest, nr_grant_frames.min(max)).expect("memory for the grant table");
    let port = listen_to_store(&guest, &events);
    let store = XenStore::new(guest.xenstore_ring(), port);
    Rc::new(Xen { machine: guest, grants, events, store })
}

/// Listens to xenstored's events; their port.
pub(crate) fn listen_to_store(guest: &Guest, events: &EventChannels) -> EvtchnPort {
    let port = guest.hvm_get_param(HvmParam::StoreEvtchn).expect("a xenstore port");
    let port = EvtchnPort(u32::try_from(port).expect("a port"));
    events.listen(port);
    port
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One look at everything that may have come in: events and xenstore. Whether anything had.
pub fn iterate(xen: &Xen<Guest>) -> bool {
    let events = xen.events.dispatch() > 0;
    let moved = xen.store.pump(&xen.machine);
    events || moved
}

/// Runs one future to its end, and blocks in Xen while it waits: the kernel's loop, with one task.
///
/// It stops the test if the future waits for something that cannot happen.
pub fn block_on<T>(xen: &Xen<Guest>, future: impl Future<Output = T>) -> T {
    let woken = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if woken.0.swap(false, Ordering::SeqCst)
            && let Poll::Ready(result) = future.as_mut().poll(&mut context)
        {
            iterate(xen);
            return result;
        }
        if !iterate(xen) && !woken.0.load(Ordering::SeqCst) {
            xen.machine.sched_block();
        }
    }
}
