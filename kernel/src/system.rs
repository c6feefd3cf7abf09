//! What an appliance holds: the guest in one hand.

use crate::config::Config;
use crate::executor::Executor;
use crate::machine::DomU;
use crate::random::Pool;
use crate::run::{Bells, Interface};
use crate::suspend::Places;
use crate::timer_queue::Timers;
use crate::watchdog::Watchdog;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use net::{Net, Rng};
use netfront::pool::Pond;
use xen::console::Console;
use xen::hypervisor::ShutdownReason;
use xen::signal::Signal;
use xen::{Clock, Hypervisor, SystemTime, Xen};

/// The running guest. Cheap to clone; everything on one vCPU.
#[derive(Clone, Debug)]
pub struct System(pub(crate) Rc<Inner>);

/// Who is called with the network of each interface.
type Server = Box<dyn Fn(Net)>;

/// What a [`System`] points to.
pub(crate) struct Inner {
    pub(crate) name: &'static str,
    pub(crate) xen: Rc<Xen<DomU>>,
    pub(crate) console: Console,
    pub(crate) config: Config,
    pub(crate) executor: Executor,
    pub(crate) timers: Timers,
    /// What rings for the loop itself.
    pub(crate) bells: RefCell<Bells>,
    pub(crate) interfaces: RefCell<Vec<Box<dyn Interface>>>,
    pub(crate) interface_up: Signal,
    /// Who is called with the network of each interface that comes.
    pub(crate) served: RefCell<Vec<Server>>,
    pub(crate) started: SystemTime,
    pub(crate) random: RefCell<Rng>,
    /// What the generator was seeded with.
    pub(crate) entropy: RefCell<Pool>,
    pub(crate) ending: Cell<Option<ShutdownReason>>,
    /// When a suspend was asked for.
    pub(crate) suspending: Cell<Option<SystemTime>>,
    pub(crate) places: Places,
    pub(crate) watchdog: Watchdog,
    pub(crate) domid: Cell<Option<u16>>,
    /// Pages that dom0 may access, for the channels over which it pushes.
    pub(crate) pond: Rc<Pond<DomU>>,
    /// How often the guest went on after a suspend.
    pub(crate) resumes: Cell<u32>,
    pub(crate) memory_bytes: u64,
    pub(crate) loader: boot::Loader,
}

impl core::fmt::Debug for Inner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("System").field("name", &self.name).finish_non_exhaustive()
    }
}

impl System {
    /// The appliance's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The command line, understood.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The host name: `host=`, or the appliance's name.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.config.host.as_deref().unwrap_or(self.0.name)
    }

    /// Monotonic time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.0.xen.machine.now()
    }

    /// Nanoseconds since the kernel started.
    #[must_use]
    pub fn since_boot(&self) -> u64 {
        self.now().since(self.0.started)
    }

    /// Xen: hypercalls, grants, events, xenstore.
    #[must_use]
    pub fn xen(&self) -> &Rc<Xen<DomU>> {
        &self.0.xen
    }

    /// The console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.0.console
    }

    /// This domain's number, once xenstore told it.
    #[must_use]
    pub fn domid(&self) -> Option<u16> {
        self.0.domid.get()
    }

    /// Starts a task.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(future);
    }

    /// The network of the first interface, as soon as there is one.
    pub async fn net(&self) -> Net {
        loop {
            let net = self.0.interfaces.borrow().first().map(|interface| interface.net());
            if let Some(net) = net {
                // Others may wait for the same.
                self.0.interface_up.set();
                return net;
            }
            self.0.interface_up.wait().await;
        }
    }

    /// Has `serve` called with the network of each interface: of those that are there at once, of others when they
    /// come.
    pub fn each_net(&self, serve: impl Fn(Net) + 'static) {
        let nets: Vec<Net> = self.0.interfaces.borrow().iter().map(|interface| interface.net()).collect();
        nets.into_iter().for_each(&serve);
        self.0.served.borrow_mut().push(Box::new(serve));
    }

    /// A random number that nobody outside can foresee.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.0.random.borrow_mut().next_u64()
    }

    /// Random bytes, for seeds and keys.
    #[must_use]
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.random.borrow_mut().fill(&mut bytes);
        bytes
    }

    /// Ends the guest once the console is written out: the last thing that an appliance does.
    pub fn shut_down(&self, reason: ShutdownReason) {
        self.0.ending.set(Some(reason));
    }

    /// Reads a file of xenstore, for appliances that are configured there.
    ///
    /// # Errors
    /// What the xenstore client says.
    pub async fn store_read(&self, path: &str) -> Result<Option<String>, xen::xenstore::XsError> {
        self.0.xen.store.read_opt(path).await
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }
}

impl Inner {
    /// Writes out what the console still holds, for a bounded time, and ends the domain.
    pub(crate) fn end(&self, reason: ShutdownReason) -> ! {
        const PATIENCE_NS: u64 = 2_000_000_000;
        self.flush(PATIENCE_NS);
        loop {
            let _ = self.xen.machine.sched_shutdown(reason);
        }
    }

    /// Writes out what the console still holds, for `patience_ns` at most.
    pub(crate) fn flush(&self, patience_ns: u64) {
        let deadline = self.xen.machine.now().after(patience_ns);
        while !self.console.is_flushed() && self.xen.machine.now() < deadline {
            self.console.pump(&self.xen.machine);
            self.xen.machine.sched_yield();
        }
    }
}
