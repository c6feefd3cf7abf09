//! Save and restore, with TCP connections that do not notice.

use crate::traffic::{Busy, SILENCE};
use crate::{SMALL_MIB, node, xl, xl_slowly};
use bed::{Bed, run_test};
use domu_tests::capture::{Capture, advertises, announces};
use domu_tests::dom0::{Client, speak_ipv6};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};
use serde_json::Value;
use std::net::Ipv6Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Cycles in the suite: each takes some seconds under emulation. A leak of the first cycle shows in the second.
const CYCLES: u32 = 4;
/// Cycles of the long test.
const MANY: u32 = 50;
/// Cycles after which announcements to neighbours are checked.
const LISTENED: u32 = 3;
/// Bytes of heap that come and go with requests.
const HEAP_NOISE: u64 = 32 << 10;

/// Values that must not change from one cycle to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Pages that are out, and not in a pool.
    pages: u64,
    /// Grants in force.
    grants: u64,
    quarantined: u64,
    /// Tasks without a request.
    tasks: u64,
    /// Bytes of the heap beside what the ledger has given out for clients, which comes and goes with them.
    heap: u64,
    /// The ledger's part.
    clients: u64,
}

impl Account {
    pub(crate) fn of(status: &Value) -> Outcome<Self> {
        let (mut pools, mut all) = (0, true);
        for interface in status["interfaces"].as_array().into_iter().flatten() {
            for pool in ["rx_pool", "tx_pool"] {
                let of = |key: &str| number(interface, &format!("/{pool}/{key}"));
                pools += of("total")?;
                all &= of("total")? == of("free")? + of("in_ring")? + of("in_use")? + of("quarantined")?;
            }
        }
        if !all {
            return Err(format!("the pages of a pool do not add up: {status}").into());
        }
        let clients =
            ["tcp", "replies", "appliance"].map(|name| number(status, &format!("/ledger_used/{name}")));
        let clients = clients.into_iter().sum::<Outcome<u64>>()?;
        let grants = number(status, "/grants/issued")? - number(status, "/grants/ended")?;
        Ok(Self {
            pages: number(status, "/pages/taken")? - pools,
            grants: grants - pools,
            quarantined: number(status, "/grants/quarantined")?,
            // A request that waits has a task; one that is answered at once has none.
            tasks: number(status, "/tasks")? - number(status, "/http/waiting")?,
            heap: number(status, "/heap/used_bytes")?.saturating_sub(clients),
            clients,
        })
    }

    /// This account, or `other` if it has less in the heap.
    pub(crate) const fn least(self, other: Self) -> Self {
        if other.heap < self.heap { other } else { self }
    }

    /// Whether the state is as before, except for the heap that requests use for a moment.
    pub(crate) fn check(&self, before: &Self, when: &str) -> Outcome {
        let flat = Self { heap: before.heap, clients: before.clients, ..*self } == *before
            && self.heap <= before.heap + HEAP_NOISE;
        if flat { Ok(()) } else { Err(format!("{when}: {self:?}, before {before:?}").into()) }
    }
}

fn cycles(bed: &Bed, count: u32) -> Outcome {
    let guest = Guest::create(bed, &config("web", "kept", SILENCE)?.memory_mib(SMALL_MIB))?;
    let six = guest.wait_for_ipv6()?;
    speak_ipv6(bed)?;
    let kept = Client::new(bed)?.keep((six, 80).into(), "/-/healthz")?;
    let capture = Capture::start(bed)?;
    let mut busy = Busy::start(bed, &guest)?;
    let mut connection = Connection::open(guest.tcp(80)?)?;
    let before = connection.status()?;
    let account = Account::of(&before)?;
    let mut id = guest.domain.domid();
    node(bed, id, "control/feature-suspend", |value| value == "1", SOON)?;

    // The toolstack takes its copy and lets the guest go on.
    xl_slowly(bed, "save -c kept /var/kept")?;
    busy.goes_on("after save -c")?;
    guest.domain.wait_for_next("the suspend was cancelled", SOON)?;
    assert_eq!(number(&connection.status()?, "/domid")?, u64::from(id), "the same domain");

    let (mut in_flight, mut uptime) = (0, number(&before, "/uptime_ms")?);
    for cycle in 1..=count {
        xl_slowly(bed, "save kept /var/kept")?;
        // It is gone, and a reply stopped in the middle.
        in_flight += u32::from(busy.download.is_within());
        let told = announcements(&capture, &guest, six, cycle)?;
        xl_slowly(bed, "restore /var/kept")?;
        busy.goes_on(&format!("after restore {cycle}"))?;
        kept.goes_on(&format!("by IPv6, after restore {cycle}"))?;
        let now: u32 = xl(bed, "domid kept")?.trim().parse()?;
        assert_ne!(now, id, "a new domain");
        id = now;
        let status = connection.status()?;
        assert_eq!(number(&status, "/domid")?, u64::from(id), "cycle {cycle}");
        Account::of(&status)?.check(&account, &format!("cycle {cycle}"))?;
        let now = number(&status, "/uptime_ms")?;
        assert!(now > uptime, "time never goes back: {uptime} ms, then {now}");
        uptime = now;
        neighbours_hear(&capture, &guest, six, cycle, told)?;
    }
    assert!(in_flight > count / 2, "{in_flight} of {count} saves met a download in the middle");
    // Tools see it in its new place.
    node(bed, id, "attr/vif/0/ipv4/0", |value| value == guest.address.to_string(), SOON)?;
    node(bed, id, "attr/vif/0/ipv6/0", |value| value.starts_with("fe80::"), SOON)?;
    node(bed, id, "control/feature-suspend", |value| value == "1", SOON)?;
    kept.end()?;
    busy.end()?;
    xl(bed, "shutdown -w kept")?;
    Ok(())
}

/// Gratuitous ARP and neighbour advertisements that left for the host so far. Of the first lives: the record of frames
/// grows with the download.
fn announcements(capture: &Capture, guest: &Guest<'_>, six: Ipv6Addr, cycle: u32) -> Outcome<(usize, usize)> {
    if cycle > LISTENED {
        return Ok((0, 0));
    }
    let arp = capture.count(|frame| announces(frame, guest.address))?;
    Ok((arp, capture.count(|frame| advertises(frame, six))?))
}

/// In the new domain the guest announces both addresses to neighbours.
fn neighbours_hear(
    capture: &Capture,
    guest: &Guest<'_>,
    six: Ipv6Addr,
    cycle: u32,
    told: (usize, usize),
) -> Outcome {
    if cycle > LISTENED {
        return Ok(());
    }
    let began = Instant::now();
    loop {
        let now = announcements(capture, guest, six, cycle)?;
        if now.0 > told.0 && now.1 > told.1 {
            return Ok(());
        }
        if began.elapsed() > SOON {
            return Err(format!("cycle {cycle}: announced {told:?}, then {now:?}").into());
        }
        sleep(Duration::from_millis(500));
    }
}

#[test]
fn connections_go_on_after_save_and_restore() {
    run_test("connections_go_on_after_save_and_restore", |bed| cycles(bed, CYCLES));
}

#[test]
#[ignore = "takes many minutes: make test-life-long"]
fn fifty_cycles_of_save_and_restore() {
    run_test("fifty_cycles_of_save_and_restore", |bed| cycles(bed, MANY));
}
