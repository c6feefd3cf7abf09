//! One boot for all cases, and the checks after each of them.

use crate::backend::{Backend, SCRIPT};
use bed::{Bed, Domain, DomainConfig, DomainState, Options, SharedBed};
use domu_tests::guest::config;
use domu_tests::http::number;
use domu_tests::{BOOT, Outcome, SOON};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The guest with its backend, and the guest's state before the case.
pub(crate) struct Rig {
    bed: SharedBed,
    pub(crate) guest: Domain,
    backend: Backend,
    vif: VifKind,
    before: Value,
    /// Pages that a case has made the guest quarantine.
    pub(crate) lost: u64,
    /// When the backend has opened, and whether the connection before was too short.
    opened: Option<Instant>,
    short: bool,
}

/// The guest lets a connection that has lasted for a second begin anew at once; after two shorter ones it pauses, each time
/// for longer.
const LASTING: Duration = Duration::from_millis(1200);

static RIG: Mutex<Option<Rig>> = Mutex::new(None);

/// What a case came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The vif works on; this kind of misbehaviour was counted.
    Counted(&'static str),
    /// The vif works on, and there was nothing to count.
    Works,
    /// The vif is broken: the kind, and words of the reason.
    Broken(&'static str, &'static str),
}

/// The features that the guest accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VifKind {
    /// Complete frames in one page: everything of scatter-gather and offloads was not negotiated.
    Plain,
    /// Everything: chains, extras and blank checksums are negotiated.
    Whole,
}

impl VifKind {
    /// The guest's command line.
    pub(crate) const fn cmdline(self) -> &'static str {
        match self {
            Self::Plain => {
                "ip=10.9.0.2/24 gw=10.9.0.1 ip6=off pool.rx=64 pool.tx=64 vif.refuse=sg,csum4,csum6,gso4,gso6"
            }
            Self::Whole => "ip=10.9.0.2/24 gw=10.9.0.1 ip6=off pool.rx=64 pool.tx=64",
        }
    }
}

/// Runs a case with a plain vif.
pub(crate) fn case(name: &str, end: End, attack: impl FnOnce(&mut Rig) -> Outcome) {
    case_with(VifKind::Plain, name, end, attack);
}

/// Runs a case on the boot of the previous one, unless that failed, and with its guest, if that has such a vif.
pub(crate) fn case_with(vif: VifKind, name: &str, end: End, attack: impl FnOnce(&mut Rig) -> Outcome) {
    let mut shared = RIG.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rig = match shared.take().map_or_else(Rig::start, Ok) {
        Ok(rig) => rig,
        Err(error) => panic!("{name}: the rig does not start: {error}"),
    };
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        rig.has(vif)?;
        rig.begin()?;
        attack(&mut rig)?;
        rig.end(end)
    }));
    eprintln!("  {name}: {:.1} s", begun.elapsed().as_secs_f64());
    match outcome {
        Ok(Ok(())) => *shared = Some(rig),
        Ok(Err(error)) => {
            rig.bed.collect(name);
            panic!("{name}: {error}");
        }
        Err(payload) => {
            rig.bed.collect(name);
            resume_unwind(payload);
        }
    }
}

/// Starts the guest, with the backend for its vif.
fn victim(
    bed: &Bed,
    backend: &mut Backend,
    vif: VifKind,
    change: impl FnOnce(DomainConfig) -> DomainConfig,
) -> Outcome<Domain> {
    let guest = bed.create(&change(config("web", "victim", vif.cmdline())?.vif([SCRIPT])))?;
    guest.wait_for("listening on ", BOOT)?;
    // A processor each, if there are two: fields must flip while the guest reads.
    bed.dom0(&format!("xl vcpu-pin 0 0 0; xl vcpu-pin {} 0 1", guest.domid()))?;
    backend.order("open")?;
    Ok(guest)
}

impl Rig {
    fn start() -> Outcome<Self> {
        let bed = SharedBed::start(&Options::default())?;
        let mut backend = Backend::start(&bed)?;
        let vif = VifKind::Plain;
        let guest = victim(&bed, &mut backend, vif, |config| config)?;
        Ok(Self { bed, guest, backend, vif, before: Value::Null, lost: 0, opened: None, short: false })
    }

    /// Destroys the guest, and starts one whose configuration is changed.
    pub(crate) fn replace(&mut self, change: impl FnOnce(DomainConfig) -> DomainConfig) -> Outcome {
        let destroyed = self.bed.dom0(&format!("xl destroy {}", self.guest.domid()))?;
        if !destroyed.success() {
            return Err(format!("xl destroy: {}", destroyed.stderr).into());
        }
        self.guest = victim(&self.bed, &mut self.backend, self.vif, change)?;
        self.lost = 0;
        self.begin()
    }

    /// Starts a guest with such a vif, unless it runs.
    fn has(&mut self, vif: VifKind) -> Outcome {
        if std::mem::replace(&mut self.vif, vif) == vif {
            return Ok(());
        }
        self.replace(|config| config)
    }

    /// The machine.
    pub(crate) fn bed(&self) -> &Bed {
        &self.bed
    }

    /// Gives the backend an order and returns the answer.
    pub(crate) fn order(&mut self, order: &str) -> Outcome<String> {
        if order == "close" {
            self.last();
        }
        let begun = Instant::now();
        let answer = self.backend.order(order);
        if order.starts_with("open") {
            self.opened = Some(Instant::now());
        }
        if std::env::var_os("HOSTILE_TIMES").is_some() {
            eprintln!("    {:6.2} s {order}", begun.elapsed().as_secs_f64());
        }
        answer
    }

    /// Lets the connection last, if the one before did not: else a quick machine has the guest pause after each of many.
    fn last(&mut self) {
        let up = self.opened.take().map_or(LASTING, |opened| opened.elapsed());
        if self.short && up < LASTING {
            std::thread::sleep(LASTING.saturating_sub(up));
        }
        self.short = !self.short && up < LASTING;
    }

    /// Gives orders, one after the other.
    pub(crate) fn orders(&mut self, orders: &[&str]) -> Outcome {
        orders.iter().try_for_each(|order| self.order(order).map(drop))
    }

    /// The guest's state.
    pub(crate) fn status(&mut self) -> Outcome<Value> {
        Ok(serde_json::from_str(&self.order("get /status.json")?)?)
    }

    /// The backend closes and opens again, with these nodes in addition to the usual ones.
    pub(crate) fn reconnect(&mut self, offers: &str) -> Outcome {
        self.order("close")?;
        self.order(&format!("open {offers}")).map(drop)
    }

    /// A node below the guest's directory.
    pub(crate) fn node(&self, path: &str) -> String {
        format!("/local/domain/{}/{path}", self.guest.domid())
    }

    /// A node of the backend's.
    pub(crate) fn back(&self, key: &str) -> String {
        format!("/local/domain/0/backend/vif/{}/0/{key}", self.guest.domid())
    }

    /// Types a line on the console and waits for words of the answer: the loop runs.
    pub(crate) fn ask(&self, line: &str, answer: &str) -> Outcome<String> {
        self.guest.send_line(line)?;
        Ok(self.guest.wait_for_next(answer, SOON)?)
    }

    fn begin(&mut self) -> Outcome {
        self.order("ping 1")?;
        self.before = self.status()?;
        Ok(())
    }

    /// Accepts the errors that this case counted so far; from here on they count again.
    pub(crate) fn forgive(&mut self) -> Outcome {
        self.before = self.status()?;
        Ok(())
    }

    /// How a counter stood before the case.
    pub(crate) fn before(&self, pointer: &str) -> Outcome<u64> {
        number(&self.before, pointer)
    }

    fn end(&mut self, end: End) -> Outcome {
        let (kind, breaks) = match end {
            End::Works => (None, 0),
            End::Counted(kind) => (Some(kind), 0),
            End::Broken(kind, reason) => {
                self.is_broken(reason)?;
                self.reconnect("")?;
                (Some(kind), 1)
            }
        };
        self.order("ping 3").map_err(|error| format!("it does not work on: {error}"))?;
        let after = self.status()?;
        self.kinds(&after, kind)?;
        let broke =
            number(&after, "/interfaces/0/device/breaks")? - self.before("/interfaces/0/device/breaks")?;
        same("times that the vif broke", broke, breaks)?;
        self.sound(&after)
    }

    /// The guest says that the vif is broken, and why, on the console and in xenstore; and its loop runs.
    pub(crate) fn is_broken(&mut self, reason: &str) -> Outcome {
        let line = self.guest.wait_for_next("broken by the backend: ", SOON)?;
        if !line.contains(reason) {
            return Err(format!("broken for another reason than {reason}: {line}").into());
        }
        self.ask("pool", " rx_pool: ")?;
        let node = self.bed.xenstore_read(&self.node("error/device/vif/0/error"))?;
        if node.contains(reason) { Ok(()) } else { Err(format!("xenstore says {node}").into()) }
    }

    /// How often each kind of misbehaviour was counted in this case.
    pub(crate) fn counted(&self, after: &Value) -> Outcome<Vec<(String, u64)>> {
        let kinds = after.pointer("/interfaces/0/misbehaviour").and_then(Value::as_object);
        let one = |name: &String| {
            let pointer = format!("/interfaces/0/misbehaviour/{name}");
            Ok((name.clone(), number(after, &pointer)? - self.before(&pointer)?))
        };
        kinds.ok_or("no misbehaviour")?.keys().map(one).collect()
    }

    /// Of all kinds of misbehaviour that one was counted, and no other.
    fn kinds(&self, after: &Value, expected: Option<&str>) -> Outcome {
        for (name, count) in self.counted(after)? {
            if (count > 0) != (expected == Some(name.as_str())) {
                return Err(format!("{name} was counted {count} times, and {expected:?} was to be").into());
            }
        }
        Ok(())
    }

    /// The checks that hold whatever the backend did.
    fn sound(&mut self, after: &Value) -> Outcome {
        let state = self.guest.state()?;
        if !matches!(state.state, DomainState::Running | DomainState::Blocked) {
            return Err(format!("the guest is {state}").into());
        }
        let console = self.guest.console();
        if let Some(crash) = console.lines().find(|line| line.contains("=== millpond")) {
            return Err(format!("the guest crashed: {crash}").into());
        }
        let mut pages = 0;
        for pool in ["rx_pool", "tx_pool"] {
            let count = |key: &str| number(after, &format!("/interfaces/0/{pool}/{key}"));
            let total = count("total")?;
            same(pool, count("free")? + count("in_ring")? + count("in_use")? + count("quarantined")?, total)?;
            pages += total;
        }
        let mismatch = after.pointer("/interfaces/0/mismatch");
        if mismatch != Some(&Value::Null) {
            return Err(format!("the pages do not add up: {mismatch:?}").into());
        }
        same("pages lost", number(after, "/grants/quarantined")?, self.lost)?;
        // A pool may have grown; besides pools and lost pages nothing takes any.
        let others =
            |status: &Value, pages: u64| -> Outcome<u64> { Ok(number(status, "/pages/taken")? - pages) };
        let was = self.before("/interfaces/0/rx_pool/total")? + self.before("/interfaces/0/tx_pool/total")?;
        let taken = others(&self.before, was)?;
        same("pages outside the pools", others(after, pages)?, taken + self.lost_now(after)?)?;
        // Pushes by dom0 use other pages; the page that describes them is not empty.
        let ring = self.node("data/vchan/0/push/ring-ref");
        let push = self.bed.xenstore_read(&ring).unwrap_or_default();
        self.order(&format!("scan {push}"))?;
        match self.order("complaints")?.as_str() {
            "" => Ok(()),
            complaints => Err(format!("the guest broke a rule of the ring protocol: {complaints}").into()),
        }
    }

    /// Pages that this case made the guest quarantine.
    fn lost_now(&self, after: &Value) -> Outcome<u64> {
        let device = |status: &Value, key: &str| number(status, &format!("/interfaces/0/device/{key}"));
        let lost = |status: &Value| -> Outcome<u64> {
            Ok(device(status, "quarantined_rings")? - device(status, "recovered_rings")?)
        };
        Ok(lost(after)? - lost(&self.before)?)
    }
}

/// Checks a count.
pub(crate) fn same(what: &str, found: u64, expected: u64) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}").into()) }
}

/// Declares cases that consist of orders: the name, the end, and the orders; `with VIF;` first, if it is not the
/// plain one.
#[macro_export]
macro_rules! cases {
    (with $vif:expr; $($name:ident: $end:expr, [$($order:expr),* $(,)?];)*) => {$(
        #[test]
        fn $name() {
            $crate::rig::case_with($vif, stringify!($name), $end, |rig| rig.orders(&[$($order),*]));
        }
    )*};
    ($($name:ident: $end:expr, [$($order:expr),* $(,)?];)*) => {
        $crate::cases! { with $crate::rig::VifKind::Plain; $($name: $end, [$($order),*];)* }
    };
}
