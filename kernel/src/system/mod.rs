//! [`System`]: the handle by which an appliance, and the kernel above, use the running guest.
//!
//! | file | contents |
//! |---|---|
//! | `sleep` | sleeping and timeouts |
//! | `bare` | a vif without a stack |
//! | `channels` | data channels to dom0 |
//! | `send_blocks` | blocks for dom0 |
//! | `take_stats` | takes a snapshot of all counters ([`stats`](crate::stats)) |
//! | `interface` | a network interface with its stack |
//! | `loop_signals`, `xen_pages` | what the loop listens to, and what a resume connects again |

mod bare;
pub mod channels;
pub(crate) mod interface;
pub(crate) mod loop_signals;
mod send_blocks;
mod serve_channel;
mod sleep;
mod take_stats;
pub(crate) mod xen_pages;

pub use send_blocks::SendSettings;
pub use serve_channel::ChannelHandler;

use crate::config::Config;
use crate::domain::domu::DomU;
use crate::domain::watchdog::Watchdog;
use crate::stats::LoopStats;
use crate::task::entropy::Entropy;
use crate::task::executor::Executor;
use crate::task::timer_queue::Timers;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use cmdline::Key;
use core::cell::{Cell, Ref, RefCell, RefMut};
use core::future::Future;
use interface::Interface;
use ledger::{Account, Ledger, Refused};
use loop_signals::LoopSignals;
use net::{Net, Rng};
use pool::SharedPagePool;
use xen::console::Console;
use xen::hypervisor::ShutdownReason;
use xen::signal::Signal;
use xen::{Clock, Hypervisor, SystemTime, Xen};
use xen_pages::XenPages;

/// How long the console may take to read what is left when the guest ends.
const END_FLUSH_NS: u64 = 2_000_000_000;

/// The running guest. Cloning it is cheap. All clones belong to the one vCPU.
#[derive(Clone, Debug)]
pub struct System(Rc<Inner>);

/// Called with the stack of each interface.
type Server = Box<dyn Fn(Net)>;

/// The interfaces, in the order in which they were found.
type Interfaces = Vec<Box<dyn Interface>>;

struct Inner {
    name: &'static str,
    xen: Rc<Xen<DomU>>,
    console: Rc<Console>,
    config: Config,
    executor: Executor,
    timers: Timers,
    loop_signals: RefCell<LoopSignals>,
    interfaces: RefCell<Interfaces>,
    interface_up: Signal,
    servers: RefCell<Vec<Server>>,
    /// The appliance has stacks of its own.
    bare: Cell<bool>,
    iterations: RefCell<Vec<bare::EachIteration>>,
    started: SystemTime,
    random: RefCell<Rng>,
    /// The seed of `random`.
    entropy: RefCell<Entropy>,
    ending: Cell<Option<ShutdownReason>>,
    /// When a suspend was requested.
    suspend_requested: Cell<Option<SystemTime>>,
    xen_pages: XenPages,
    watchdog: Watchdog,
    domid: Cell<Option<u16>>,
    /// Pages granted to dom0 for data channels.
    shared_pages: Rc<SharedPagePool<DomU>>,
    resumes: Cell<u32>,
    memory_bytes: u64,
    ledger: Ledger,
    loop_stats: Cell<LoopStats>,
}

impl core::fmt::Debug for Inner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("System").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a [`System`] is made of.
pub(crate) struct Parts {
    /// The appliance's name.
    pub(crate) name: &'static str,
    /// Hypercalls, grants, event channels, xenstore.
    pub(crate) xen: Rc<Xen<DomU>>,
    /// The console.
    pub(crate) console: Rc<Console>,
    /// The command line.
    pub(crate) config: Config,
    /// The signals of the loop.
    pub(crate) loop_signals: LoopSignals,
    /// What a resume connects again.
    pub(crate) xen_pages: XenPages,
    /// The seed of the random number generator.
    pub(crate) entropy: Entropy,
    /// When the kernel started.
    pub(crate) started: SystemTime,
    /// RAM of the guest in bytes.
    pub(crate) memory_bytes: u64,
    /// The ledger over the heap.
    pub(crate) ledger: Ledger,
}

/// For appliances.
impl System {
    /// The appliance's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The parsed command line.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The appliance's options, from the `app.NAME=` words by its table of keys. If a word is wrong, its error is logged
    /// and the guest powers off.
    #[must_use]
    pub fn options<T: Default>(&self, keys: &[Key<T>]) -> T {
        self.config().app_options(keys).unwrap_or_else(|errors| {
            for error in errors {
                log::error!("{error}");
            }
            log::error!("stopping: correct cmdline= in the domain's configuration");
            self.end(ShutdownReason::Poweroff)
        })
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

    /// Hypercalls, grants, event channels, xenstore.
    #[must_use]
    pub fn xen(&self) -> &Rc<Xen<DomU>> {
        &self.0.xen
    }

    /// The ledger over the heap, for memory whose size peers or dom0 decide.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// The console.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.0.console
    }

    /// This domain's number, once it was read from xenstore.
    #[must_use]
    pub fn domid(&self) -> Option<u16> {
        self.0.domid.get()
    }

    /// Starts a task. For tasks whose number the code fixes; see [`System::try_spawn`].
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(future);
    }

    /// Starts one of the tasks whose number somebody outside decides: for a connection, or a request. Its memory, and
    /// `beside` bytes that it has on the heap already, are reserved until it ends.
    ///
    /// # Errors
    /// The ledger does not permit it; the future is dropped.
    pub fn try_spawn(
        &self,
        account: &Account,
        beside: usize,
        future: impl Future<Output = ()> + 'static,
    ) -> Result<(), Refused> {
        self.0.executor.try_spawn(account, beside, future)
    }

    /// Waits for the first interface and returns its stack.
    pub async fn net(&self) -> Net {
        loop {
            let net = self.0.interfaces.borrow().first().map(|interface| interface.net());
            if let Some(net) = net {
                // Other tasks may wait for the same signal.
                self.0.interface_up.set();
                return net;
            }
            self.0.interface_up.wait().await;
        }
    }

    /// Calls `serve` with the stack of each interface: now for the interfaces that exist, later for those that are
    /// attached.
    pub fn each_net(&self, serve: impl Fn(Net) + 'static) {
        let nets: Vec<Net> = self.0.interfaces.borrow().iter().map(|interface| interface.net()).collect();
        nets.into_iter().for_each(&serve);
        self.0.servers.borrow_mut().push(Box::new(serve));
    }

    /// A random number that an attacker cannot predict.
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

    /// Ends the guest at the end of this loop iteration, after the console's output is written.
    pub fn shut_down(&self, reason: ShutdownReason) {
        self.0.ending.set(Some(reason));
    }

    /// Reads a node of xenstore; `None` if it does not exist. For appliances that are configured there.
    ///
    /// # Errors
    /// The error of the xenstore client.
    pub async fn store_read(&self, path: &str) -> Result<Option<String>, xen::xenstore::XsError> {
        self.0.xen.store.read_opt(path).await
    }
}

/// For the kernel: the start, the loop, and what follows the toolstack.
impl System {
    /// The guest made of `parts`. It has no interface yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let shared_pages = Rc::new(SharedPagePool::new(&parts.xen, channels::DOM0));
        Self(Rc::new(Inner {
            name: parts.name,
            xen: parts.xen,
            console: parts.console,
            executor: Executor::new(),
            timers: Timers::default(),
            loop_signals: RefCell::new(parts.loop_signals),
            interfaces: RefCell::default(),
            interface_up: Signal::new(),
            servers: RefCell::default(),
            bare: Cell::new(false),
            iterations: RefCell::default(),
            started: parts.started,
            random: RefCell::new(parts.entropy.generator()),
            entropy: RefCell::new(parts.entropy),
            ending: Cell::new(None),
            suspend_requested: Cell::new(None),
            xen_pages: parts.xen_pages,
            watchdog: Watchdog::new(parts.config.watchdog),
            domid: Cell::new(None),
            shared_pages,
            resumes: Cell::new(0),
            memory_bytes: parts.memory_bytes,
            ledger: parts.ledger,
            loop_stats: Cell::new(LoopStats::default()),
            config: parts.config,
        }))
    }

    /// RAM of the guest in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes
    }

    /// The tasks.
    pub(crate) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// The deadlines of tasks.
    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    /// Xen's watchdog.
    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.0.watchdog
    }

    /// The pages granted to dom0 for data channels.
    pub(crate) fn shared_pages(&self) -> &Rc<SharedPagePool<DomU>> {
        &self.0.shared_pages
    }

    /// What a resume connects again.
    pub(crate) fn xen_pages(&self) -> &XenPages {
        &self.0.xen_pages
    }

    /// The signals that the loop listens to.
    pub(crate) fn loop_signals(&self) -> Ref<'_, LoopSignals> {
        self.0.loop_signals.borrow()
    }

    /// Replaces the signals: after a resume the ports are others.
    pub(crate) fn set_loop_signals(&self, signals: LoopSignals) {
        *self.0.loop_signals.borrow_mut() = signals;
    }

    /// The interfaces.
    pub(crate) fn interfaces(&self) -> Ref<'_, Interfaces> {
        self.0.interfaces.borrow()
    }

    /// The interfaces, for the loop. No task may run meanwhile.
    pub(crate) fn interfaces_mut(&self) -> RefMut<'_, Interfaces> {
        self.0.interfaces.borrow_mut()
    }

    /// Adds an interface, and passes its stack to those who wait for one.
    pub(crate) fn add_interface(&self, interface: Box<dyn Interface>) {
        let net = interface.net();
        self.0.interfaces.borrow_mut().push(interface);
        self.0.interface_up.set();
        // A server may call `each_net`, so the list is not borrowed meanwhile.
        let servers: Vec<_> = core::mem::take(&mut *self.0.servers.borrow_mut());
        servers.iter().for_each(|serve| serve(net.clone()));
        self.0.servers.borrow_mut().extend(servers);
    }

    /// The reason of the shutdown that was requested.
    pub(crate) fn ending(&self) -> Option<ShutdownReason> {
        self.0.ending.get()
    }

    /// Requests a suspend.
    pub(crate) fn request_suspend(&self) {
        self.0.suspend_requested.set(Some(self.now()));
    }

    /// When a suspend was requested, if one is pending.
    pub(crate) fn suspend_requested(&self) -> Option<SystemTime> {
        self.0.suspend_requested.get()
    }

    /// Notes that the requested suspend takes place.
    pub(crate) fn clear_suspend_request(&self) {
        self.0.suspend_requested.set(None);
    }

    /// What the loop has counted.
    pub(crate) fn loop_stats(&self) -> LoopStats {
        self.0.loop_stats.get()
    }

    /// Sets what the loop has counted.
    pub(crate) fn set_loop_stats(&self, stats: LoopStats) {
        self.0.loop_stats.set(stats);
    }

    /// How often the guest was resumed. Each time its secrets may be known to a copy of it.
    #[must_use]
    pub fn resumes(&self) -> u32 {
        self.0.resumes.get()
    }

    /// Counts a resume.
    pub(crate) fn count_resume(&self) {
        self.0.resumes.set(self.0.resumes.get().saturating_add(1));
    }

    /// Sets the number of this domain, as xenstore has it.
    pub(crate) fn set_domid(&self, domid: Option<u16>) {
        self.0.domid.set(domid);
    }

    /// A copy of the entropy, to add to it.
    pub(crate) fn entropy(&self) -> Entropy {
        self.0.entropy.borrow().clone()
    }

    /// Seeds the random number generator again, and with it the secrets of each interface.
    pub(crate) fn set_entropy(&self, entropy: Entropy) {
        *self.0.random.borrow_mut() = entropy.generator();
        self.0.entropy.replace(entropy);
        for interface in self.0.interfaces.borrow_mut().iter_mut() {
            interface.renew_secrets(self.random_bytes(), netfront::HashKey::new(self.random_bytes()));
        }
    }

    /// Writes the console's remaining output, for a limited time, and ends the domain.
    pub(crate) fn end(&self, reason: ShutdownReason) -> ! {
        self.flush(END_FLUSH_NS);
        loop {
            let _ = self.0.xen.machine.sched_shutdown(reason);
        }
    }

    /// Writes the console's remaining output, for at most `timeout_ns`.
    pub(crate) fn flush(&self, timeout_ns: u64) {
        let machine = &self.0.xen.machine;
        let deadline = machine.now().after(timeout_ns);
        while !self.0.console.is_flushed() && machine.now() < deadline {
            self.0.console.pump(machine);
            machine.sched_yield();
        }
    }
}
