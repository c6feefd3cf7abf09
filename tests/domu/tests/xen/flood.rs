//! Thousands of connections against a small guest: it keeps as many as it has room for, and still serves the existing
//! connections.

use bed::{Bed, run_test};
use domu_tests::dom0::FLOOD;
use domu_tests::guest::Guest;
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome, SOON};
use serde_json::Value;
use std::net::SocketAddr;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Connections that are opened at once, and how long they stay.
const CONNECTIONS: u32 = 3000;
const SECONDS: u32 = 6;
/// Connection requests from hosts that are not there.
const SYNS: u32 = 20_000;
/// Half-open connections that the guest keeps: one for each 16 KiB of its ledger, which is smaller than its 32 MiB.
const HALF_OPEN: u64 = (32 << 20) / (16 << 10);

/// Floods the guest from dom0, and requests its state repeatedly over a connection that existed before. Returns the
/// output of the flood and the states.
fn flood(bed: &Bed, command: &str, connection: &mut Connection) -> Outcome<(String, Vec<Value>)> {
    scope(|threads| {
        let flood = threads.spawn(|| bed.dom0(&format!("/var/flood {command}")));
        let mut states = Vec::new();
        while !flood.is_finished() || states.is_empty() {
            assert_eq!(connection.get("/healthz")?.status, 200, "{command}, reply {}", states.len());
            states.push(connection.status()?);
            sleep(Duration::from_millis(50));
        }
        let output = flood.join().map_err(|_| "the flood panicked")??;
        if output.success() { Ok((output.stdout, states)) } else { Err(format!("{output:?}").into()) }
    })
}

/// The most that a number was.
fn most(states: &[Value], pointer: &str) -> Outcome<u64> {
    states.iter().map(|state| number(state, pointer)).try_fold(0, |most, now| Ok(most.max(now?)))
}

/// Connection requests for which there was no room: of the listener, or of the table. In a guest
/// this small the last is met first.
fn refused_requests(status: &Value) -> Outcome<u64> {
    ["backlog", "connections"].iter().map(|why| number(status, &format!("/drops/{why}"))).sum()
}

/// Waits until the connections of a flood are gone and a new one is served. Returns the guest's state, with at most
/// `more` bytes of heap in use beyond those before.
fn recovers(to: SocketAddr, connection: &mut Connection, before: &Value, more: u64) -> Outcome<Value> {
    let began = Instant::now();
    // Between two looks the connection must not be taken for a silent one.
    let mut status = connection.status()?;
    while number(&status, "/interfaces/0/sockets/connections")?
        > number(before, "/interfaces/0/sockets/connections")?
    {
        assert!(began.elapsed() < BOOT, "connections stay: {status}");
        sleep(Duration::from_millis(500));
        status = connection.status()?;
    }
    assert_eq!(Connection::open(to)?.get("/")?.status, 200, "on a new connection");
    assert_eq!(number(&status, "/tasks")?, number(before, "/tasks")?);
    let (used, was) = (number(&status, "/heap/used_bytes")?, number(before, "/heap/used_bytes")?);
    assert!(used <= was + more, "{was} bytes of heap in use, then {used}");
    Ok(status)
}

#[test]
fn a_flood_of_connections_costs_the_others_nothing() {
    run_test("a_flood_of_connections_costs_the_others_nothing", |bed| -> Outcome {
        bed.put_file(FLOOD, "/var/flood")?;
        // 32 MiB, as in xen.cfg.
        let guest = Guest::start(bed, "web", "")?;
        guest.wait_for_ipv6()?;
        let to = guest.tcp(80)?;
        let mut connection = Connection::open(to)?;
        assert_eq!(connection.get("/")?.status, 200);
        let before = connection.status()?;

        let command = format!("connections {} 80 {CONNECTIONS} {SECONDS}", guest.address);
        let (printed, states) = flood(bed, &command, &mut connection)?;
        let made: u32 = printed.split(' ').next().unwrap_or_default().parse()?;
        let kept = most(&states, "/interfaces/0/sockets/connections")?;
        let refused = most(&states, "/drops/connections")?;
        let free = states
            .iter()
            .map(|state| number(state, "/heap/free_bytes"))
            .min_by_key(|free| free.as_ref().map_or(0, |free| *free));
        eprintln!(
            "  {made} of {CONNECTIONS} made; {kept} at most, {refused} requests beyond, {} replies meanwhile, {free:?} bytes free",
            2 * states.len()
        );
        assert_eq!((made, refused), (CONNECTIONS, 0), "idle connections fit into 32 MiB by the thousand");
        assert!(free.ok_or("no state")?? > 1 << 20, "the heap is as good as full");
        // Tables stay as long as they became.
        let before = recovers(to, &mut connection, &before, 256 << 10)?;

        let (printed, states) = flood(bed, &format!("syns {} 80 {SYNS}", guest.address), &mut connection)?;
        let half_open = most(&states, "/interfaces/0/sockets/half_open")?;
        let dropped = refused_requests(&connection.status()?)? - refused_requests(&before)?;
        eprintln!("  {} sent; {half_open} half open at most, {dropped} beyond", printed.trim());
        // Beyond the cache of half-open connections a SYN is answered with a cookie, and nothing is kept or dropped.
        assert!(half_open <= HALF_OPEN && dropped == 0, "{half_open} half open, {dropped} dropped");
        let ping = bed.dom0(&format!("ping -c 5 -W 5 {}", guest.address))?;
        assert!(ping.success(), "{ping:?}");
        recovers(to, &mut connection, &before, 32 << 10)?;
        guest.domain.send_line("status")?;
        guest.domain.wait_for_next("hypercalls: ", SOON)?;
        Ok(())
    });
}
