//! One cell of the matrix: a guest of one size with that much content, under one attack after the other.

use crate::honest::Honest;
use bed::{Bed, DomainState};
use domu_tests::Outcome;
use domu_tests::dom0::ATTACK;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The duration of an attack after its connections are open.
const SECONDS: u32 = 5;
/// Connections may be silent for this long, so that the guest soon closes those of clients that vanish.
const IDLE: &str = "app.idle=10 app.admin=path:/-/";
/// The limit for a guest to be as it was: clients that have vanished are given up after a minute, neighbours that nobody
/// uses too.
const RECOVERY: Duration = Duration::from_secs(240);
const COMMAND: Duration = Duration::from_secs(300);
/// Bytes of the budget that the name of a file takes at most: 256 and its length.
const NAME: u64 = 512;
/// Where the guest counts why it turned a client away.
const COUNTERS: [&str; 5] =
    ["/http", "/interfaces/0/stack", "/interfaces/0/tcp", "/interfaces/0/drops", "/ledger_used"];

/// One kind of hostile client: a mode of `dom0/attack.c`, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) mode: &'static str,
    count: u32,
}

impl Attack {
    pub(crate) const fn new(mode: &'static str, count: u32) -> Self {
        Self { mode, count }
    }
}

/// A guest's size, and how much of its content budget is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) memory_mib: u32,
    pub(crate) content_percent: u64,
}

impl Cell {
    /// Runs every attack, waits until the guest is as it was before all of them, and adds a line to `faults` for each
    /// failure. What one attack leaves is there when the next one begins.
    pub(crate) fn run(self, bed: &Bed, attacks: &[Attack], faults: &mut Vec<String>) -> Outcome {
        bed.put_file(ATTACK, "/var/attack")?;
        let mut victim: Option<Victim<'_>> = None;
        for attack in attacks {
            let guest = match victim.take() {
                Some(guest) => guest,
                None => Victim::start(bed, self)?,
            };
            if self.tell(attack.mode, || guest.suffer(attack), faults) {
                victim = Some(guest);
            } else {
                guest.guest.domain.destroy()?;
            }
        }
        if let Some(guest) = victim {
            self.tell("recovery", || guest.recovers(), faults);
        }
        Ok(())
    }

    /// Runs a step and tells its verdict. Returns whether it passed.
    fn tell(self, step: &str, run: impl FnOnce() -> Outcome<String>, faults: &mut Vec<String>) -> bool {
        let began = Instant::now();
        let result = run();
        let verdict = match &result {
            Ok(said) => format!("ok: {said}"),
            Err(error) => format!("FAULT: {error}"),
        };
        let line = format!("memory={} content={}% {step}: {verdict}", self.memory_mib, self.content_percent);
        eprintln!("  {line} [{:.0} s]", began.elapsed().as_secs_f64());
        if result.is_err() {
            faults.push(line);
        }
        result.is_ok()
    }
}

/// The guest, and its state before the first attack.
struct Victim<'a> {
    bed: &'a Bed,
    guest: Guest<'a>,
    path: &'static str,
    base: Value,
}

impl<'a> Victim<'a> {
    fn start(bed: &'a Bed, cell: Cell) -> Outcome<Self> {
        let config = config("web", "victim", IDLE)?.memory_mib(cell.memory_mib).on_crash("preserve");
        let guest = Guest::create(bed, &config)?;
        let port = guest.tcp(80)?;
        let mut connection = Connection::open(port)?;
        let path = if cell.content_percent > 0 {
            let budget = number(&connection.status()?, "/datafront/published/budget_bytes")?;
            fill(bed, (budget - NAME) * cell.content_percent / 100)?;
            "/fill.bin"
        } else {
            "/-/status"
        };
        // Tables and buffers of ordinary requests are part of the base.
        for page in ["", "1k", "healthz", "metrics"] {
            connection.own(page)?;
        }
        drop(connection);
        Honest::once(port)?;
        let base = Connection::open(port)?.status()?;
        Ok(Self { bed, guest, path, base })
    }

    /// One attack beside a well-behaved client. Returns the output of the attack.
    fn suffer(&self, attack: &Attack) -> Outcome<String> {
        self.bed.dom0(&format!("ping -c 1 -W 5 {}", self.guest.address))?;
        let honest = Honest::start(self.guest.tcp(80)?);
        let command = format!(
            "/var/attack {} {} 80 {} {SECONDS} {}",
            attack.mode, self.guest.address, attack.count, self.path
        );
        let attacked = self.bed.dom0_within(&command, COMMAND);
        let answered = honest.end();
        self.runs()?;
        let attacked = attacked?;
        if !attacked.success() {
            return Err(format!("the attack itself failed: {attacked:?}").into());
        }
        let answered = answered.map_err(|error| {
            format!("a well-behaved client was not answered: {error}; since the start {}", self.counted())
        })?;
        let made = attacked.stdout.trim();
        Ok(format!("made and refused {made}, {answered} replies to the well-behaved client"))
    }

    /// What the guest has counted since its start, for a fault.
    fn counted(&self) -> String {
        let now = self.guest.tcp(80).and_then(|port| Connection::open(port)?.status());
        let Ok(now) = now else { return "it does not say what it counted".into() };
        COUNTERS.map(|pointer| format!("{pointer}: {}", changes(&self.base, &now, pointer))).join("; ")
    }

    /// Checks that the guest runs; otherwise returns its last lines.
    fn runs(&self) -> Outcome {
        let status = self.guest.domain.state()?;
        if matches!(status.state, DomainState::Gone | DomainState::Crashed | DomainState::Shutdown) {
            let console = self.guest.domain.console();
            let early = self.guest.domain.early_output().unwrap_or_default();
            let lines = || console.lines().chain(early.lines());
            let why = ["allocation", "panicked", "fault", "panic"];
            let why = why.iter().find_map(|word| lines().find(|line| line.contains(word)));
            return Err(format!("the guest is {status}: {}", why.unwrap_or("it says nothing")).into());
        }
        Ok(())
    }

    /// Waits until connections, tasks and heap are as they were.
    fn recovers(&self) -> Outcome<String> {
        let began = Instant::now();
        let port = self.guest.tcp(80)?;
        loop {
            let now = Connection::open(port).and_then(|mut connection| connection.status());
            let left = match &now {
                Ok(now) => self.more_than_before(now)?,
                Err(error) => Some(error.to_string()),
            };
            let Some(left) = left else { return Ok("connections, tasks and heap are as before".into()) };
            self.runs()?;
            if began.elapsed() > RECOVERY {
                return Err(format!("it does not recover: {left}").into());
            }
            sleep(Duration::from_secs(1));
        }
    }

    /// What the guest uses beyond its base. Tables may keep their size.
    fn more_than_before(&self, now: &Value) -> Outcome<Option<String>> {
        let memory = number(now, "/memory_bytes")?;
        for (pointer, slack) in
            [("/interfaces/0/sockets/connections", 0), ("/tasks", 0), ("/heap/used_bytes", memory / 128)]
        {
            let (was, is) = (number(&self.base, pointer)?, number(now, pointer)?);
            if is > was + slack {
                let accounts = changes(&self.base, now, "/ledger_used");
                return Ok(Some(format!("{pointer} was {was} and is {is}; in the ledger {accounts}")));
            }
        }
        Ok(None)
    }
}

/// The numbers below a pointer that are not as they were.
fn changes(was: &Value, is: &Value, pointer: &str) -> String {
    let numbers =
        |value: &Value| value.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    let (was, is) = (numbers(was), numbers(is));
    let changed = is.iter().filter(|(name, now)| was.get(*name) != Some(now));
    changed.map(|(name, now)| format!("{name} {now}")).collect::<Vec<_>>().join(", ")
}

/// Publishes one file of that many bytes.
fn fill(bed: &Bed, bytes: u64) -> Outcome {
    bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
    let script = format!("head -c {bytes} /dev/zero >/var/fill.bin && push /var/fill.bin --domain victim");
    let output = bed.dom0_within(&script, COMMAND)?;
    if output.success() { Ok(()) } else { Err(format!("{bytes} bytes are not accepted: {output:?}").into()) }
}
