//! H46: the share of the guest's processor that an event storm leaves.
//!
//! ```text
//!   dom0, processor 0: events as fast as it can ──► guest, processor 1: pieces of work, or sleep
//!                                                   a plugin of QEMU's counts the instructions of processor 1
//! ```
//!
//! On an emulated machine time means nothing; instructions do. dom0 and the guest seldom run at the same time there,
//! so events come in bursts, which the guest handles as one. The most that an event can cost is the cost of one that
//! is handled alone: an exit, with Xen's part of it, and an iteration of the guest, as after a sleep. A hundred
//! thousand of these in a second may take at most half of a processor that runs 2,000 million instructions in it, a
//! slow one.
//!
//! A guest that sleeps is woken by each: that costs it nothing that it needs, and is shown only.

use crate::backend::{Backend, SCRIPT};
use bed::{Bed, Domain, Options};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome, SOON};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The limit for an event: half of 2,000 million instructions, divided by a hundred thousand.
const BAR: f64 = 10_000.0;
/// Events of a storm, and the number of storms.
const EVENTS: u64 = 20_000;
const STORMS: u64 = 3;
/// The processor of the guest, and bytes and place of its counters: in Xen, outside, entries.
const GUEST_S: usize = 1;
const LINE: usize = 64;

/// The counts so far.
#[derive(Clone, Copy, Debug)]
struct Reading {
    xen: u64,
    guest: u64,
    exits: u64,
    /// Events that the guest took.
    events: u64,
    pieces: u64,
}

impl Reading {
    fn since(self, before: Self) -> Self {
        Self {
            xen: self.xen - before.xen,
            guest: self.guest - before.guest,
            exits: self.exits - before.exits,
            events: self.events - before.events,
            pieces: self.pieces - before.pieces,
        }
    }

    const fn instructions(self) -> u64 {
        self.xen + self.guest
    }
}

struct Scale {
    counters: PathBuf,
    guest: Domain,
    backend: Backend,
    bed: Bed,
}

impl Scale {
    fn start() -> Outcome<Self> {
        // Always the same arguments: the machine's snapshot depends on QEMU's.
        let counters = bed::repository().join("build/share.counters");
        let plugin = format!("file={},counters={}", env!("SHARE_PLUGIN"), counters.display());
        let bed = Bed::start(Options::default().vcpus(2).qemu_arg("-plugin").qemu_arg(&plugin))?;
        let mut backend = Backend::start(&bed)?;
        let line = "ip=10.9.0.2/24 gw=10.9.0.1 ip6=off app.do=work";
        let guest = bed.create(&config("probe", "worker", line)?.vif([SCRIPT]))?;
        guest.wait_for("ready to work", BOOT)?;
        backend.order("open")?;
        bed.dom0(&format!("xl vcpu-pin 0 0 0 && xl vcpu-pin {} 0 1", guest.domid()))?;
        Ok(Self { counters, guest, backend, bed })
    }

    /// Types a line; how many events were taken by then, and how many pieces of work were done.
    fn ask(&self, line: &str) -> Outcome<(u64, u64)> {
        self.guest.send_line(line)?;
        let answer = self.guest.wait_for_next(" pieces", SOON)?;
        let words: Vec<&str> = answer.split_whitespace().collect();
        match words.as_slice() {
            [.., events, "events,", pieces, "pieces"] => Ok((events.parse()?, pieces.parse()?)),
            _ => Err(format!("no count: {answer}").into()),
        }
    }

    fn read(&self) -> Outcome<Reading> {
        let (events, pieces) = self.ask("how many")?;
        let bytes = fs::read(&self.counters)?;
        let line = bytes.get(GUEST_S * LINE..(GUEST_S + 1) * LINE).ok_or("no counters")?;
        let word = |at: usize| {
            line.chunks_exact(8).nth(at).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        Ok(Reading { xen: word(0), guest: word(1), exits: word(2), events, pieces })
    }

    /// What is counted while `run` does something.
    fn during(&mut self, work: impl FnOnce(&mut Self) -> Outcome) -> Outcome<Reading> {
        let before = self.read()?;
        work(self)?;
        Ok(self.read()?.since(before))
    }

    fn storm(&mut self) -> Outcome<Reading> {
        self.during(|scale| {
            (0..STORMS).try_for_each(|_| scale.backend.order(&format!("storm {EVENTS}")).map(drop))
        })
    }

    fn without_events(&mut self) -> Outcome<Reading> {
        self.during(|_| {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        })
    }
}

fn show(what: &str, reading: Reading) {
    let Reading { xen, guest, exits, events, pieces } = reading;
    eprintln!(
        "  {what}: {guest} instructions of the guest, {xen} of Xen's in {exits} exits; {events} events taken, {pieces} pieces"
    );
}

fn per(count: u64, of: u64) -> f64 {
    count as f64 / of.max(1) as f64
}

fn weigh() -> Outcome {
    let mut scale = Scale::start()?;
    let resting = scale.storm()?;
    show("a storm, asleep", resting);
    scale.ask("work")?;
    let quiet = scale.without_events()?;
    show("at work", quiet);
    let stormy = scale.storm()?;
    show("a storm, at work", stormy);
    scale.ask("rest")?;
    scale.backend.order("ping 3").map_err(|error| format!("it does not work on: {error}"))?;
    let (piece, longer) =
        (per(quiet.instructions(), quiet.pieces), per(stormy.instructions(), stormy.pieces));
    let cost = per(stormy.xen, stormy.exits) + per(resting.guest, resting.events);
    eprintln!(
        "  a piece of work: {piece:.0} instructions, in {} events sent {longer:.0}: {:.0} % are work. \
         An event by itself: {cost:.0}, {:.0} % are left with 100,000 in a second. Asleep: {:.0}",
        EVENTS * STORMS,
        piece / longer * 100.0,
        100.0 - cost / BAR * 50.0,
        per(resting.instructions(), resting.events)
    );
    drop(scale.guest);
    drop(scale.bed);
    let _ = fs::remove_file(&scale.counters);
    // A channel is masked after 32 events without work.
    if piece < 5000.0 || stormy.events < 32 {
        return Err("that was no work, or no storm".into());
    }
    // An event stops the guest at most once, and the end of its channel's mask once more; other stops happen without
    // a storm too.
    let others = per(quiet.exits, quiet.instructions()) * stormy.instructions() as f64;
    if stormy.exits as f64 > 2.0 * stormy.events as f64 + 2.0 * others + 100.0 {
        return Err(format!("{} events cost {} exits", stormy.events, stormy.exits).into());
    }
    if longer > 2.0 * piece || cost > BAR {
        return Err(format!("a piece of work is {longer:.0} instructions in a storm, and {piece:.0} without; an event {cost:.0}").into());
    }
    Ok(())
}

#[test]
fn h46_half_of_the_processor_is_left_in_a_storm_of_events() {
    if let Err(error) = weigh() {
        panic!("h46_half_of_the_processor_is_left_in_a_storm_of_events: {error}");
    }
}
