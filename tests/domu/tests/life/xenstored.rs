//! xenstored goes under load: live-updated, so that a new process takes over its rings, watches and nodes while guests use
//! them; and killed, so that all of them are lost.

use crate::{SLOWLY, SMALL_MIB, xl};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Live updates in a row.
const UPDATES: usize = 5;

/// How long there is no xenstored, in pauses after each of which the guest is asked: longer than a request waits.
const ABSENCE: [Duration; 4] = [Duration::from_secs(15); 4];

/// Iterations a second that are no waste: the appliance's clock, the guest agent, and frames that everybody gets.
const RATE: u64 = 20;

/// The process that is xenstored.
fn pid(bed: &Bed) -> Outcome<u32> {
    Ok(bed.dom0("pidof xenstored")?.stdout.trim().parse()?)
}

/// Writes to a node that the guest watches, as fast as dom0 can, while `/tmp/load` exists: half a message is in the guest's
/// ring when the process ends.
fn load(bed: &Bed, domid: u32) -> Outcome {
    let writes = format!("xenstore-write /local/domain/{domid}/control/shutdown ''");
    bed.dom0(&format!("touch /tmp/load; (while [ -e /tmp/load ]; do {writes}; done) >/dev/null 2>&1 &"))?;
    Ok(())
}

#[test]
fn a_live_update_of_xenstored_under_load_costs_nothing() {
    run_test("a_live_update_of_xenstored_under_load_costs_nothing", |bed| -> Outcome {
        let first = pid(bed)?;
        let guest = Guest::create(bed, &config("web", "updated", "")?.memory_mib(SMALL_MIB))?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        connection.status()?;
        load(bed, guest.domain.domid())?;
        for update in 0..UPDATES {
            let output = bed.dom0_within("xenstore-control live-update -t 30 -F $(which xenstored)", BOOT)?;
            // It prints nothing when xenstored answers "OK".
            assert!(output.success() && output.stdout.is_empty(), "live update {update}: {output:?}");
            connection.status()?;
        }
        bed.dom0("rm /tmp/load")?;
        let last = pid(bed)?;
        // The guest still answers through xenstore: its nodes, a vif, and the shutdown.
        xl(bed, "network-attach updated bridge=xenbr0 mac=00:16:3e:00:00:77")?;
        guest.domain.wait_for_next("vif/1: connected", BOOT)?;
        connection.status()?;
        xl(bed, "shutdown updated")?;
        guest.domain.wait_gone(BOOT)?;
        println!("xenstored: process {first}, then {last}");
        Ok(())
    });
}

/// What the guest's loop has done so far: iterations, those without work, and the guest's milliseconds.
fn spent(connection: &mut Connection) -> Outcome<[u64; 3]> {
    let status = connection.status()?;
    let number = |pointer| number(&status, pointer);
    Ok([number("/loop/iterations")?, number("/loop/without_work")?, number("/uptime_ms")?])
}

/// No tool of Xen 4.17 brings a killed xenstored back for domains that run: the new process has an empty store, and maps
/// dom0's ring only. The test does it as a toolstack could, by `files/xenstored-again`.
#[test]
#[ignore = "dom0's own tools may hang once their xenstored was killed: make test-life-long"]
fn a_guest_outlives_a_killed_xenstored() {
    run_test("a_guest_outlives_a_killed_xenstored", |bed| -> Outcome {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/xenstored-again");
        bed.put_file(script, "/var/xenstored-again")?;
        let guest = Guest::create(bed, &config("web", "orphan", "")?.memory_mib(SMALL_MIB))?;
        let domid = guest.domain.domid();
        let to = guest.tcp(80)?;
        let mut connection = Connection::open(to)?;
        connection.status()?;
        assert!(bed.dom0("/var/xenstored-again keep /var/nodes")?.success());
        load(bed, domid)?;
        let killed = bed.dom0("sleep 1; kill -9 $(pidof xenstored); rm /tmp/load")?;
        assert!(killed.success(), "{killed:?}");

        // Traffic needs no xenstore: neither an open connection nor a new one.
        let before = spent(&mut connection)?;
        for pause in ABSENCE {
            sleep(pause);
            connection.status()?;
        }
        let after = spent(&mut connection)?;
        let [iterations, without_work, ms] = std::array::from_fn(|at| after[at] - before[at]);
        println!("without xenstored: {iterations} iterations in {ms} ms, {without_work} without work");
        assert_eq!(without_work, 0, "iterations without work");
        assert!(iterations * 1000 < RATE * ms, "{iterations} iterations in {ms} ms");
        Connection::open(to)?.status()?;

        guest.domain.wait_for("xenstored stands still or has ended", BOOT)?;

        // A process alone does not help. With its nodes and XS_INTRODUCE the guest is back, watches included.
        let restore = format!("/var/xenstored-again restore /var/nodes {domid}");
        let output = bed.dom0_within(&restore, SLOWLY)?;
        assert!(output.success(), "{output:?}");
        println!("{}", output.stdout.trim());
        guest.domain.wait_for("the ring is taken up again", BOOT)?;
        connection.status()?;
        bed.xenstore_write(&format!("/local/domain/{domid}/control/shutdown"), "poweroff")?;
        guest.domain.wait_for_next("control/shutdown: poweroff", BOOT)?;
        guest.domain.wait_ended(BOOT)?;
        Ok(())
    });
}
